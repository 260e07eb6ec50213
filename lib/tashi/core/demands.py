"""Records as placement sees them: a VM is a demand and a claim, a host is a supply."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from tashi.model.host import Health, Host, HostState
from tashi.model.vm import Vm, Wish
from tashi.sched.demand import NO_RULES, Demand, Order, Rules
from tashi.sched.supply import Reservation, Supply
from tashi.sched.view import HOST_LABEL

UNHEARD = "its agent has not reported yet"
NOBODY: frozenset[str] = frozenset()
ORDERS: dict[str, Order] = {"pack": "pack", "spread": "spread"}


class Ratios(NamedTuple):
    """How much may be promised of what the hosts have, where a host has no ratio of its own."""

    cores: float = 1.0
    memory: float = 1.0


def claim_of(vm: Vm) -> Demand:
    """What a VM counts for on a host."""
    if vm.wish is None:
        return _plain(vm.cores, vm.memory_bytes)
    return Demand(vm.cores, vm.memory_bytes, rules=rules_of(vm.owner, vm.wish))


def demand_of(
    vm: Vm,
    groups: tuple[str, ...] = (),
    pin: str = "",
    exclude: frozenset[str] = NOBODY,
    kept: frozenset[str] = NOBODY,
    *,
    firm: bool = False,
    disk_bytes: int = 0,
) -> Demand:
    """What a VM asks of the host that it is to get. ``groups`` are its owner's.

    ``firm``: the pin is no wish, whatever the VM says. ``disk_bytes``: of the shared pool, not counted there yet.
    """
    wish = vm.wish
    if wish is None:
        if not (pin or exclude or kept or disk_bytes):
            return _plain(vm.cores, vm.memory_bytes, vm.owner, groups)
        return Demand(
            vm.cores,
            vm.memory_bytes,
            disk=(("", disk_bytes),) if disk_bytes else (),
            owner=vm.owner,
            groups=frozenset(groups) if groups else NOBODY,
            pin=pin,
            exclude=exclude,
            kept=kept,
        )
    return Demand(
        vm.cores,
        vm.memory_bytes,
        disk=(("", disk_bytes),) if disk_bytes else (),
        features=frozenset(wish.features),
        labels=frozenset(wish.labels.items()),
        versions=tuple(sorted(wish.versions.items())),
        owner=vm.owner,
        groups=frozenset(groups),
        rules=rules_of(vm.owner, wish),
        pin=pin,
        fallback=wish.fallback and not firm,
        exclude=exclude,
        kept=kept,
        order=ORDERS.get(wish.policy),
    )


def rules_of(owner: str, wish: Wish) -> Rules:
    """Groups are their owner's: another's of the same name is another group."""
    if not (wish.group or wish.apart or wish.together or wish.away or wish.near or wish.spread):
        return NO_RULES

    def theirs(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"{owner}/{name}" for name in names)

    return Rules(
        f"{owner}/{wish.group}" if wish.group else "",
        theirs(wish.apart),
        theirs(wish.together),
        theirs(wish.away),
        theirs(wish.near),
        wish.spread,
        wish.skew,
    )


def supply_of(host: Host, unreachable: str, ratios: Ratios, failures: int = 0) -> Supply:
    """A host as it is now. ``unreachable``: what the contact with its agent has against it. ``failures``: lately."""
    facts, terms = host.facts, host.terms
    unwell = unreachable
    if not unwell and host.health is not Health.UP:
        unwell = f"{host.health.value}: {host.reason}" if host.reason else host.health.value
    return Supply(
        host.id,
        facts.cores if facts is not None else 0,
        facts.memory_bytes if facts is not None else 0,
        kept_cores=terms.kept_cores,
        kept_memory_bytes=terms.kept_memory_bytes,
        cores_ratio=_exact(terms.cores_ratio or ratios.cores),
        memory_ratio=_exact(terms.memory_ratio or ratios.memory),
        foreign_cores=host.foreign_cores,
        foreign_memory_bytes=host.foreign_memory_bytes,
        closed="" if host.state is HostState.NORMAL else host.state.value,
        unwell=unwell,
        features=_features(facts.accelerator, facts.backend, facts.cpu_model, facts.cpu_flags, facts.firmware)
        if facts is not None
        else NOBODY,
        labels=frozenset({**terms.labels, HOST_LABEL: host.name}.items()),
        versions=tuple(sorted(facts.versions.items())) if facts is not None else (),
        reservation=Reservation(frozenset(terms.users), frozenset(terms.groups), terms.until_wall)
        if terms.users or terms.groups
        else None,
        failures=failures,
    )


@lru_cache(maxsize=4096)  # the same few sizes come again and again
def _plain(cores: int, memory_bytes: int, owner: str = "", groups: tuple[str, ...] = ()) -> Demand:
    return Demand(cores, memory_bytes, owner=owner, groups=frozenset(groups))


@lru_cache(maxsize=4096)  # machines of one delivery have one set
def _features(
    accelerator: str, backend: str, cpu_model: str, cpu_flags: tuple[str, ...], firmware: tuple[str, ...]
) -> frozenset[str]:
    """What a VM can ask for with --feature."""
    named = (
        ("accel", accelerator),
        ("backend", backend),
        ("cpu-model", cpu_model),
        *(("cpu", each) for each in cpu_flags),
        *(("firmware", each) for each in firmware),
    )
    return frozenset(f"{key}={value}" for key, value in named if value)


@lru_cache(maxsize=256)
def _exact(ratio: float) -> Fraction:
    """The ratio as it was written: 1.1 is eleven tenths."""
    return Fraction(str(ratio))
