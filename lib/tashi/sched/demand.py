"""What is asked of placement: one VM, its size, what it needs of a host, and which others it minds.

Everything here is a tuple, and so can be hashed: what an index works out for a demand is kept for the next one alike.
Cores are whole virtual cores, sizes are bytes, names of hosts are ids (``h-17``).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Order = Literal["pack", "spread"]
SHARED = ""  # the name of the one pool that all hosts share; others are a host's own


class Rules(NamedTuple):
    """Whose company a VM seeks and shuns. A group is a name that its members share; how it is spelt is the caller's.

    ``apart``: it shares no host with a member of these groups, nor they with it; its own group may be among them.
    ``together``: it goes where members of all these groups are; a group without any asks nothing.
    ``away`` and ``near`` are the same as wishes. ``spread``: no value of this label (``rack``; ``host`` is each
    host by itself) has more than ``skew`` members of its group above the value with the fewest.
    """

    group: str = ""
    apart: tuple[str, ...] = ()
    together: tuple[str, ...] = ()
    away: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    spread: str = ""
    skew: int = 1


NO_RULES = Rules()


class Demand(NamedTuple):
    """One VM that wants a host.

    ``disk``: (pool, bytes). ``features`` are facts that a host must have (``accel=kvm``, ``cpu=avx2``,
    ``backend=libvirt``, ``firmware=uefi``), ``labels`` (key, value) what an administrator must have said of it.
    ``versions``: (program, least version). ``owner`` and ``groups`` open reserved hosts. ``pin``: this host and no
    other, unless ``fallback``. ``exclude``: hosts that still have something of it; ``kept``: those that are kept for
    others. ``order`` replaces the policy's. ``local``: (host, bytes of its data there).
    """

    cores: int
    memory_bytes: int
    disk: tuple[tuple[str, int], ...] = ()
    features: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    labels: frozenset[tuple[str, str]] = frozenset()
    versions: tuple[tuple[str, str], ...] = ()
    owner: str = ""
    groups: frozenset[str] = frozenset()
    rules: Rules = NO_RULES
    pin: str = ""
    fallback: bool = False
    exclude: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    order: Order | None = None
    local: tuple[tuple[str, int], ...] = ()


def contradiction(demand: Demand) -> str:
    """Why no host of any cluster could satisfy a demand's rules, by what they say; empty when some might."""
    rules = demand.rules
    both = set(rules.apart) & set(rules.together)
    if both:
        return f"it can't be with {min(both)} and apart from it"
    if rules.spread and not rules.group:
        return f"spread over {rules.spread}: it is in no group that could be spread"
    if rules.skew < 1:
        return f"a skew of {rules.skew}: a group is never more even than by one"
    keys = [key for key, _ in demand.labels]
    twice = next((key for key in sorted(keys) if keys.count(key) > 1), "")
    if twice:
        values = ", ".join(sorted(value for key, value in demand.labels if key == twice))
        return f"label {twice} can't be all of {values}"
    firmware = sorted(each for each in demand.features if each.startswith("firmware="))
    if len(firmware) > 1:
        return f"it can't have {' and '.join(firmware)}"
    if demand.pin and demand.pin in demand.exclude and not demand.fallback:
        return "it is asked for on a host that it must leave"
    return ""
