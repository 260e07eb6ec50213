"""thost-add, -resume, -remove, and an agent's enrolment: a one-time token buys one key its place."""

from __future__ import annotations

import hashlib

from msgspec.structs import replace

from tashi.core import certificates, life, off
from tashi.core.turn import Turn
from tashi.model.host import Host, HostState
from tashi.model.job import JobState
from tashi.model.name import check_name
from tashi.wire.errors import Code, Refused
from tashi.wire.messages import Accepted, Enroll, HostAdd, Named

TOKEN_BYTES = 16


def token_of(secret: bytes) -> str:
    """The token that a secret of the shell's chance stands for. The core itself has no chance."""
    return hashlib.blake2b(secret, digest_size=TOKEN_BYTES).hexdigest()


def digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def add(turn: Turn, body: HostAdd) -> Accepted:
    """A record and an enrolment document. Adding a host that never enrolled gives it a new token."""
    try:
        check_name(body.name)
    except ValueError as problem:
        raise Refused(Code.BAD_REQUEST, str(problem)) from None
    known = [turn.state.hosts[key] for key in turn.state.names["host"].get(body.name, ())]
    if known and known[0].key:
        raise Refused(
            Code.CONFLICT, f"{body.name}: there is a host of this name already", f"thost-remove {body.name} first"
        )
    token = token_of(turn.secret)
    host = known[0] if known else Host(id=turn.new_id("host"), name=body.name, created_at=turn.at())
    until = turn.now.wall + turn.settings.token_seconds
    turn.put(replace(host, token=digest(token), token_until_wall=until))
    turn.state.unknown_hosts.setdefault(host.id, "its agent was never heard")
    turn.state.set_reachable(host.id, "not enrolled yet")
    job = turn.begin("host.add", "host", host.id, host.name)
    turn.end(job.id, JobState.DONE)
    document = {
        "host": host.name,
        "token": token,
        "controller": ",".join(turn.settings.agent_addresses),
        "enroll": ",".join(turn.settings.enroll_addresses),
        "server_key": turn.settings.server_key,
    }
    return Accepted(
        job=job.id, kind="host", objects={host.id: host.name}, done=True, extra=document, dry_run=body.dry_run
    )


def enroll(turn: Turn, body: Enroll) -> Accepted:
    """Register the public half of an agent's key. One answer for every wrong token: nothing to learn from it."""
    wrong = Refused(Code.DENIED, f"{body.host}: the enrolment token is not valid", f"thost-add {body.host}")
    found = [turn.state.hosts[key] for key in turn.state.names["host"].get(body.host, ())]
    if not found or not found[0].token or found[0].token != digest(body.token):
        raise wrong
    host = found[0]
    turn.who = replace(turn.who, name=f"agent@{host.name}")
    if turn.now.wall > host.token_until_wall:
        raise wrong
    if body.key in turn.state.host_of_key or body.key in turn.state.user_of_key:
        raise Refused(Code.CONFLICT, f"{body.host}: this key is in use already")
    turn.put(replace(host, key=body.key, token="", token_until_wall=0.0))
    wanted = bool(body.request) and turn.authority is not None
    credential = certificates.issue(turn, turn.state.hosts[host.id], body.request, body.addresses) if wanted else None
    turn.state.set_reachable(host.id, "its agent has not reported yet")
    job = turn.begin("host.enroll", "host", host.id, host.name)
    turn.end(job.id, JobState.DONE)
    return Accepted(job=job.id, kind="host", objects={host.id: host.name}, done=True, credential=credential)


def resume(turn: Turn, body: Named) -> Accepted:
    """Back to normal; a drain under way ends here."""
    host: Host = turn.find("host", body.name)
    state = life.step("host", host.state, "resume", host.name)
    if host.job:
        turn.end(host.job, JobState.CANCELLED, "the host was resumed")
    host = turn.state.hosts[host.id]
    job = turn.begin("host.resume", "host", host.id, host.name)
    turn.put(replace(host, state=HostState(state)))
    turn.end(job.id, JobState.DONE)
    return Accepted(job=job.id, kind="host", objects={host.id: host.name}, done=True, dry_run=body.dry_run)


def remove(turn: Turn, body: Named) -> Accepted:
    """Forget a host that has nothing of ours. Its key is worth nothing from the next message on, its certificates

    as soon as the other hosts' agents have heard it.
    """
    host: Host = turn.find("host", body.name)
    if host.job:
        raise Refused(Code.LOCKED, f"{host.name}: locked by {host.job}", f"tjob-wait {host.job}")
    if host.off:
        off.forget_leftovers(turn, host)
    there = turn.state.vms_of_host.get(host.id)
    if there:
        names = sorted(turn.state.vms[vm].name for vm in there)
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        raise Refused(
            Code.WRONG_STATE,
            f"{host.name}: it still has {', '.join(names[:5])}{more}",
            f"thost-confirm-off {host.name}, once it is off"
            if turn.host_unknown(host.id)
            else f"thost-drain {host.name}",
        )
    life.step("host", host.state, "remove", host.name)
    job = turn.begin("host.remove", "host", host.id, host.name)
    certificates.removed(turn, host)
    turn.remove(host)
    turn.end(job.id, JobState.DONE)
    return Accepted(job=job.id, kind="host", objects={host.id: host.name}, done=True, dry_run=body.dry_run)
