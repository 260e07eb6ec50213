"""Operations: what may be cancelled and how, what a spent budget means, and which one-shot an agent still owes us."""

from __future__ import annotations

from msgspec.structs import replace

from tashi.core import consoles, handover, images, metal_power, move, switch_calls, switch_change
from tashi.core.doubts import why_held
from tashi.core.metal_rows import SHOTS
from tashi.core.observe import STARTING, gone
from tashi.core.turn import Turn
from tashi.model.job import Job, JobState
from tashi.model.vm import Desired, Vm, Waiting
from tashi.wire.agents import Shot, ShotDone
from tashi.wire.errors import Code, Refused
from tashi.wire.messages import Accepted, Named


def cancel(turn: Turn, body: Named) -> Accepted:
    """tjob-cancel: itself an operation, whose outcome says whether it came in time."""
    job: Job = turn.find("job", body.name)
    turn.urgent = True
    if job.state is not JobState.RUNNING:
        raise Refused(Code.WRONG_STATE, f"{job.id}: it is {job.state.value} already")
    if job.owner != turn.who.name and not turn.sees_all():
        raise Refused(Code.DENIED, f"{job.id}: it belongs to {job.owner}")
    if job.verb not in CANCELS:
        raise Refused(Code.TOO_LATE, f"{job.id}: {job.verb} can't be cancelled")
    canceller = CANCELS[job.verb](turn, job)
    done = canceller.id not in turn.state.jobs
    return Accepted(job=canceller.id, kind="job", objects={job.id: job.name}, done=done, dry_run=body.dry_run)


def _canceller(turn: Turn, job: Job) -> Job:
    return turn.begin("job.cancel", "job", job.id, job.name, owner=job.owner)


def _cancel_start(turn: Turn, job: Job) -> Job:
    """A start that did not come to its end: the VM is stopped; one that was never placed is as if never asked."""
    canceller = _canceller(turn, job)
    turn.put(replace(job, cancelling=canceller.id))
    parts = turn.state.children.get(job.id)
    for part in [turn.state.jobs[i] for i in sorted(parts)] if parts else [turn.state.jobs[job.id]]:
        vm = turn.state.vms[part.target]
        reason = "cancelled"
        if vm.doing == "vm.create" and vm.waiting:
            gone(turn, turn.put(replace(vm, desired=Desired.ABSENT, waiting=Waiting.NO, job="")))
        else:
            turn.put(
                replace(
                    vm,
                    desired=Desired.STOPPED,
                    waiting=Waiting.NO,
                    generation=vm.generation + (not vm.waiting),  # what waits was never ordered to run
                    reason=reason,
                )
            )
        turn.end(part.id, JobState.CANCELLED, reason)
    return canceller


def _cancel_move(turn: Turn, job: Job) -> Job:
    vm = turn.state.vms[job.target]
    if vm.move is None:
        raise Refused(Code.TOO_LATE, f"{job.id}: {vm.name} runs on {turn.host_name(vm.host)} already")
    return move.cancel(turn, vm, "job.cancel")


def _cancel_shutdown(turn: Turn, job: Job) -> Job:
    """A pressed button can't be let go; but nobody waits for the guest any more."""
    canceller = _canceller(turn, job)
    turn.end(job.id, JobState.CANCELLED, "no longer waited for; the guest may still stop")
    turn.end(canceller.id, JobState.DONE)
    return canceller


def _cancel_drain(turn: Turn, job: Job) -> Job:
    canceller = _canceller(turn, job)
    turn.end(job.id, JobState.CANCELLED, "migrations under way go on; the host stays as it is")
    turn.end(canceller.id, JobState.DONE)
    return canceller


def _cancel_power(turn: Turn, job: Job) -> Job:
    canceller = _canceller(turn, job)
    metal_power.cancel(turn, job)
    turn.end(canceller.id, JobState.DONE)
    return canceller


def _cancel_handover(turn: Turn, job: Job) -> Job:
    """It is undone from the next safe point on; how that ends is the canceller's end, too."""
    canceller = _canceller(turn, job)
    handover.call_back(turn, job, canceller)
    return canceller


def _cancel_console(turn: Turn, job: Job) -> Job:
    canceller = _canceller(turn, job)
    consoles.cut(turn, turn.put(replace(job, cancelling=canceller.id)), Code.WRONG_STATE, f"ended by {turn.who.name}")
    return canceller


def _cancel_backup(turn: Turn, job: Job) -> Job:
    canceller = _canceller(turn, job)
    turn.end(job.id, JobState.CANCELLED, "cancelled")
    turn.end(canceller.id, JobState.DONE)
    return canceller


CANCELS = {
    "backup": _cancel_backup,
    consoles.CONSOLE: _cancel_console,
    "vm.create": _cancel_start,
    "vm.start": _cancel_start,
    "vm.place": _cancel_start,
    "vm.migrate": _cancel_move,
    "vm.shutdown": _cancel_shutdown,
    "host.drain": _cancel_drain,
    handover.ALLOCATE: _cancel_handover,
    handover.RELEASE: _cancel_handover,
    **dict.fromkeys(("machine.on", "machine.off", "machine.soft", "machine.look", *SHOTS), _cancel_power),
}


TOO_SLOW = "the guest did not stop in time; tvm-shutdown --force cuts its power, and keeps the disk"
OWING = ("checking", "button", "abort")  # phases in which an agent owes us a one-shot


def shot_owed(turn: Turn, job: Job) -> tuple[str, Shot] | None:
    """(host, one-shot) that this operation waits for an agent to do, or None."""
    if job.phase not in OWING:
        return None
    left = turn.budget_left(job)
    if job.kind == "image" and job.phase == "checking":
        image = turn.state.images.get(job.target)
        if image is None:
            return None
        args = {"path": image.path, "format": image.format, "kernel": image.kernel, "initrd": image.initrd}
        return str(job.result["host"]), Shot(0, job.id, "inspect-image", args=args, seconds=left)
    vm = turn.state.vms.get(job.target)
    if vm is None or why_held(turn.state, vm):
        return None
    if job.verb == "vm.shutdown" and job.phase == "button":
        return vm.host, Shot(0, job.id, "power-button", vm.id, vm.generation, seconds=left)
    if job.phase == "abort" and vm.move is not None:
        return vm.move.source, Shot(0, job.id, "abort-move", vm.id, vm.generation, seconds=left)
    return None


def shot_done(turn: Turn, done: ShotDone) -> None:
    """An agent has done a one-shot, or can't say whether it did."""
    job = turn.state.jobs.get(done.job)
    if job is None:
        return
    if job.kind == "image":
        images.checked(turn, job, done)
    elif job.verb == "vm.shutdown" and job.phase == "button":
        if done.outcome == "failed":
            turn.end(job.id, JobState.FAILED, done.reason)
        else:
            turn.phase(job.id, "waits for the guest", done.reason)
    elif job.phase == "abort":
        turn.phase(job.id, "aborting", done.reason)


def budget_spent(turn: Turn, job: Job) -> None:
    """Its time is up. Nothing is guessed: the host goes on being asked, and the record says what is known."""
    vm: Vm | None = turn.state.vms.get(job.target) if job.kind == "vm" else None
    if job.verb in STARTING and vm is not None:
        if vm.waiting:
            return
        silent = turn.host_unknown(vm.host) or f"{turn.host_name(vm.host)} did not start it in time"
        turn.end(job.id, JobState.FAILED, f"{silent}; it is asked again")
    elif job.verb == "vm.shutdown":
        cut = vm is not None and vm.desired is Desired.STOPPED
        late = "its host did not end it in time; it is asked again" if cut else TOO_SLOW
        turn.end(job.id, JobState.FAILED, late)
    elif job.verb == "vm.migrate" and vm is not None and vm.move is not None:
        if not job.cancelling:
            aborting = move.cancel(turn, vm, "vm.migrate")
            vm = turn.state.vms[vm.id]
            if vm.move is not None:
                why = f"its time is up, {aborting.id} calls it back"
                turn.put(replace(vm, move=replace(vm.move, reason=why)))
                turn.phase(job.id, job.phase, why)
    elif job.kind == "image":
        image = turn.state.images.get(job.target)
        if image is not None:
            turn.remove(image)
        turn.end(job.id, JobState.FAILED, "no host could check its header in time")
    elif job.verb in handover.VERBS:
        handover.late(turn, job)
    elif job.verb == consoles.CONSOLE:
        consoles.budget_spent(turn, job)
    elif job.kind == "machine":
        metal_power.budget_spent(turn, job)
    elif job.kind == "switch":
        changes = job.result[switch_calls.CALL] in switch_change.SHAPES
        (switch_change if changes else switch_calls).budget_spent(turn, job)
    elif job.phase in ("abort", "aborting"):
        turn.phase(job.id, "aborting", "the source does not answer; asked again")
    else:
        turn.end(job.id, JobState.FAILED, "its time is up")
