"""Simulated devices around physical machines: switches with a start-up configuration, power, and the agent's hands.

The truth about machines is here: what VLANs their ports are in, whether they are on. A call to a device takes time,
fails, or is lost before or after its effect; a switch that starts anew has what was saved.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import NamedTuple

from tashi.core.allocation import Event, Order
from tashi.sim.world import World

Answer = Callable[[str, int, Event, str], None]  # machine, generation, event, reason
CALL_SECONDS = 0.4  # at most
CALL_LASTS = 3.0  # what is not answered by then is lost
EMPTY: frozenset[int] = frozenset()


class Port(NamedTuple):
    on: bool = False
    vlans: frozenset[int] = EMPTY


class Moods(NamedTuple):
    """Probabilities, for each call to a device."""

    fails: float = 0.0
    lost: float = 0.0  # half of them after they took effect


class Switch:
    """Its ports as they are, and as they will be after it has started anew."""

    def __init__(self) -> None:
        self.ports: dict[str, Port] = {}
        self.saved: dict[str, Port] = {}

    def save(self) -> None:
        self.saved = dict(self.ports)

    def start_anew(self) -> None:
        self.ports = dict(self.saved)


class Rack:
    """``plugged``: machine -> its (switch, port) pairs."""

    def __init__(self, world: World, plugged: Mapping[str, tuple[tuple[str, str], ...]]) -> None:
        self.world, self.plugged = world, plugged
        self.moods = Moods()
        self.on = dict.fromkeys(plugged, False)
        self.switches = {switch: Switch() for pairs in plugged.values() for switch, _ in pairs}
        self.calls = 0
        for pairs in plugged.values():
            for switch, port in pairs:
                self.switches[switch].ports[port] = self.switches[switch].saved[port] = Port()

    def port(self, where: tuple[str, str]) -> Port:
        return self.switches[where[0]].ports[where[1]]

    def ports(self, machine: str) -> list[Port]:
        return [self.port(where) for where in self.plugged[machine]]

    def read(self, machine: str, into: list[Port]) -> None:
        """As a switch is asked: what it says at that moment."""
        into += self.ports(machine)

    def vlans(self, machine: str) -> frozenset[int]:
        """All that a port of it is in, open or closed."""
        return EMPTY.union(*(port.vlans for port in self.ports(machine)))

    def change(self, where: tuple[str, str], to: Port) -> None:
        self.switches[where[0]].ports[where[1]] = to

    def do(self, act: Callable[[], None], then: Callable[[str], None]) -> None:
        """One call: ``then`` hears ok, failed (nothing was changed) or lost, when it is over."""
        self.calls += 1
        world, moods = self.world, self.moods
        if world.happens(moods.fails):
            how, effect = "failed", False
        elif world.happens(moods.lost):
            how, effect = "lost", world.happens(0.5)
        else:
            how, effect = "ok", True
        seconds = world.chance.random() * CALL_SECONDS

        def over() -> None:
            if effect:
                act()
            world.after(CALL_LASTS if how == "lost" else 0.0, lambda: then(how))

        world.after(seconds, over)


class Known(NamedTuple):
    """What the agent has written down of the newest order for a machine. ``event`` None: it is at it."""

    order: Order
    event: Event | None = None
    reason: str = ""
    again: bool = False  # it was begun before a crash, so what it had changed by then is not known


Steps = Generator[Callable[[], None], str, tuple[Event, str]]


class Hands:
    """The zoni agent as far as machines are concerned. ``known`` survives a crash, nothing else does.

    One order is at work for a machine at a time: a newer one waits for the call that is under way, no longer.
    """

    def __init__(self, rack: Rack, vlans: Mapping[str, frozenset[int]], answer: Answer) -> None:
        self.rack, self.vlans, self.answer = rack, vlans, answer
        self.known: dict[str, Known] = {}
        self.life = 0
        self.up = True
        self._at_work: dict[str, int] = {}  # machine -> generation

    def crash(self) -> None:
        self.up, self.life = False, self.life + 1
        self._at_work.clear()
        self.rack.world.say("zoni agent", "crashes")

    def start(self) -> None:
        self.up = True
        self.rack.world.say("zoni agent", "starts")

    def hear(self, machine: str, order: Order) -> None:
        if not self.up:
            return
        known = self.known.get(machine)
        if known is not None and order.generation < known.order.generation:
            return
        if known is None or order.generation > known.order.generation:
            self.known[machine] = Known(order)
        elif known.event is not None:
            self.answer(machine, order.generation, known.event, known.reason)
            return
        elif machine not in self._at_work:
            self.known[machine] = known._replace(again=True)
        if machine not in self._at_work:
            self._begin(machine)

    def _begin(self, machine: str) -> None:
        order = self.known[machine].order
        self._at_work[machine] = order.generation
        steps = self._power(machine, order.power) if order.power else self._ports(machine, order.ports)
        self._next(machine, order.generation, self.life, steps, None)

    def _next(self, machine: str, generation: int, life: int, steps: Steps, said: str | None) -> None:
        if life != self.life:
            return
        if self.known[machine].order.generation != generation:  # a newer order has come
            del self._at_work[machine]
            self._begin(machine)
            return
        try:
            act = next(steps) if said is None else steps.send(said)
        except StopIteration as end:
            event, reason = end.value
            del self._at_work[machine]
            self.known[machine] = self.known[machine]._replace(event=event, reason=reason)
            self.rack.world.say("zoni agent", f"{machine}: {event.value} {generation} {reason}")
            self.answer(machine, generation, event, reason)
            return
        self.rack.do(act, lambda how: self._next(machine, generation, life, steps, how))

    def _power(self, machine: str, wanted: str) -> Steps:
        rack, seen = self.rack, list[bool]()
        how = yield lambda: rack.on.update({machine: wanted == "on"})
        if how == "failed" and not self.known[machine].again:
            return Event.FAILED, "the BMC refuses"
        if (yield lambda: seen.append(rack.on[machine])) != "ok" or seen != [wanted == "on"]:
            return Event.UNPROVEN, "the BMC does not say what it did"
        return Event.DONE, ""

    def _ports(self, machine: str, wanted: str) -> Steps:
        """Close all, leave all; where a domain is wanted join its VLANs, then open. Each is read back; all is saved."""
        rack, vlans = self.rack, self.vlans.get(wanted, EMPTY)
        goals = [Port(), Port(False, vlans), Port(True, vlans)] if vlans else [Port()]
        changed = self.known[machine].again
        for goal in goals:
            for where in rack.plugged[machine]:
                closed = Port(False, rack.port(where).vlans)
                for to in (closed, goal) if goal == Port() else (goal,):
                    how = yield partial(rack.change, where, to)
                    if how == "failed" and not changed:
                        return Event.FAILED, "the switch refuses"
                    if how != "ok":
                        return Event.UNPROVEN, "the switch does not say what it did"
                    changed = True
            seen = list[Port]()
            if (yield partial(rack.read, machine, seen)) != "ok":
                return Event.UNPROVEN, "the switch can't be read"
            if set(seen) != {goal}:
                return Event.UNPROVEN, "the switch is not as it was told to be"
        for switch in sorted({switch for switch, _ in rack.plugged[machine]}):
            if (yield rack.switches[switch].save) != "ok":
                return Event.UNPROVEN, "the switch did not save"
        if any(rack.switches[switch].saved[port] != goals[-1] for switch, port in rack.plugged[machine]):
            return Event.UNPROVEN, "the switch has started anew meanwhile"
        return Event.DONE, ""
