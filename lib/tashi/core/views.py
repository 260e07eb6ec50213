"""What each field of `tashi.model.fields` is, for a record as it stands now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tashi.core import quota
from tashi.core.certificates import near_end
from tashi.core.keys import of_user
from tashi.core.lease_views import LEASES
from tashi.core.metal_views import METAL
from tashi.core.placement import times_passed
from tashi.core.state import NOTHING
from tashi.core.turn import Turn
from tashi.core.uses import Use
from tashi.model.host import Health, Host, HostState
from tashi.model.job import Job, JobState
from tashi.model.quota import Amount
from tashi.model.units import stamp, unstamp
from tashi.model.user import Key
from tashi.model.vm import Vm

Getter = Callable[[Turn, Any], Any]


def getter_of(noun: str, key: str) -> Getter:
    """What gives the value of one field; absent is None or an empty text."""
    return (
        _DERIVED.get(noun, {}).get(key)
        or METAL.get(noun, {}).get(key)
        or LEASES.get(noun, {}).get(key)
        or _attribute(key)
    )


def value_of(turn: Turn, noun: str, key: str, record: Any) -> Any:
    """The value of one field of one record."""
    return getter_of(noun, key)(turn, record)


def _attribute(key: str) -> Getter:
    return lambda turn, record: getattr(record, key)


def _vm_state(turn: Turn, vm: Vm) -> str:
    return turn.shown(vm)[0].value


def _vm_reason(turn: Turn, vm: Vm) -> str:
    return turn.shown(vm)[1]


def _rules(turn: Turn, vm: Vm) -> list[str]:
    wish = vm.wish
    if wish is None:
        return []
    rules = [f"label:{key}={value}" for key, value in wish.labels.items()]
    rules += [f"feature:{feature}" for feature in wish.features]
    rules += [f"at-least:{program}={least}" for program, least in wish.versions.items()]
    for word in ("apart", "together", "away", "near"):
        rules += [f"{word}:{group}" for group in getattr(wish, word)]
    rules += [f"spread:{wish.spread}"] if wish.spread else []
    return rules + ([f"policy:{wish.policy}"] if wish.policy else [])


def _image_name(turn: Turn, vm: Vm) -> str:
    image = turn.state.images.get(vm.image)
    return image.name if image is not None else vm.image


def _health(turn: Turn, host: Host) -> str:
    if turn.host_unknown(host.id):
        return Health.UNKNOWN.value
    odd = host.health is Health.UP and near_end(turn, host)
    return Health.DEGRADED.value if odd else host.health.value


def _host_reason(turn: Turn, host: Host) -> str:
    unknown = turn.host_unknown(host.id)
    if host.id in turn.state.doubts.ahead:
        return "its agent has obeyed a newer store than this; see tashi-divergence"
    if unknown:
        word = f"; confirmed to be off by {host.off}" if host.off else ""
        return unknown.removeprefix(f"{host.name} is ").removeprefix(f"{host.name} ") + word
    strays = [vm for vm in host.strays if vm not in host.left]
    odd = f"strays: {', '.join(strays)}; see tashi-divergence" if strays else ""
    return (
        host.reason
        or turn.state.troubles.unsteady(host.id)
        or near_end(turn, host)
        or odd
        or _why_not_empty(turn, host)
    )


def _why_not_empty(turn: Turn, host: Host) -> str:
    """Of one that is to be drained: everybody may see a host, so no VM is named, but where that is said to who may."""
    if host.state is not HostState.DRAINING:
        return ""
    if host.job:
        job = turn.state.jobs.get(host.job)
        return f"waits; tjob-show {host.job} tells what for" if job is not None and job.reason else ""
    stayed = _vms_on(turn, host)
    told = f"tjob-list verb=host.drain name={host.name} tells why"
    return f"{stayed} VM{'s' * (stayed > 1)} stayed; {told}" if stayed else ""


def _vms_on(turn: Turn, host: Host) -> int:
    return sum(1 for vm in turn.state.vms_of_host.get(host.id, ()) if turn.state.vms[vm].host == host.id)


def _seen_at(turn: Turn, host: Host) -> str:
    """When its agent was last heard; the record knows only when it last said something new of its host."""
    contact = turn.contacts.get(host.id)
    return stamp(turn.now.wall - (turn.now.monotonic - contact.heard)) if contact is not None else host.seen_at


def _used(turn: Turn, host: Host) -> tuple[int, int]:
    try:
        cores, memory = turn.state.index.used(host.id)
    except KeyError:
        return 0, 0
    return cores + host.foreign_cores, memory + host.foreign_memory_bytes


def _fact(key: str) -> Getter:
    return lambda turn, host: getattr(host.facts, key) if host.facts is not None else None


def _result(key: str) -> Getter:
    return lambda turn, job: job.result.get(key)


def _progress(key: str) -> Getter:
    def getter(turn: Turn, job: Job) -> int | None:
        moving = turn.state.progress.get(job.target) if job.verb == "vm.migrate" else None
        vm = turn.state.vms.get(job.target)
        current = moving is not None and vm is not None and vm.job == job.id and moving.generation == vm.generation
        return getattr(moving, key) if current else None

    return getter


def _held(key: str) -> Getter:
    return lambda turn, user: getattr(turn.state.held.get(user.name, NOTHING), key)


def _limit(key: str) -> Getter:
    return lambda turn, user: _number(getattr(quota.limits_of(turn, user.name), key))


def _held_by_group(key: str) -> Getter:
    return lambda turn, group: getattr(quota.held_by_group(turn.state, group.name), key)


def _group_limit(key: str) -> Getter:
    return lambda turn, group: _number(getattr(group.quota, key))


def _use(turn: Turn, key: Key) -> Use | None:
    return turn.state.uses.of(key.public)


def _number(limit: int) -> int | None:
    return None if limit < 0 else limit


_DERIVED: dict[str, dict[str, Getter]] = {
    "vm": {
        "state": _vm_state,
        "reason": _vm_reason,
        "host": lambda turn, vm: turn.host_name(vm.host),
        "image": _image_name,
        "destination": lambda turn, vm: turn.host_name(vm.move.destination) if vm.move is not None else "",
        "desired": lambda turn, vm: vm.desired.value,
        "passed": lambda turn, vm: times_passed(turn, vm) if vm.waiting else None,
        "kept": lambda turn, vm: turn.host_name(vm.kept),
        "hold_until": lambda turn, vm: stamp(vm.hold_until_wall) if vm.hold_until_wall else "",
        "group": lambda turn, vm: vm.wish.group if vm.wish is not None else "",
        "rules": _rules,
        "nics": lambda turn, vm: [f"{nic.network}/{nic.mac}" for nic in vm.nics],
    },
    "host": {
        "state": lambda turn, host: host.state.value,
        "health": _health,
        "reason": _host_reason,
        "vms": _vms_on,
        "cores": _fact("cores"),
        "memory_bytes": _fact("memory_bytes"),
        "disk_bytes": _fact("disk_bytes"),
        "disk_used_bytes": _fact("disk_used_bytes"),
        "accelerator": _fact("accelerator"),
        "versions": _fact("versions"),
        "backend": _fact("backend"),
        "cpu_model": _fact("cpu_model"),
        "cpu_flags": lambda turn, host: list(host.facts.cpu_flags) if host.facts is not None else None,
        "firmware": lambda turn, host: list(host.facts.firmware) if host.facts is not None else None,
        "migrate_uri": _fact("migrate_uri"),
        "cores_used": lambda turn, host: _used(turn, host)[0],
        "memory_used_bytes": lambda turn, host: _used(turn, host)[1],
        "cores_kept": lambda turn, host: host.terms.kept_cores,
        "memory_kept_bytes": lambda turn, host: host.terms.kept_memory_bytes,
        "cores_ratio": lambda turn, host: host.terms.cores_ratio or turn.state.ratios.cores,
        "memory_ratio": lambda turn, host: host.terms.memory_ratio or turn.state.ratios.memory,
        "cores_free": lambda turn, host: turn.state.index.free(host.id)[0],
        "memory_free_bytes": lambda turn, host: turn.state.index.free(host.id)[1],
        "labels": lambda turn, host: host.terms.labels,
        "reserved_users": lambda turn, host: list(host.terms.users),
        "reserved_groups": lambda turn, host: list(host.terms.groups),
        "reserved_until": lambda turn, host: stamp(host.terms.until_wall) if host.terms.until_wall else "",
        "certificate_until": lambda turn, host: stamp(host.certificates[-1].until_wall) if host.certificates else "",
        "seen_at": _seen_at,
        "enrolled": lambda turn, host: "yes" if host.key else "no",
    },
    "image": {
        "vms": lambda turn, image: sum(1 for vm in turn.state.vms.values() if vm.image == image.id),
    },
    "user": {
        "uid": lambda turn, user: user.uid if user.uid >= 0 else None,
        "key": lambda turn, user: next((key.public for key in reversed(of_user(turn.state, user.name))), ""),
        "keys": lambda turn, user: len(of_user(turn.state, user.name)),
        "groups": lambda turn, user: list(user.groups),
        **{key: _held(key) for key in Amount._fields},
        **{f"quota_{key}": _limit(key) for key in Amount._fields},
    },
    "group": {
        "users": lambda turn, group: list(turn.state.members.get(group.name, ())),
        **{key: _held_by_group(key) for key in Amount._fields},
        **{f"quota_{key}": _group_limit(key) for key in Amount._fields},
    },
    "key": {
        "age_seconds": lambda turn, key: round(turn.now.wall - unstamp(key.created_at), 3),
        "last_used_at": lambda turn, key: stamp(use.wall) if (use := _use(turn, key)) else "",
        "last_address": lambda turn, key: next(reversed(use.addresses)) if (use := _use(turn, key)) else "",
        "addresses": lambda turn, key: use.lately(turn.now.wall) if (use := _use(turn, key)) else [],
    },
    "job": {
        "decision": lambda turn, job: turn.decision_of(job),
        "state": lambda turn, job: job.state.value,
        "outcome": lambda turn, job: "" if job.state is JobState.RUNNING else job.state.value,
        "budget_seconds": lambda turn, job: job.budget_seconds or None,
        **{key: _progress(key) for key in ("done_bytes", "total_bytes", "bytes_per_second")},
        **{
            key: _result(key)
            for key in ("from", "to", "total_seconds", "downtime_seconds", "bytes", "digest", "answer")
        },
    },
}
