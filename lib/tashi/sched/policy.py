"""How placement decides, as data: which filters ask, what each weight counts for, and whether hosts are filled or not.

Filters that keep a promise of the cluster itself (capacity, state, health, a pin, what is left over) always ask; the
others may be left out. Weights are kept in thousandths, so that a score is a whole number and equal on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tashi.sched.demand import Demand, Order
from tashi.sched.supply import Supply

ALWAYS = ("pin", "state", "health", "leftover", "queue", "cores", "memory", "disk")
OPTIONAL = ("version", "features", "networks", "labels", "reservation", "affinity", "anti-affinity", "spread")
WEIGHTS = {"order": 1000, "balance": 250, "disk": 3000, "company": 2000, "data": 1000, "failures": 1000}
MOST = 1000.0


class Policy(NamedTuple):
    """``weights`` are thousandths by name, all of them. ``version`` is raised by who changes a policy."""

    order: Order = "pack"
    filters: tuple[str, ...] = (*ALWAYS, *OPTIONAL)
    weights: tuple[tuple[str, int], ...] = tuple(WEIGHTS.items())
    version: int = 1

    def weight(self, name: str) -> int:
        return dict(self.weights)[name]

    def heed(self, demand: Demand) -> Demand:
        """What is left of a demand without the filters that do not ask."""
        if len(self.filters) == len(ALWAYS) + len(OPTIONAL):
            return demand
        off, none, rules = set(OPTIONAL).difference(self.filters), frozenset[str](), demand.rules
        return demand._replace(
            versions=() if "version" in off else demand.versions,
            features=none if "features" in off else demand.features,
            networks=none if "networks" in off else demand.networks,
            labels=frozenset() if "labels" in off else demand.labels,
            rules=rules._replace(
                together=() if "affinity" in off else rules.together,
                apart=() if "anti-affinity" in off else rules.apart,
                spread="" if "spread" in off else rules.spread,
            ),
        )

    def hear(self, supply: Supply) -> Supply:
        """What is left of a supply without the filters that do not ask."""
        return supply if "reservation" in self.filters else supply._replace(reservation=None)


def parse_policy(
    order: str = "pack",
    filters: tuple[str, ...] | None = None,
    weights: Mapping[str, object] | None = None,
    version: int = 1,
) -> Policy:
    """A policy from what a file says. Raises ValueError that names the filter or weight which is unknown or wrong.

    ``filters`` are the optional ones that ask, all when it is None. ``weights`` replace those of the same name.
    """
    if order not in ("pack", "spread"):
        raise ValueError(f"order {order!r} is not one of pack, spread")
    asked = OPTIONAL if filters is None else filters
    for name in asked:
        if name not in OPTIONAL:
            always = f"{name} always asks; " if name in ALWAYS else f"{name!r}: no such filter; "
            raise ValueError(f"{always}those that may be named are {', '.join(OPTIONAL)}")
    points = dict(WEIGHTS)
    for name, value in (weights or {}).items():
        if name not in WEIGHTS:
            raise ValueError(f"{name!r}: no such weight; there are {', '.join(WEIGHTS)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST:
            raise ValueError(f"weight {name}: {value!r} is not a number from 0 to {MOST:g}")
        points[name] = round(value * 1000)
    if 2 * points["balance"] > points["order"]:
        raise ValueError(
            "weight balance is more than half of order: a host would be passed over for being the best fit"
        )
    ordered = tuple(name for name in OPTIONAL if name in asked)
    return Policy("pack" if order == "pack" else "spread", (*ALWAYS, *ordered), tuple(points.items()), version)
