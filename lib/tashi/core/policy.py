"""The policy that placement decides by: stored with its version, and changed while everything runs.

tashi.toml says what it should be, at a start and whenever the controller is told to read it again. Only what differs
from the stored policy is a change: it gets the next version, is told in the change log, and those that wait for room
are tried again. Nothing that has a place is touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from tashi.core.demands import Ratios
from tashi.sched.policy import OPTIONAL, WEIGHTS, Policy, parse_policy

if TYPE_CHECKING:
    from tashi.core.turn import Turn

KEY = "policy"  # in "meta"
NAME = "placement"


class Ruling(Struct, frozen=True):
    """A policy as it is stored. ``filters`` are the optional ones that ask, ``weights`` are in thousandths.

    ``changed``: how it differs from the version before; empty for the first, which nobody is told of.
    """

    version: int
    order: str
    filters: tuple[str, ...]
    weights: dict[str, int]
    cores_ratio: float
    memory_ratio: float
    changed: str = ""

    @property
    def id(self) -> str:
        return KEY

    @property
    def name(self) -> str:
        return NAME


def ruling_of(policy: Policy, ratios: Ratios, version: int = 1) -> Ruling:
    """A policy as a record."""
    filters = tuple(name for name in policy.filters if name in OPTIONAL)
    return Ruling(version, policy.order, filters, dict(policy.weights), ratios.cores, ratios.memory)


def policy_of(ruling: Ruling) -> tuple[Policy, Ratios]:
    """A record as what placement decides by."""
    # Another version of this program may have stored names that this one does not know.
    weights = {name: ruling.weights[name] / 1000 for name in WEIGHTS if name in ruling.weights}
    filters = tuple(name for name in ruling.filters if name in OPTIONAL)
    policy = parse_policy(ruling.order, filters, weights, ruling.version)
    return policy, Ratios(ruling.cores_ratio, ruling.memory_ratio)


def adopt(turn: Turn, policy: Policy, ratios: Ratios) -> None:
    """Decide by this policy from now on; the same as before is no change."""
    state = turn.state
    before: Ruling | None = state.meta.get(KEY)
    wanted = ruling_of(policy, ratios)
    if before is None:
        state.put("meta", KEY, wanted)
        return
    changed = _changes(before, wanted)
    if changed:
        turn.verb = "policy.set"
        state.put("meta", KEY, replace(wanted, version=before.version + 1, changed="; ".join(changed)))
        state.freed = True  # what waits may fit now


def _changes(old: Ruling, new: Ruling) -> list[str]:
    """What differs between two policies, a text each."""
    told = [f"policy {old.order} -> {new.order}"] if old.order != new.order else []
    told += [f"without the filter {name}" for name in old.filters if name not in new.filters]
    told += [f"with the filter {name}" for name in new.filters if name not in old.filters]
    for name in {**old.weights, **new.weights}:
        was, now = old.weights.get(name, 0), new.weights.get(name, 0)
        if was != now:
            told.append(f"weight {name} {was / 1000:g} -> {now / 1000:g}")
    for name in ("cores_ratio", "memory_ratio"):
        had, has = getattr(old, name), getattr(new, name)
        if had != has:
            told.append(f"{name} {had:g} -> {has:g}")
    return told
