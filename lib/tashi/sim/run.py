"""One run: a cluster, people at work, faults, then peace; and in the end everything must have come to rest.

``run(seed)`` is a function of its arguments alone: a failing seed fails again, at the same event.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from tashi.sim.cast import Cast, HostSize, Person
from tashi.sim.controller import SETTINGS
from tashi.sim.devices import Plug
from tashi.sim.domain import GIB
from tashi.sim.faults import CLIMATES, Climate, Faults
from tashi.sim.world import Violation, World

SECONDS = 90.0  # of work and faults
PEACE_SECONDS = 600.0  # in which everything must come to rest
PEOPLE = (Person("ann", "operator"), Person("bob"), Person("eve"), Person("zoe", "operator", at_machines=True))
PLUGS = (Plug("m1", (("s1", "p1"),)), Plug("m2", (("s1", "p2"), ("s2", "p2"))), Plug("m3", (("s2", "p3"),)))
DOMAINS = {"red": (100, 101), "blue": (200,)}
HOSTS = (HostSize("h1", 4, 4 * GIB), HostSize("h2", 6, 4 * GIB), HostSize("h3", 8, 8 * GIB))


@dataclass
class Result:
    """How a run went. ``violation`` is empty when every invariant held."""

    seed: int
    violation: str = ""
    events: int = 0
    seconds: float = 0.0  # simulated
    verbs: dict[str, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)


def run(seed: int, seconds: float = SECONDS, climate: Climate | None = None, keep_lines: int = 400) -> Result:
    """One whole run. Never raises for a violation: the result has it, with the last lines of the log."""
    cast = Cast(World(seed, keep_lines), HOSTS, PEOPLE, SETTINGS, plugs=PLUGS, domains=DOMAINS)
    faults = Faults(cast, climate or CLIMATES[seed % len(CLIMATES)])
    result = Result(seed)
    try:
        cast.machine("h1").hypervisor.foreign_guest("printer-server")
        cast.set_up()
        _work(cast, faults, seconds)
        for person in cast.people.values():
            person.idle = True
        faults.stop()
        cast.come_to_rest(PEACE_SECONDS)
    except Violation as violation:
        result.violation = str(violation)
        cast.world.say("VIOLATION", str(violation))
    result.events, result.seconds, result.lines = cast.world.events, cast.world.seconds, cast.world.lines
    result.verbs = dict(cast.history.verbs)
    for value in cast.controller.store.contents.tables["done"].values():
        job = json.loads(value)
        how = f"{job['verb']} {job.get('state', 'running')}"
        result.ended[how] = result.ended.get(how, 0) + 1
    return result


def _work(cast: Cast, faults: Faults, seconds: float) -> None:
    for person in cast.people.values():
        person.work()
    faults.begin()
    cast.until(cast.world.seconds + seconds)
