"""tvm-start, tvm-place, tvm-shutdown, tvm-destroy."""

from __future__ import annotations

from msgspec.structs import replace

from tashi.core import life
from tashi.core.observe import gone
from tashi.core.placement import pass_all, place, place_or_wait
from tashi.core.removal import to_be_removed
from tashi.core.turn import Turn
from tashi.model.vm import Desired, Leftover, Vm, VmState, Waiting
from tashi.wire.errors import Code, Refused
from tashi.wire.messages import Accepted, VmVerb
from tashi.wire.placing import VmPlace


def start(turn: Turn, body: VmVerb) -> Accepted:
    """Run a stopped or failed VM again, wherever there is room: its disk is in the shared pool."""
    vm: Vm = turn.find("vm", body.name)
    turn.lock(vm)
    _legal(turn, vm, "start")
    pin = turn.find("host", body.host).id if body.host is not None else ""
    job = turn.begin(
        "vm.start",
        "vm",
        vm.id,
        vm.name,
        owner=vm.owner,
        budget_seconds=turn.settings.start_seconds,
        phase="starting",
    )
    wanted = replace(
        vm,
        desired=Desired.RUNNING,
        generation=vm.generation + 1,
        pin=pin,
        wish=replace(vm.wish, fallback=False) if vm.wish is not None and pin else vm.wish,
        job=job.id,
        doing="vm.start",
        failure="",
        reason="",
    )
    held = place_or_wait(turn, [wanted], body.hold, body.hold_seconds)
    vm = turn.state.vms[vm.id]
    if held:
        turn.phase(job.id, vm.waiting.value, vm.reason)
    placement = {vm.name: turn.host_name(vm.host)} if vm.host else {}
    return Accepted(
        job=job.id, kind="vm", objects={vm.id: vm.name}, placement=placement, held=held, dry_run=body.dry_run
    )


def place_by_hand(turn: Turn, body: VmPlace) -> Accepted:
    """Start one that waits for just that on the host named here: checked and claimed as if placement had chosen it."""
    vm: Vm = turn.find("vm", body.name)
    host = turn.find("host", body.host)
    turn.lock(vm)
    if vm.waiting is not Waiting.UNPLACED:
        raise Refused(
            Code.WRONG_STATE,
            f"can't place {vm.name}: it is {turn.shown(vm)[0]}",
            "only what tvm-create --no-place made is placed by hand; tvm-start and tvm-migrate take a host too",
        )
    job = turn.begin(
        "vm.place", "vm", vm.id, vm.name, owner=vm.owner, budget_seconds=turn.settings.start_seconds, phase="starting"
    )
    place(turn, replace(vm, pin=host.id, job=job.id, doing="vm.place"))
    pass_all(turn)
    objects, placement = {vm.id: vm.name}, {vm.name: host.name}
    return Accepted(job=job.id, kind="vm", objects=objects, placement=placement, dry_run=body.dry_run)


def shutdown(turn: Turn, body: VmVerb) -> Accepted:
    """Press the power button; the guest does the rest, or doesn't within its time. With ``force`` cut its power."""
    vm: Vm = turn.find("vm", body.name)
    turn.lock(vm, take_over=body.force and vm.doing == "vm.shutdown")
    vm = turn.state.vms[vm.id]
    _legal(turn, vm, "cut" if body.force else "shutdown")
    job = turn.begin(
        "vm.shutdown",
        "vm",
        vm.id,
        vm.name,
        owner=vm.owner,
        budget_seconds=body.timeout_seconds or turn.settings.stop_seconds,
        phase="stopping" if body.force else "button",
    )
    vm = replace(vm, job=job.id, doing="vm.shutdown")
    if body.force:
        reason = "its power was cut, as asked"
        vm = replace(vm, desired=Desired.STOPPED, generation=vm.generation + 1, reason=reason)
    turn.put(vm)
    return Accepted(job=job.id, kind="vm", objects={vm.id: vm.name}, dry_run=body.dry_run)


def destroy(turn: Turn, body: VmVerb) -> Accepted:
    """Cut its power, remove definition, disk and record. Takes over from whatever is at work on it.

    In a migration both ends are told to end it: whichever has it, nobody resumes it.
    """
    vm: Vm = turn.find("vm", body.name)
    turn.urgent = True
    if vm.desired is Desired.ABSENT:
        raise Refused(Code.LOCKED, f"{vm.name}: {vm.job} is destroying it", f"tjob-wait {vm.job}")
    turn.lock(vm, take_over=True)
    vm = turn.state.vms[vm.id]
    job = turn.begin("vm.destroy", "vm", vm.id, vm.name, owner=vm.owner, phase="removing")
    generation = vm.generation + 1
    left = {host: replace(what, generation=generation, only_if="", runs=False) for host, what in vm.leftovers.items()}
    if vm.move is not None:
        left[vm.move.destination] = Leftover(generation, claim=True)
    where, left = to_be_removed(turn, vm, generation, vm.host, left)
    vm = replace(
        vm,
        host=where,
        desired=Desired.ABSENT,
        generation=generation,
        waiting=Waiting.NO,
        leftovers=left,
        move=None,
        job=job.id,
        doing="vm.destroy",
        reason="",
    )
    turn.put(vm)
    gone(turn, vm)
    done = vm.id not in turn.state.vms
    return Accepted(job=job.id, kind="vm", objects={vm.id: vm.name}, done=done, dry_run=body.dry_run)


def _legal(turn: Turn, vm: Vm, event: str) -> None:
    state, reason = turn.shown(vm)
    if state is VmState.UNKNOWN:
        raise Refused(
            Code.WRONG_STATE,
            f"can't {event} {vm.name}: it is unknown: {reason}",
            "it starts elsewhere only on evidence: a new boot of its host, or thost-confirm-off",
        )
    if event == "start" and vm.waiting is Waiting.UNPLACED:
        raise Refused(Code.WRONG_STATE, f"can't start {vm.name}: it waits for tvm-place", f"tvm-place {vm.name} HOST")
    life.step("vm", state, event, vm.name)
