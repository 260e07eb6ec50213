"""One machine between domains: what each answer of a device leads to, row by row."""

from __future__ import annotations

import pytest

from tashi.core import allocation as rules
from tashi.core.allocation import SEALING, TABLE, WORK, End, Event, Stepped
from tashi.model.allocation import Allocation, Phase

RED, BLUE = "d-1", "d-2"


def after(now: Allocation, *events: Event, reason: str = "") -> Stepped:
    """The answers to one order after the other."""
    stepped = Stepped(now)
    for event in events:
        stepped = rules.step(stepped.allocation, event, stepped.allocation.generation, reason)
    return stepped


def phase(stepped: Stepped) -> Phase | None:
    return stepped.allocation.transfer.phase if stepped.allocation.transfer is not None else None


def moving(events: int = 0) -> Allocation:
    """On its way from red, where it ran, to blue, after so many orders were carried out."""
    return after(rules.begin(Allocation(RED, 7), "j-1", BLUE, True, True), *[Event.DONE] * events).allocation


def test_forward_step_by_step() -> None:
    told = []
    now = moving()
    while now.transfer is not None:
        order = rules.order_of(now)
        assert order is not None
        told.append((order.power or order.ports, now.domain))
        stepped = after(now, Event.DONE)
        now = stepped.allocation
    assert told == [("off", RED), ("closed", RED), (BLUE, BLUE), ("on", BLUE)]
    assert (now.domain, stepped.ended) == (BLUE, End.DONE)


def test_in_no_domain_between_the_two() -> None:
    """When the ports have proven to be closed nothing is claimed but what they are told to join next."""
    now = after(rules.begin(Allocation(RED, 7), "j-1", "", True, False), Event.DONE, Event.DONE)
    assert (now.allocation, now.ended) == (Allocation("", 9), End.DONE)


@pytest.mark.parametrize(
    ("done", "wanted"),
    [
        (0, [Phase.UNDO_ON]),
        (1, [Phase.UNDO_ON]),
        (2, [Phase.UNDO_CLOSE, Phase.UNDO_OPEN, Phase.UNDO_ON]),
        (3, [Phase.UNDO_OFF, Phase.UNDO_CLOSE, Phase.UNDO_OPEN, Phase.UNDO_ON]),
    ],
)
def test_a_definite_failure_is_undone(done: int, wanted: list[Phase]) -> None:
    stepped = after(moving(done), Event.FAILED, reason="the BMC refuses")
    way = []
    while stepped.allocation.transfer is not None:
        way.append(phase(stepped))
        assert stepped.allocation.transfer.reason == "the BMC refuses"
        stepped = after(stepped.allocation, Event.DONE)
    assert way == wanted
    assert (stepped.allocation.domain, stepped.ended) == (RED, End.UNDONE)


@pytest.mark.parametrize("event", [Event.UNPROVEN, Event.LATE])
@pytest.mark.parametrize("done", range(4))
def test_what_is_not_proven_ends_in_quarantine(done: int, event: Event) -> None:
    """The operation ends at once, the machine is nobody's, and its domain stays claimed until its ports are closed."""
    before = moving(done)
    stepped = after(before, event, reason="no answer")
    assert (phase(stepped), stepped.ended) == (Phase.SEAL_CLOSE, End.QUARANTINED)
    assert stepped.allocation.domain == before.domain
    assert stepped.allocation.transfer is not None and stepped.allocation.transfer.quarantine == "no answer"
    closed = after(stepped.allocation, Event.DONE)
    assert (closed.allocation.domain, closed.ended) == ("", None)
    assert after(closed.allocation, Event.DONE) == Stepped(Allocation("", closed.allocation.generation))


def test_a_seal_is_asked_for_again_when_its_time_is_up_and_not_before() -> None:
    sealing = after(moving(2), Event.LATE).allocation
    refused = after(sealing, Event.FAILED).allocation
    assert refused.generation == sealing.generation and rules.order_of(refused) is None
    again = after(refused, Event.LATE)
    order = rules.order_of(again.allocation)
    assert order is not None and (order.generation, order.ports) == (sealing.generation + 1, "closed")
    assert again.ended is None, "its operation has ended once"


def test_called_back_at_the_next_safe_point() -> None:
    now = rules.call_back(moving(2), "j-2")
    assert now is not None
    stepped = after(now, Event.DONE)
    assert phase(stepped) is Phase.UNDO_CLOSE
    last = after(stepped.allocation, Event.DONE, Event.DONE, Event.DONE)
    assert (last.allocation.domain, last.ended) == (RED, End.UNDONE)
    assert rules.call_back(stepped.allocation, "j-3") is None, "it is on its way back"


def test_an_eviction_never_leads_back() -> None:
    """Its ports are closed whatever becomes of its power; only a power that is not known keeps it in quarantine."""
    begun = rules.evict(Allocation(RED, 1), "j-1")
    for event in (Event.DONE, Event.FAILED, Event.UNPROVEN, Event.LATE):
        stepped = after(begun, event)
        assert (phase(stepped), stepped.ended) == (Phase.SEAL_CLOSE, None)
    assert after(begun, Event.FAILED, Event.DONE, Event.DONE).ended is End.SEALED
    assert after(begun, Event.FAILED, Event.DONE, Event.FAILED, reason="silent").ended is End.QUARANTINED


def test_answers_to_older_orders_change_nothing() -> None:
    now = moving(1)
    for event in Event:
        assert rules.step(now, event, now.generation - 1) == Stepped(now)
        assert rules.step(now, event, now.generation + 1) == Stepped(now)
        assert rules.step(Allocation(RED, 7), event, 7) == Stepped(Allocation(RED, 7))


def test_nothing_to_do_is_not_ordered() -> None:
    """A machine that was nobody's and is not to be switched on."""
    now = rules.begin(Allocation(), "j-1", BLUE, False, False)
    assert after(now, Event.DONE, Event.DONE, Event.DONE).ended is End.DONE
    assert after(now, Event.DONE, Event.DONE, Event.FAILED, Event.DONE).ended is End.UNDONE


def test_the_table_is_whole() -> None:
    """Each phase has work and a next step for every answer, and every way ends."""
    assert TABLE.keys() == WORK.keys() == set(Phase)
    for row in TABLE.values():
        assert set(row) >= set(Event) - {Event.BACK}
    for each in Phase:
        seen, here = set(), each
        while here not in seen and isinstance(here, Phase):
            seen.add(here)
            here = TABLE[here][Event.DONE]  # type: ignore[assignment]
        assert isinstance(here, End), f"{each} goes round"
    for each in set(Phase) - set(SEALING):
        assert TABLE[each][Event.LATE] is Phase.SEAL_CLOSE


def test_a_stuck_machine_can_be_asked_for_again() -> None:
    stuck = after(moving(2), Event.LATE, Event.FAILED, reason="dead").allocation
    assert rules.order_of(stuck) is None
    again = after(stuck, Event.LATE).allocation
    order = rules.order_of(again)
    assert order is not None and (order.ports, order.generation) == ("closed", stuck.generation + 1)
    assert again.quarantine == "dead", "nobody may have it before it is sealed"
    assert after(again, Event.DONE, Event.DONE) == (Allocation("", order.generation + 1), None)
