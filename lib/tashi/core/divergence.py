"""tashi-divergence, tashi-adopt, tashi-forget: what hosts say against the records, and an administrator's word on it.

Adopting takes a host's fact into the record, under a generation above all that any host has obeyed, so that every host
follows again. Forgetting drops the record, or lets a stray be; no guest is touched by it. Nothing here ends a guest.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from tashi.core.doubts import Restored, compared, newest, reports
from tashi.core.state import State
from tashi.core.turn import Turn
from tashi.model.guest import Guest
from tashi.model.job import JobState
from tashi.model.name import kind_of_id
from tashi.model.vm import Desired, Leftover, NicRecord, Observed, Vm, Waiting, Wish, hosts_of
from tashi.wire.agents import Seen
from tashi.wire.errors import Code, NotFound, Refused
from tashi.wire.messages import Accepted, Named

STEP_MAX = 10**6  # a host's word raises a number that the whole cluster uses by so much at most


class Difference(Struct, frozen=True):
    """One object that somebody has to decide about; ``adopt`` and ``forget`` say what they would do.

    ``number``: its place in the list.
    """

    number: int
    id: str
    name: str
    kind: str
    difference: str
    host: str
    guest: str
    record: str
    owner: str
    adopt: str
    forget: str


def differences(turn: Turn) -> list[Difference]:
    """All of them, by id."""
    doubts = turn.state.doubts
    ids = {*doubts.strays, *doubts.newer, *doubts.missing}
    vms = [_of_vm(turn, vm_id) for vm_id in ids if reports(turn.state, vm_id)]
    hosts = [_of_host(turn, host) for host in {*doubts.uncompared, *doubts.ahead} if host in turn.state.hosts]
    found = sorted(vms + hosts, key=lambda each: (each.kind, int(each.id[2:])))
    return [replace(each, number=number) for number, each in enumerate(found, 1)]


def settle(turn: Turn) -> None:
    """A store that was put back is like any other once all hosts were compared and nothing differs."""
    state = turn.state
    if "restored" in state.meta and not state.doubts.uncompared and not differences(turn):
        state.put("meta", "restored", None)
        state.doubts.confirmed.clear()


def await_hosts(state: State) -> None:
    """The store was put back: every host that may have something is to be compared with it."""
    restored: Restored | None = state.meta.get("restored")
    if restored is not None:
        state.doubts.confirmed.clear()
        enrolled = {host.id for host in state.hosts.values() if host.key}
        state.doubts.uncompared = enrolled - set(restored.left)


def see_number(turn: Turn, vm_id: str) -> None:
    """A guest has this id: no other VM may get it, nor its disk."""
    known = turn.state.counted("vm")
    if kind_of_id(vm_id) == "vm" and known < int(vm_id[2:]) <= known + STEP_MAX:
        turn.state.put("meta", "vm", int(vm_id[2:]))


# -- what differs ----------------------------------------------------------------------------------------------------
def _of_vm(turn: Turn, vm_id: str) -> Difference:
    vm, said = turn.state.vms.get(vm_id), reports(turn.state, vm_id)
    made_of = _made_of(said)
    plan = _plan(turn, vm, said)
    running = [host for host, seen in said.items() if seen.state == "running"]
    if vm is None:
        what = "stray"
    elif plan.twice:
        what = "twice"
    elif any(host not in hosts_of(vm) for host in said):
        what = "elsewhere"
    else:
        what = "missing" if all(seen.state == "absent" for seen in said.values()) else "newer"
    shown = [f"{turn.host_name(host)}: {seen.state}, generation {newest(seen)}" for host, seen in sorted(said.items())]
    record = ""
    if vm is not None:
        record = f"{vm.desired.value}{f' on {turn.host_name(vm.host)}' if vm.host else ''}, generation {vm.generation}"
    name = vm.name if vm is not None else (made_of.name if made_of is not None else next(iter(said.values())).name)
    stays = [turn.host_name(host) for host in sorted(said) if said[host].state != "absent"]
    if vm is None:
        forget = f"{', '.join(stays)} keeps it, and it is not told again"
    else:
        forget = f"the record goes, {', '.join(stays)} keeps the guest" if stays else "the record goes"
    return Difference(
        number=0,
        id=vm_id,
        name=name or vm_id,
        kind="vm",
        difference=what,
        host=turn.host_name((running or sorted(said))[0]),
        guest="; ".join(shown),
        record=record,
        owner=vm.owner if vm is not None else (made_of.owner if made_of is not None else ""),
        adopt=plan.why_not or plan.text,
        forget=forget,
    )


def _of_host(turn: Turn, host_id: str) -> Difference:
    host, doubts = turn.state.hosts[host_id], turn.state.doubts
    if host_id in doubts.ahead:
        what, guest = "epoch", f"its agent has obeyed epoch {doubts.ahead[host_id]}"
        adopt = "this store is the one: take an epoch above, and compare all hosts"
        forget = "not possible: it is not heard until this is decided, and nothing is done there"
    else:
        what, guest = "silent", turn.host_unknown(host_id) or "not reported yet"
        adopt = "not possible: what is there is not known"
        forget = "it is not waited for; what it has is told when it reports"
    return Difference(0, host_id, host.name, "host", what, host.name, guest, "", "", adopt, forget)


class _Plan(Struct, frozen=True):
    """Where the guest is, if somebody takes the hosts' word: nowhere when ``host`` is empty."""

    host: str = ""
    running: bool = False
    twice: bool = False
    text: str = ""
    why_not: str = ""


def _plan(turn: Turn, vm: Vm | None, said: dict[str, Seen]) -> _Plan:
    running = [host for host, seen in said.items() if seen.state == "running"]
    if vm is not None and vm.host and vm.host not in said and vm.observed is not None:
        home = vm.observed.host == vm.host and vm.observed.state == "running" and not turn.host_unknown(vm.host)
        running += [vm.host] if home else []
    names = ", ".join(turn.host_name(host) for host in sorted(running))
    if len(running) > 1:
        return _Plan(twice=True, why_not=f"not possible: it runs on {names}; end one of them there")
    if any(seen.moving for seen in said.values()):
        return _Plan(why_not="not possible while it migrates: see again later")
    if running:
        return _Plan(running[0], True, text=f"it runs on {names}")
    stopped = [host for host, seen in said.items() if seen.state == "stopped"]
    if stopped:
        host = max(stopped, key=lambda each: newest(said[each]))
        return _Plan(host, text=f"it is stopped on {turn.host_name(host)}")
    paused = [host for host, seen in said.items() if seen.state == "paused"]
    if paused:
        where = ", ".join(turn.host_name(host) for host in sorted(paused))
        return _Plan(why_not=f"not possible: it is paused on {where}; resume it or end it there")
    return _Plan(text="it is stopped, and on no host")


def _made_of(said: dict[str, Seen]) -> Guest | None:
    return next((seen.guest for seen in said.values() if seen.guest is not None), None)


# -- an administrator's word -----------------------------------------------------------------------------------------
def adopt(turn: Turn, body: Named) -> Accepted:
    """Believe the hosts."""
    kind, key, name = _find(turn, body.name)
    if kind == "host":
        return _adopt_epoch(turn, key, name, body.dry_run)
    state, said = turn.state, reports(turn.state, key)
    vm = state.vms.get(key)
    plan = _plan(turn, vm, said)
    if plan.why_not:
        raise Refused(Code.WRONG_STATE, f"{name}: {plan.why_not}", "tashi-divergence")
    record = vm if vm is not None else _record(turn, key, name, said)
    job = turn.begin("vm.adopt", "vm", key, record.name, owner=record.owner)
    if record.job:
        turn.end(record.job, JobState.FAILED, "the hosts' word was taken")
        record = state.vms[key]
    generation = 1 + max([record.generation, *(newest(seen) for seen in said.values())])
    others = [*said, *(hosts_of(vm) if vm is not None else [])]
    left = {
        host: Leftover(generation, only_if="paused", claim=True)
        for host in others
        if host != plan.host and host in state.hosts and (host not in said or said[host].state != "absent")
    }
    where = replace(
        record,
        host=plan.host,
        desired=Desired.RUNNING if plan.running else Desired.STOPPED,
        generation=generation,
        waiting=Waiting.NO,
        move=None,
        leftovers=left,
        # A host had it, or says so: what it wrote is not to be replaced by an empty disk.
        disk_made=bool(record.disk),
        disk_proven=bool(record.disk),
        observed=_observed(plan, generation, said),
        job="",
        doing="",
        failure="",
        reason="" if plan.running else "taken over as its host had it",
    )
    turn.put(where)
    _drop_strays(turn, key)
    turn.end(job.id, JobState.DONE, plan.text)
    placement = {where.name: turn.host_name(plan.host)} if plan.host else {}
    return Accepted(
        job=job.id, kind="vm", objects={key: where.name}, placement=placement, done=True, dry_run=body.dry_run,
        note=plan.text,
    )  # fmt: skip


def _observed(plan: _Plan, generation: int, said: dict[str, Seen]) -> Observed | None:
    if not plan.host:
        return None
    seen = said.get(plan.host)
    state = "running" if plan.running else "stopped"
    own = seen.generation if seen is not None else 0
    return Observed(plan.host, state, own, generation - 1, "done")


def _record(turn: Turn, vm_id: str, name: str, said: dict[str, Seen]) -> Vm:
    """A record of what a stray's own metadata says."""
    guest = _made_of(said)
    if guest is None or not guest.disks:
        raise Refused(
            Code.IMPOSSIBLE, f"{name}: its domain does not say what it was made of", "tashi-forget leaves it as it is"
        )
    disk, images = guest.disks[0], turn.state.images
    image = images.get(guest.image)
    if image is None or image.path != disk.base:
        image = next((each for each in images.values() if each.path == disk.base), None)
    if image is None:
        raise Refused(Code.WRONG_STATE, f"{name}: its image {disk.base} has no record", "timg-add it first")
    owner = guest.owner or turn.who.name
    taken = [turn.state.vms[other] for other in turn.state.names["vm"].get(guest.name, ())]
    free = all(other.owner != owner for other in taken)
    return Vm(
        id=vm_id,
        name=guest.name if free else f"{guest.name[:40]}-{vm_id[2:]}",
        owner=owner,
        image=image.id,
        cores=guest.cores,
        memory_bytes=guest.memory_bytes,
        created_at=guest.created_at or turn.at(),
        disk_bytes=disk.size_bytes,
        disk=disk.path,
        nics=tuple(NicRecord(nic.network, nic.mac) for nic in guest.nics),
        hints=guest.hints,
        wish=Wish(features=(f"firmware={guest.firmware}",)) if guest.firmware else None,
    )


def _drop_strays(turn: Turn, vm_id: str) -> None:
    """The record has them now: what they use is the record's claim, no longer the host's own."""
    for host_id, seen in turn.state.doubts.strays.get(vm_id, {}).items():
        host = turn.state.hosts.get(host_id)
        if host is not None and vm_id in host.strays:
            uses = seen.state in ("running", "paused")
            turn.put(
                replace(
                    host,
                    strays=tuple(each for each in host.strays if each != vm_id),
                    left=tuple(each for each in host.left if each != vm_id),
                    foreign_cores=max(0, host.foreign_cores - seen.cores * uses),
                    foreign_memory_bytes=max(0, host.foreign_memory_bytes - seen.memory_bytes * uses),
                )
            )


def _adopt_epoch(turn: Turn, host_id: str, name: str, dry_run: bool) -> Accepted:
    state = turn.state
    ahead = state.doubts.ahead.get(host_id)
    if ahead is None:
        hint = f"tashi-forget {name}: do not wait for it"
        raise Refused(Code.WRONG_STATE, f"{name}: what is there is not known", hint)
    job = turn.begin("host.adopt", "host", host_id, name)
    if "restored" not in state.meta:
        counters = {kind: number for kind, number in state.meta.items() if isinstance(number, int)}
        state.put("meta", "restored", Restored(turn.at(), counters))
    turn.epoch_above = max(state.doubts.ahead.values())
    turn.end(job.id, JobState.DONE, f"an epoch above {turn.epoch_above}")
    return Accepted(job=job.id, kind="host", objects={host_id: name}, done=True, dry_run=dry_run)


def forget(turn: Turn, body: Named) -> Accepted:
    """Drop the record, or leave a stray alone, or wait for a host no longer."""
    kind, key, name = _find(turn, body.name)
    if kind == "host":
        return _forget_host(turn, key, name, body.dry_run)
    said, vm = reports(turn.state, key), turn.state.vms.get(key)
    job = turn.begin("vm.forget", "vm", key, name, owner=vm.owner if vm is not None else "")
    if vm is not None:
        if vm.job:
            turn.end(vm.job, JobState.FAILED, "its record was dropped")
        turn.remove(turn.state.vms[key])
    stays = [host for host, seen in said.items() if seen.state != "absent" and host in turn.state.hosts]
    for host in stays:
        record = turn.state.hosts[host]
        turn.put(replace(record, left=(*record.left, key), strays=tuple(sorted({*record.strays, key}))))
    names = ", ".join(turn.host_name(host) for host in stays)
    text = f"{names} keeps the guest" if stays else ""
    turn.end(job.id, JobState.DONE, text)
    objects = {key: name} if vm is not None else {host: turn.host_name(host) for host in stays}
    return Accepted(
        job=job.id, kind="vm" if vm is not None else "host", objects=objects, done=True, dry_run=body.dry_run, note=text
    )


def _forget_host(turn: Turn, host_id: str, name: str, dry_run: bool) -> Accepted:
    restored: Restored | None = turn.state.meta.get("restored")
    if restored is None or host_id not in turn.state.doubts.uncompared:
        why = "its agent has obeyed a newer store than this, and is not heard until that is decided"
        raise Refused(Code.WRONG_STATE, f"{name}: {why}", f"tashi-adopt {name}: this store is the one")
    job = turn.begin("host.forget", "host", host_id, name)
    turn.state.put("meta", "restored", replace(restored, left=(*restored.left, host_id)))
    if not dry_run:
        compared(turn.state, host_id)
    turn.end(job.id, JobState.DONE, "it is not waited for")
    return Accepted(job=job.id, kind="host", objects={host_id: name}, done=True, dry_run=dry_run)


def _find(turn: Turn, ref: str) -> tuple[str, str, str]:
    """(kind, id, name) of what differs under this id or name."""
    found = [each for each in differences(turn) if ref in (each.id, each.name)]
    if not found:
        raise NotFound(f"{ref}: nothing speaks against it", "tashi-divergence lists what differs")
    if len(found) > 1:
        ids = ", ".join(each.id for each in found)
        raise Refused(Code.CONFLICT, f"{ref}: ambiguous, it may be {ids}", "give the id")
    return found[0].kind, found[0].id, found[0].name
