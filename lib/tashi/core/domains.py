"""zoni-domain: VLANs that belong together, and nobody else's. They are on switches from the first machine on."""

from __future__ import annotations

from tashi.core import clearing
from tashi.core.switch_rules import refuse_going
from tashi.core.turn import Turn, done
from tashi.core.users import NAMED
from tashi.model.domain import Domain
from tashi.model.name import check_name
from tashi.model.vlan import check_vlan
from tashi.wire.domains import DomainCreate
from tashi.wire.errors import Code, NotFound, Refused
from tashi.wire.messages import Accepted, Named


def create(turn: Turn, body: DomainCreate) -> Accepted:
    try:
        check_name(body.name)
    except ValueError as problem:
        raise Refused(Code.BAD_REQUEST, f"name: {problem}") from None
    if body.name in turn.state.names["domain"]:
        raise Refused(Code.CONFLICT, f"{body.name}: there is a domain of this name already", "zoni-domain list")
    vlans = tuple(dict.fromkeys(body.vlans))
    for vlan in vlans:
        _check_vlan(turn, body.name, vlan)
    if not body.note.isprintable():
        raise Refused(Code.BAD_REQUEST, f"{body.name}: note: {body.note[:40]!r}: a control character in it")
    owner = body.user or ("" if body.group else turn.owner)
    if body.user:
        check_user(turn, body.user)
    if body.group and body.group not in turn.state.names["group"]:
        raise NotFound(f"{body.group}: no such group", f"tuser-group-set {body.group}")
    about = (body.name, turn.at(), vlans, owner, body.group, body.note.strip())
    domain = Domain(turn.new_id("domain"), *about, untold=True)
    return done(turn, "domain.create", "domain", turn.put(domain), body.dry_run)


def remove(turn: Turn, body: Named) -> Accepted:
    """Forget a domain that no machine is in, nor may still be in; an operation takes its VLANs off the switches."""
    domain: Domain = turn.find("domain", body.name)
    held = machines_of(turn, domain)
    if held:
        more = f" and {len(held) - NAMED} more" if len(held) > NAMED else ""
        verb = "is" if len(held) == 1 else "are"
        raise Refused(Code.WRONG_STATE, f"{domain.name}: {', '.join(held[:NAMED])}{more} {verb} in it", "zoni-list")
    turn.remove(domain)
    job = clearing.begin(turn, domain)
    objects, over = {domain.id: domain.name}, job.id not in turn.state.jobs
    return Accepted(job=job.id, kind="domain", objects=objects, done=over, dry_run=body.dry_run)


def machines_of(turn: Turn, domain: Domain) -> list[str]:
    """Names of the machines that are in it, are on their way there, or would go back there."""
    return sorted(machine.name for machine in turn.machines_on(domain.id))


def check_user(turn: Turn, name: str) -> None:
    """Raise NotFound for nobody that is known; the caller is known."""
    if name != turn.who.name and name not in turn.state.names["user"]:
        raise NotFound(f"{name}: no such user", f"tuser-add {name}")


def _check_vlan(turn: Turn, name: str, vlan: int) -> None:
    try:
        check_vlan(vlan)
    except ValueError as problem:
        raise Refused(Code.BAD_REQUEST, f"{name}: {problem}") from None
    other = turn.state.domains.get(turn.state.domain_of_vlan.get(vlan, ""))
    if other is not None:
        raise Refused(Code.CONFLICT, f"{name}: VLAN {vlan} is in domain {other.name}", f"zoni-domain show {other.name}")
    refuse_going(turn, name, vlan)
