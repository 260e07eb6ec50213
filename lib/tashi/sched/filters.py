"""The filters: each says of one host why a demand can't go there, with what is wanted and what there is.

They are the definition. The index must come to the same answer without asking them host by host.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

from tashi.model.units import format_size
from tashi.sched.demand import SHARED, Demand
from tashi.sched.policy import Policy
from tashi.sched.supply import Supply
from tashi.sched.view import Room, View, names

HOST = "{host}"


class Refusal(NamedTuple):
    """Why not. ``cure`` is what would make this host fit, as far as one filter knows; HOST stands for its name."""

    filter: str
    wanted: str
    available: str
    cure: str = ""

    @property
    def text(self) -> str:
        return f"needs {self.wanted}, {self.available}" if self.wanted else self.available


class Question:
    """A demand that is being put to every host. ``wall``, seconds since 1970, decides which reservations have ended."""

    def __init__(self, view: View, demand: Demand, policy: Policy, wall: float) -> None:
        self.view, self.demand, self.policy, self.wall = view, demand, policy, wall

    @cached_property
    def asked(self) -> list[Filter]:
        """Those that have something to ask for this demand."""
        return [each for name, each in FILTERS.items() if name in self.policy.filters and each.about(self.demand)]

    @cached_property
    def values(self) -> set[str]:
        """The values of the demand's spread label that count: some host that has it would do but for what is placed

        there. It need not have room now.
        """
        label = self.demand.rules.spread
        return {
            room.labels[label] for room in self.view.rooms.values() if label in room.labels and self._would_do(room)
        }

    @cached_property
    def fewest(self) -> int:
        """How many of the demand's group the value that has the fewest has."""
        tally = self.view.tally(self.demand.rules.group, self.demand.rules.spread)
        return min((tally.get(value, 0) for value in self.values), default=0)

    def _would_do(self, room: Room) -> bool:
        if not room.geometry.could_hold(self.demand.cores, self.demand.memory_bytes):
            return False
        if any(pool != SHARED and room.disk_free(pool) is None for pool, _ in self.demand.disk):
            return False
        return not any(each.fixed and each.why_not(self, room) for each in self.asked)

    def refusals(self, room: Room) -> list[Refusal]:
        """What every filter has against a host, in their order."""
        return [no._replace(filter=each.name) for each in self.asked if (no := each.why_not(self, room))]

    def fits(self, room: Room) -> bool:
        return not any(each.why_not(self, room) for each in self.asked)


WhyNot = Callable[[Question, Room], Refusal | None]


def _any(demand: Demand) -> object:
    return True


class Filter(NamedTuple):
    """``fixed``: it looks at what a host is, never at what is placed there.

    ``about``: whether a demand gives it anything to ask.
    """

    name: str
    reason: str
    why_not: WhyNot
    fixed: bool = False
    about: Callable[[Demand], object] = _any


def _no(wanted: str, available: str, cure: str = "") -> Refusal:
    return Refusal("", wanted, available, cure)


def _pin(question: Question, room: Room) -> Refusal | None:
    demand = question.demand
    if not demand.pin or demand.fallback or room.host == demand.pin:
        return None
    return _no("", "not the host asked for", "ask for it, or for none")


def _state(question: Question, room: Room) -> Refusal | None:
    return _no("", room.supply.closed, f"thost-resume {HOST}") if room.supply.closed else None


def _health(question: Question, room: Room) -> Refusal | None:
    return _no("", room.supply.unwell, "it must be heard, and well") if room.supply.unwell else None


def _leftover(question: Question, room: Room) -> Refusal | None:
    if room.host not in question.demand.exclude:
        return None
    return _no("", "it is there, or not cleared away yet", "it must be cleared away there")


def _queue(question: Question, room: Room) -> Refusal | None:
    if room.host not in question.demand.kept:
        return None
    return _no("", "kept for one that has waited long", "that one must have its place first")


def _version(question: Question, room: Room) -> Refusal | None:
    supply = room.supply
    for program, least in question.demand.versions:
        if not new_enough(supply, program, least):
            there = dict(supply.versions).get(program) or "none"
            return _no(f"{program} {least}", f"{there} there", f"upgrade {program}")
    return None


def new_enough(supply: Supply, program: str, least: str) -> bool:
    """Whether a host has this version of a program, or a newer one."""
    there = dict(supply.versions).get(program, "")
    return bool(there) and numbers_of(there) >= numbers_of(least)


def numbers_of(version: str) -> list[int]:
    """``8.2.1-rc3`` as [8, 2, 1]: what stands before the first part that is no number decides."""
    numbers = []
    for part in version.split("."):
        digits = part[: next((at for at, letter in enumerate(part) if letter not in "0123456789"), len(part))]
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return numbers


def _cores(question: Question, room: Room) -> Refusal | None:
    wanted, free = question.demand.cores, room.free_cores
    if wanted <= free:
        return None
    text = f"{wanted} {'core' if wanted == 1 else 'cores'}"
    if wanted > room.core_limit:
        return _no(text, f"{max(free, 0)} free", f"{room.core_limit} are all that it may give")
    return _no(text, f"{max(free, 0)} free", f"{wanted - free} more free")


def _memory(question: Question, room: Room) -> Refusal | None:
    wanted, free = question.demand.memory_bytes, room.free_memory
    if wanted <= free:
        return None
    text, available = f"{format_size(wanted)} of memory", f"{format_size(max(free, 0))} free"
    if wanted > room.memory_limit:
        return _no(text, available, f"{format_size(room.memory_limit)} are all that it may give")
    return _no(text, available, f"{format_size(wanted - free)} more free")


def _disk(question: Question, room: Room) -> Refusal | None:
    for pool, wanted in question.demand.disk:
        if pool == SHARED:
            why = question.view.pool.why_not(wanted)
            if why:
                return _no("", why, "free disk in the pool")
            continue
        free = room.disk_free(pool)
        if free is None:
            return _no(f"{format_size(wanted)} in pool {pool}", "it has no such pool", f"give it a pool {pool}")
        if wanted > free:
            more = format_size(wanted - free)
            return _no(
                f"{format_size(wanted)} in pool {pool}", f"{format_size(max(free, 0))} free", f"{more} more free"
            )
    return None


def _features(question: Question, room: Room) -> Refusal | None:
    if question.demand.features <= room.supply.features:
        return None
    missing = question.demand.features - room.supply.features
    keys = {each.partition("=")[0] for each in missing}
    there = names(each for each in room.supply.features if each.partition("=")[0] in keys)
    return _no(names(missing), f"it has {there}" if there else "it has none of that", "another machine")


def _networks(question: Question, room: Room) -> Refusal | None:
    if question.demand.networks <= room.supply.networks:
        return None
    missing = question.demand.networks - room.supply.networks
    return _no(f"network {names(missing)}", f"it has {names(room.supply.networks) or 'none'}", "connect it")


def _labels(question: Question, room: Room) -> Refusal | None:
    wrong = [(key, value) for key, value in sorted(question.demand.labels) if room.labels.get(key) != value]
    if not wrong:
        return None
    wanted = names(f"{key}={value}" for key, value in wrong)
    there = names(f"{key}={room.labels[key]}" for key, _ in wrong if key in room.labels)
    options = " ".join(f"--label {key}={value}" for key, value in wrong)
    return _no(f"label {wanted}", f"it has {there or 'no such label'}", f"thost-set {HOST} {options}")


def _reservation(question: Question, room: Room) -> Refusal | None:
    held, demand = room.supply.reservation, question.demand
    if held is None or held.admits(demand.owner, demand.groups, question.wall):
        return None
    return _no("", f"it is reserved for {names(held.users | held.groups)}", f"thost-set {HOST} --open")


def _together(question: Question, room: Room) -> Refusal | None:
    for group in question.demand.rules.together:
        hosts = question.view.where(group)
        if hosts and room.host not in hosts:
            return _no(f"to be with {group}", "none of it is there", f"move {group} there")
    return None


def _apart(question: Question, room: Room) -> Refusal | None:
    rules, view = question.demand.rules, question.view
    for group in rules.apart:
        if room.host in view.where(group):
            return _no(f"to be apart from {group}", "one of it is there", f"move {group} away")
    if rules.group and room.host in view.shunning(rules.group):
        return _no("", f"what is there must be apart from {rules.group}", "move that away")
    return None


def _spread(question: Question, room: Room) -> Refusal | None:
    rules = question.demand.rules
    if not rules.spread:
        return None
    value = room.labels.get(rules.spread)
    if value is None:
        return _no(f"a label {rules.spread}", "it has none", f"thost-set {HOST} --label {rules.spread}=VALUE")
    there = question.view.tally(rules.group, rules.spread).get(value, 0)
    if there + 1 - question.fewest <= rules.skew:
        return None
    most = question.fewest + rules.skew
    return _no(
        f"at most {most} of {rules.group} in {rules.spread} {value}", f"{there} are there", "more in the others first"
    )


def _minds_others(demand: Demand) -> object:
    return demand.rules.apart or demand.rules.group


FILTERS: dict[str, Filter] = {
    each.name: each
    for each in (
        Filter("pin", "the host that was asked for, and no other", _pin, about=lambda asks: asks.pin),
        Filter("state", "not draining or drained", _state, fixed=True),
        Filter("health", "heard, well, and steady since it came back", _health, fixed=True),
        Filter("leftover", "nothing of this machine is there already", _leftover, about=lambda asks: asks.exclude),
        Filter(
            "queue",
            "not kept for one that has waited longer; none of its owner's has its turn first",
            _queue,
            about=lambda asks: asks.kept,
        ),
        Filter("version", "programs are new enough", _version, True, lambda asks: asks.versions),
        Filter(
            "features",
            "accelerator, processor, firmware, backend as asked",
            _features,
            True,
            lambda asks: asks.features,
        ),
        Filter("networks", "the networks of its interfaces reach there", _networks, True, lambda asks: asks.networks),
        Filter("labels", "what the administrator says of it is as asked", _labels, True, lambda asks: asks.labels),
        Filter("reservation", "not kept for somebody else", _reservation, fixed=True),
        Filter("cores", "so many cores may still be promised", _cores),
        Filter("memory", "so much memory may still be promised", _memory),
        Filter("disk", "room in the shared pool and its own pools", _disk, about=lambda asks: asks.disk),
        Filter(
            "affinity", "where the groups are that it must be with", _together, about=lambda asks: asks.rules.together
        ),
        Filter("anti-affinity", "not where a group is that it must be apart from", _apart, about=_minds_others),
        Filter(
            "spread", "the group is spread evenly over a label's values", _spread, about=lambda asks: asks.rules.spread
        ),
    )
}
