"""thost-add, -resume, -remove, and an agent's enrolment: a one-time token buys one key its place."""

from __future__ import annotations

import hashlib
import re

from msgspec.structs import replace

from tashi.core import certificates, copies, life, machines, off
from tashi.core.turn import Turn
from tashi.model.host import Host, HostState
from tashi.model.job import JobState
from tashi.model.name import check_name
from tashi.model.units import stamp
from tashi.model.vm import copies_of
from tashi.sched.view import HOST_LABEL
from tashi.wire.errors import Code, NotFound, Refused
from tashi.wire.messages import Accepted, Enroll, HostAdd, Named
from tashi.wire.placing import HostSet

TOKEN_BYTES = 16
LABELS = 32
LABEL = re.compile(r"[A-Za-z0-9._-]{1,63}", re.ASCII)


def token_of(secret: bytes) -> str:
    """The token that a secret of the shell's chance stands for. The core itself has no chance."""
    return hashlib.blake2b(secret, digest_size=TOKEN_BYTES).hexdigest()


def digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def add(turn: Turn, body: HostAdd) -> Accepted:
    """A record and an enrolment document. Adding a host that never enrolled gives it a new token."""
    _check_name(body.name)
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


def change(turn: Turn, body: HostSet) -> Accepted:
    """thost-set: the terms on which placement has it. What is there stays there, whatever they are."""
    host: Host = turn.find("host", body.name)
    terms = host.terms
    for key in body.labels:
        _check_label(host.name, key, body.labels[key])
    for name in (*(body.users or ()), *(body.groups or ())):
        _check_name(name)
    labels = {key: value for key, value in {**terms.labels, **body.labels}.items() if value}
    if len(labels) > LABELS:
        raise Refused(Code.BAD_REQUEST, f"{host.name}: {len(labels)} labels, the limit is {LABELS}")
    for group in body.groups or ():
        if group not in turn.state.names["group"]:
            raise NotFound(f"{group}: no such group", f"tuser-group-set {group}")
    if body.until_wall and body.until_wall <= turn.now.wall:
        raise Refused(Code.BAD_REQUEST, f"{host.name}: a reservation until {stamp(body.until_wall)}, which is over")
    given = {
        name: value
        for name in ("kept_cores", "kept_memory_bytes", "cores_ratio", "memory_ratio", "until_wall")
        if (value := getattr(body, name)) is not None
    }
    given |= {
        name: tuple(dict.fromkeys(who)) for name in ("users", "groups") if (who := getattr(body, name)) is not None
    }
    changed = replace(terms, labels=labels, **given)
    if not changed.users and not changed.groups:
        if body.until_wall:
            raise Refused(Code.BAD_REQUEST, f"{host.name}: it is reserved for nobody, so there is no end to it")
        changed = replace(changed, until_wall=0.0)
    job = turn.begin("host.set", "host", host.id, host.name)
    turn.put(replace(host, terms=changed))
    turn.end(job.id, JobState.DONE)
    return Accepted(job=job.id, kind="host", objects={host.id: host.name}, done=True, dry_run=body.dry_run)


def _check_name(name: str) -> None:
    try:
        check_name(name)
    except ValueError as problem:
        raise Refused(Code.BAD_REQUEST, str(problem)) from None


def _check_label(host: str, key: str, value: str) -> None:
    _check_name(key)
    if key == HOST_LABEL:
        raise Refused(Code.BAD_REQUEST, f"{host}: the label {key} is every host's own name")
    if value and not LABEL.fullmatch(value):
        raise Refused(Code.BAD_REQUEST, f"{value!r} is not a label's value: up to 63 letters, digits, '-', '_' and '.'")


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
    for vm in [turn.state.vms[each] for each in sorted(there or ())]:
        if host.id in copies_of(vm):
            raise Refused(Code.WRONG_STATE, f"{host.name}: a copy of {vm.name} runs there", copies.way_out(turn, vm))
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
    machines.host_removed(turn, host.id)
    turn.remove(host)
    turn.end(job.id, JobState.DONE)
    return Accepted(job=job.id, kind="host", objects={host.id: host.name}, done=True, dry_run=body.dry_run)
