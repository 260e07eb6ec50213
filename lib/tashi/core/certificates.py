"""Certificates for TLS between the hosts' hypervisors: who gets one, for how long, and which are no longer believed.

Theory. Whoever holds a certificate that the hosts believe may do on them as root does, so they may believe only those
of hosts that are in the list. Each certificate has a number. A host may have several for a moment: a new one is given,
and when its agent says that it is in use, those before it are revoked. A host that is removed loses all of its own.
The list of revocations has a number too, and every heartbeat says which one the agent has: so nothing that is lost on
the way stays lost, and nothing of this has to be sent twice on a guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec.structs import replace

from tashi.core.turn import Turn
from tashi.model.host import Certificate, Host, Renewal
from tashi.model.job import JobState
from tashi.model.shorten import shorten
from tashi.model.units import stamp
from tashi.wire.agents import Beat, Certified, Certify, Pulse
from tashi.wire.errors import Code, Refused
from tashi.wire.messages import Accepted, Credential, Named

RENEW_SECONDS = 120.0  # an agent asks within seconds; its libvirtd may be busy
NEAR_END = 1 / 6  # of a certificate's time; agents ask for another at a third
_ADDRESS = re.compile(r"[A-Za-z0-9:._-]{1,200}", re.ASCII)


class Authority(Protocol):
    """Who signs; see `tashi.run.authority`."""

    certificate: str

    def certify(
        self, request: str, name: str, ident: str, addresses: tuple[str, ...], number: int, wall: float, until: float
    ) -> str: ...

    def revoke(self, revoked: Mapping[str, float], number: int, wall: float) -> str: ...


def issue(turn: Turn, host: Host, request: str, addresses: list[str]) -> Credential:
    """A certificate for the key in ``request``. Raises Refused: no request, or somebody else's address."""
    if turn.authority is None:
        raise Refused(Code.IMPOSSIBLE, "this controller certifies nobody")
    for address in addresses:
        _check_address(turn, host, address)
    number, until = turn.state.next_number("certificate"), turn.now.wall + turn.settings.certificate_seconds
    names = tuple(dict.fromkeys((host.name, *addresses)))
    made = turn.authority.certify(request, host.name, host.id, names, number, turn.now.wall, until)
    given = Certificate(number, until, names)
    turn.put(replace(turn.state.hosts[host.id], certificates=(*host.certificates, given)))
    return replace(_list(turn), certificate=made, number=number, until_wall=until)


def _check_address(turn: Turn, host: Host, address: str) -> None:
    if not _ADDRESS.fullmatch(address):
        raise Refused(Code.BAD_REQUEST, f"{host.name}: {address!r} is no address", "see [agent] address")
    for other in turn.state.hosts.values():
        theirs = {other.name, *(each for given in other.certificates for each in given.addresses)}
        if other.id != host.id and address in theirs:
            text = f"{host.name}: {address} is the address of {other.name}"
            raise Refused(Code.CONFLICT, text, "see [agent] address and migrate_uri in its tashi.toml")


def _list(turn: Turn) -> Credential:
    """What everybody may know: whose word counts, and which certificates don't any more."""
    assert turn.authority is not None
    number = turn.state.counted("revocation")
    return Credential(
        turn.authority.certificate, number, turn.authority.revoke(turn.state.revoked, number, turn.now.wall)
    )


def answer(turn: Turn, host: Host, asked: Certify, epoch: int) -> Certified:
    """An agent asks for a certificate, or for the list alone."""
    try:
        if asked.request:
            return Certified(epoch, issue(turn, host, asked.request, asked.addresses))
        if turn.authority is None:
            raise Refused(Code.IMPOSSIBLE, "this controller certifies nobody")
        return Certified(epoch, _list(turn))
    except Refused as refused:
        return Certified(epoch, reason=shorten(refused.text, 200))


def pulse(turn: Turn, host: Host, beat: Beat, epoch: int) -> Pulse:
    """What a heartbeat says of certificates, taken in; and what the agent has to know of them."""
    known = any(each.number == beat.certificate for each in host.certificates)
    if known:
        _in_use(turn, host, beat.certificate)
    renewal = _renewal(turn, host)
    behind = renewal is not None and all(each.number <= renewal.after for each in host.certificates)
    unknown = beat.certificate > 0 and not known  # this store never heard of it, as after a restore
    return Pulse(epoch, turn.state.counted("revocation"), renew=behind or unknown)


def _in_use(turn: Turn, host: Host, number: int) -> None:
    """The agent uses this certificate, so those before it have had their day."""
    older = [each for each in host.certificates if each.number < number]
    renewal = _renewal(turn, host)
    over = renewal is not None and number > renewal.after
    if not older and not over:
        return
    _revoke(turn, older)
    kept = tuple(each for each in host.certificates if each.number >= number)
    turn.put(replace(host, certificates=kept, renewal=None if over else host.renewal))
    if renewal is not None and over:
        turn.end(renewal.job, JobState.DONE)


def _renewal(turn: Turn, host: Host) -> Renewal | None:
    """The one that somebody asked for and still waits for."""
    return host.renewal if host.renewal is not None and host.renewal.job in turn.state.jobs else None


def renew(turn: Turn, body: Named) -> Accepted:
    """thost-certify: the host makes a new key, and its old certificate is worth nothing any more."""
    host: Host = turn.find("host", body.name)
    if not host.key:
        raise Refused(Code.WRONG_STATE, f"{host.name}: it is not enrolled yet")
    unknown = turn.host_unknown(host.id)
    if unknown:
        raise Refused(Code.WRONG_STATE, f"{host.name}: its agent can't be asked: {unknown}")
    under_way = _renewal(turn, host)
    if under_way is not None:
        raise Refused(Code.LOCKED, f"{host.name}: {under_way.job} is renewing it", f"tjob-wait {under_way.job}")
    job = turn.begin("host.certify", "host", host.id, host.name, budget_seconds=RENEW_SECONDS)
    after = host.certificates[-1].number if host.certificates else 0
    turn.put(replace(host, renewal=Renewal(job.id, after)))
    return Accepted(job=job.id, kind="host", objects={host.id: host.name}, dry_run=body.dry_run)


def near_end(turn: Turn, host: Host) -> str:
    """What is odd about a host's certificate: its agent should have asked for another long ago. Empty when all is well.

    The host can do all else, so nothing but its looks follows from it.
    """
    if not host.certificates:
        return ""
    until = host.certificates[-1].until_wall
    if until - turn.now.wall > turn.settings.certificate_seconds * NEAR_END:
        return ""
    return f"its certificate {'ended' if until < turn.now.wall else 'ends'} {stamp(until)} and was not renewed"


def removed(turn: Turn, host: Host) -> None:
    """Nobody is to believe this host any more."""
    _revoke(turn, host.certificates)


def _revoke(turn: Turn, certificates: Sequence[Certificate]) -> None:
    """Put them on the list; those whose time is up by itself leave it."""
    if not certificates:
        return
    kept = {number: until for number, until in turn.state.revoked.items() if until > turn.now.wall}
    kept |= {str(each.number): each.until_wall for each in certificates}
    turn.state.put("meta", "revoked", kept)
    turn.state.next_number("revocation")
