"""Live migration between two simulated hypervisors: prepare, copy, switch over, finish.

What a cut line, a dead peer or the end of a guest leaves behind depends on the phase, as with libvirt and QEMU.
Between pausing the source and hearing that the destination runs, nobody knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tashi.model.guest import Guest
from tashi.sim.domain import GIB, KEEPALIVE, PIECE_OF_MEMORY, QUICK, SWITCH_OVER, Definite, Domain, Moving, Piece

if TYPE_CHECKING:
    from tashi.sim.hypervisor import Hypervisor


def migrate(here: Hypervisor, guest: Guest, target: Hypervisor | None, generation: int) -> Piece:
    """From ``here`` to ``target``; goes on without whoever asked for it."""
    started = here.site.world.seconds
    yield here.time(QUICK)
    source = here.domains.get(guest.id)
    if source is None or source.state != "running":
        raise Definite(f"{guest.name} does not run here")
    if source.outgoing is not None:
        raise Definite(f"{guest.name} is being migrated already")
    if target is None or not here.joined(target) or not target.serves:
        yield here.time(KEEPALIVE)
        raise Definite("no answer from the destination")
    if guest.id in target.domains and target.domains[guest.id].state != "stopped":
        raise Definite(f"{guest.name} is on {target.name} already")
    job = Moving(pieces=here.site.world.chance.randint(1, 6))
    copy = Domain(guest.id, guest, generation, "paused", never_ran=True, persistent=False, incoming=job)
    target.domains[guest.id] = copy
    source.outgoing = job
    target.tell(guest.id, "arriving")
    try:
        yield from _copy(here, source, target, copy, job)
        source.state = "paused"
        here.site.at_switch_over(here, target)
        down = here.site.world.seconds
        yield here.time(SWITCH_OVER)
        yield from _switch_over(here, source, target, copy, generation)
    finally:
        if source.outgoing is job:
            source.outgoing = None
        if copy.incoming is job:
            copy.incoming = None
        if copy.never_ran and here.site.world.happens(0.7):  # most often the far side gives it up by itself
            here.site.world.after(here.time(KEEPALIVE), lambda: target.drop_incoming(copy))
    now = here.site.world.seconds
    return {"total_seconds": now - started, "downtime_seconds": now - down, "bytes": job.pieces * GIB}


def _copy(here: Hypervisor, source: Domain, target: Hypervisor, copy: Domain, job: Moving) -> Piece:
    while job.sent < job.pieces:
        yield here.time(PIECE_OF_MEMORY)
        job.sent += 1
        if here.domains.get(source.vm) is not source or source.state != "running":
            target.drop_incoming(copy)
            raise Definite(f"{source.vm} ended while it was copied")
        if job.abort:
            target.drop_incoming(copy)
            raise Definite("aborted")
        if not here.joined(target):
            yield here.time(KEEPALIVE)
            if here.site.world.happens(0.7):  # most often the far side notices as well
                target.drop_incoming(copy)
            raise Definite(f"the line to {target.name} broke")
        if target.domains.get(copy.vm) is not copy or copy.incoming is not job:
            raise Definite(f"{target.name} gave the copy up")
    return None


def _switch_over(here: Hypervisor, source: Domain, target: Hypervisor, copy: Domain, generation: int) -> Piece:
    there = target.power and target.domains.get(copy.vm) is copy and copy.state == "paused"
    if here.joined(target) and not there:
        if here.domains.get(source.vm) is source and source.state == "paused":
            source.state = "running"  # the far side answered: nothing of it runs there
        raise Definite(f"{target.name} has lost the copy")
    if here.domains.get(source.vm) is not source or source.state != "paused":
        target.drop_incoming(copy)
        raise Definite(f"{source.vm} ended while it was switched over")
    if there and (here.joined(target) or here.site.world.happens(0.5)):
        copy.state, copy.never_ran, copy.persistent, copy.generation = "running", False, True, generation
        here.site.runs[copy.vm] = copy
        target.tell(copy.vm, "arrived")
        here.site.at_switch_over(here, target)
    copy.incoming = None
    yield here.time(SWITCH_OVER)
    if not here.joined(target):
        yield here.time(KEEPALIVE)
        raise TimeoutError(f"no word from {target.name} whether {source.vm} runs there")
    if here.domains.get(source.vm) is source and source.state == "paused":
        del here.domains[source.vm]
        here.tell(source.vm, "left")
    return None
