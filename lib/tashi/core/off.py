"""thost-confirm-off: an administrator's word that a host is off, which is evidence that nothing runs there.

What ran there is stopped by it, under a new generation, and may be started elsewhere; a migration goes on with what the
other end has. What the host may still have on its disk is a leftover like any other: told `absent` should it come back,
where a guest that runs against that word is spared, and taken back or told of (`tashi.core.copies`). The word holds
until the host's agent is heard again.
"""

from __future__ import annotations

from msgspec.structs import replace

from tashi.core import copies, move
from tashi.core.observe import gone, stopped
from tashi.core.removal import to_be_removed
from tashi.core.turn import Turn
from tashi.model.host import Host
from tashi.model.job import JobState
from tashi.model.name import number_of
from tashi.model.vm import Desired, Leftover, Vm, at_rest
from tashi.wire.errors import Code, Refused
from tashi.wire.messages import Accepted, Named

NAMED_AT_MOST = 20


def confirm(turn: Turn, body: Named) -> Accepted:
    """Take the word, unless something speaks against it, and let follow what follows for each VM."""
    host: Host = turn.find("host", body.name)
    if host.off and not any(_counts(turn.state.vms[each], host.id) for each in turn.state.vms_of_host.get(host.id, ())):
        return _off_already(turn, host, body.dry_run)
    _check_silence(turn, host)
    job = turn.begin("host.confirm-off", "host", host.id, host.name)
    turn.put(replace(host, off=turn.who.name))
    reason = turn.why_off(host.id)
    if host.job:
        turn.end(host.job, JobState.FAILED, reason)
    ended: list[str] = []
    undecided: list[str] = []
    for vm_id in sorted(turn.state.vms_of_host.get(host.id, ()), key=number_of):
        vm = turn.state.vms[vm_id]
        rested = at_rest(vm)
        _leave(turn, vm, host.id, reason)
        after = turn.state.vms.get(vm_id)
        if after is not None and at_rest(after) and not rested:
            ended.append(vm.name)
        elif after is not None and after.move is not None:
            undecided.append(vm.name)
    told = (_named("stopped", ended), _named("still migrating, the other end is asked", undecided))
    note = "; ".join(filter(None, told)) or "nothing ran there"
    turn.end(job.id, JobState.DONE, f"{reason}; {note}")
    return Accepted(
        job=job.id, kind="host", objects={host.id: host.name}, done=True, dry_run=body.dry_run, note=note
    )  # fmt: skip


def _off_already(turn: Turn, host: Host, dry_run: bool) -> Accepted:
    """What the word was taken for has been done: to say it again is success."""
    note = f"{turn.why_off(host.id)} already"
    job = turn.begin("host.confirm-off", "host", host.id, host.name)
    turn.end(job.id, JobState.DONE, note)
    return Accepted(job=job.id, kind="host", objects={host.id: host.name}, done=True, dry_run=dry_run, note=note)


def _counts(vm: Vm, host: str) -> bool:
    """Whether something follows for a VM from its host being off: all that it has there is not spent yet."""
    left = vm.leftovers.get(host)
    spent = left is not None and not left.claim and not left.runs and vm.desired is not Desired.ABSENT
    return not spent or vm.host == host or vm.move is not None


def _named(what: str, names: list[str]) -> str:
    more = f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    return f"{what}: {', '.join(names[:NAMED_AT_MOST])}{more}" if names else ""


def _check_silence(turn: Turn, host: Host) -> None:
    """Raise Refused where the host speaks for itself, or could not yet have done so."""
    now, silence = turn.now.monotonic, turn.settings.silence_seconds
    if not host.key:
        raise Refused(Code.WRONG_STATE, f"{host.name}: it never enrolled, so nothing of ours can run there")
    contact = turn.contacts.get(host.id)
    if not turn.host_unknown(host.id) or (contact is not None and now - contact.heard <= silence):
        hint = f"cut its power first; thost-drain {host.name} empties a host that is up"
        raise Refused(Code.WRONG_STATE, f"{host.name}: its agent is heard, so it is not off", hint)
    if host.id in turn.state.doubts.ahead:
        why = "its agent has obeyed a newer store than this, and is not heard for that"
        raise Refused(Code.WRONG_STATE, f"{host.name}: {why}", f"tashi-divergence {host.name}")
    wait = turn.state.grace_until - turn.settings.grace_seconds + silence - now
    if contact is None and wait >= 0:
        why = f"the controller has just started, and it may still be heard: {wait:.0f} s are waited"
        raise Refused(Code.UNAVAILABLE, f"{host.name}: {why}", "try again")


def _leave(turn: Turn, vm: Vm, host: str, reason: str) -> None:
    """What follows for one VM that has something there."""
    if host in vm.leftovers:
        spent = replace(vm.leftovers[host], claim=False, runs=False)
        vm = turn.put(replace(vm, leftovers=vm.leftovers | {host: spent}))
    if vm.desired is Desired.ABSENT:
        generation = vm.generation + 1  # another host may be asked now, one that was asked less before
        where, left = to_be_removed(turn, vm, generation, vm.host, vm.leftovers)
        gone(turn, turn.put(replace(vm, host=where, leftovers=left, generation=generation)))
    elif vm.move is not None:
        if host in (vm.move.source, vm.move.destination):
            move.end_is_off(turn, vm, host)
    elif vm.host == host:
        rests = vm.waiting or at_rest(vm)
        vm = replace(vm, generation=vm.generation + 1) if rests else stopped(turn, vm, reason)
        left = vm.leftovers | {host: Leftover(vm.generation, only_if="paused")}
        turn.put(replace(vm, host="", leftovers=left, observed=None))
    copies.follow(turn, vm.id)


def forget_leftovers(turn: Turn, host: Host) -> None:
    """A host that is off is removed: it is never asked to clear anything."""
    for vm_id in sorted(turn.state.vms_of_host.get(host.id, ())):
        vm = turn.state.vms[vm_id]
        if host.id in vm.leftovers:
            left = {other: what for other, what in vm.leftovers.items() if other != host.id}
            turn.put(replace(vm, leftovers=left))
