"""Machines between domains on simulated time: no machine is ever in two, whatever crashes, starts anew or comes late.

TASHI_SEEDS and TASHI_FIRST_SEED as in test_seeds.py.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from tashi.core import allocation as rules
from tashi.core.allocation import End, Event
from tashi.model.allocation import Allocation, Phase
from tashi.sim.handover import CLIMATES, Controller, Run, run, told
from tashi.sim.rack import Hands, Known

SEEDS = int(os.environ.get("TASHI_SEEDS", "200"))
FIRST = int(os.environ.get("TASHI_FIRST_SEED", "0"))
CALM = CLIMATES[0]


@pytest.mark.timeout(max(240, SEEDS))
def test_no_machine_is_ever_in_two_domains() -> None:
    ended: Counter[str] = Counter()
    failed = []
    for seed in range(FIRST, FIRST + SEEDS):
        result = run(seed)
        ended += result.ended
        if result.violation:
            failed.append(f"seed {seed}: {result.violation}\n" + "\n".join(result.lines[-40:]))
    assert not failed, f"{len(failed)} of {SEEDS} seeds failed\n\n" + "\n\n".join(failed[:3])
    assert set(ended) == set(End), "not everything was put to the test"


def move(here: Run) -> None:
    """m-2, with a port on each of two switches, goes into one domain and on to the next."""
    here.controller.start()
    here.want("allocate", "m-2", "d-1")
    here.until(200.0)
    here.want("allocate", "m-2", "d-2")
    here.until(1500.0)


@pytest.mark.parametrize("who", ["before", "after", "agent"])
def test_a_crash_at_every_step_of_a_move(who: str) -> None:
    """It is carried out all the same: what was stored is gone on with, what was asked of a device is asked again."""
    whole = Run(1, CALM)
    assert told(whole, 1, lambda: move(whole)).ended == {End.DONE: 2}
    steps = whole.rack.calls if who == "agent" else whole.commits
    assert steps > 8
    for number in range(1, steps + 1):
        here = Run(1, CALM, (who, number))
        result = told(here, 1, lambda here=here: move(here))  # type: ignore[misc]
        assert not result.violation, f"{who} {number}: {result.violation}\n" + "\n".join(result.lines)
        if who == "before" and number in (1, 6):
            continue  # the request itself was lost, and with it what would have been promised
        now = here.controller.machines["m-2"]
        assert (now.domain, now.transfer) == ("d-2", None), f"{who} {number}"
        assert result.ended == {End.DONE: 2}, f"{who} {number}"


def test_an_order_a_hundred_times() -> None:
    here = Run(1, CALM)
    tell = here.controller.tell

    def shout(machine: str, order: rules.Order) -> None:
        for _ in range(100):
            tell(machine, order)

    here.controller.tell = shout
    assert told(here, 1, lambda: move(here)).ended == {End.DONE: 2}
    once = Run(1, CALM)
    told(once, 1, lambda: move(once))
    assert here.rack.calls == once.rack.calls


# -- bugs that were never made ----------------------------------------------------------------------------------------
def claim_is_given_up_early(patch: pytest.MonkeyPatch) -> None:
    """The domain is left when the ports are told to close, not when they have."""
    enter = rules._enter

    def early(now: Allocation, transfer: Any, phase: Phase) -> Allocation:
        after = enter(now, transfer, phase)
        return replace(after, domain="") if rules.WORK[phase].wants == "closed" else after

    patch.setattr(rules, "_enter", early)


def claim_is_taken_late(patch: pytest.MonkeyPatch) -> None:
    """The new domain is recorded when the ports are in it."""
    enter, step, order_of = rules._enter, rules.step, rules.order_of

    def late(now: Allocation, transfer: Any, phase: Phase) -> Allocation:
        return replace(enter(now, transfer, phase), domain=now.domain)

    def ordered(now: Allocation) -> Any:
        order = order_of(now)
        opens = order is not None and now.transfer is not None and now.transfer.phase is Phase.OPEN
        return order._replace(ports=now.transfer.target) if opens else order  # type: ignore[union-attr]

    def stepped(now: Allocation, event: Event, generation: int, reason: str = "") -> Any:
        if now.transfer is not None and now.transfer.phase is Phase.OPEN and event is Event.DONE:
            now = replace(now, domain=now.transfer.target)
        return step(now, event, generation, reason)

    patch.setattr(rules, "_enter", late)
    patch.setattr(rules, "order_of", ordered)
    patch.setattr(rules, "step", stepped)


def unproven_is_taken_for_done(patch: pytest.MonkeyPatch) -> None:
    step = rules.step
    hope: dict[Event, Event] = {Event.UNPROVEN: Event.DONE}
    patch.setattr(rules, "step", lambda now, event, *rest: step(now, hope.get(event) or event, *rest))


def unproven_is_taken_for_failed(patch: pytest.MonkeyPatch) -> None:
    """What was not answered for is taken as if nothing had changed."""
    step = rules.step
    hope: dict[Event, Event] = {Event.UNPROVEN: Event.FAILED, Event.LATE: Event.FAILED}
    patch.setattr(rules, "step", lambda now, event, *rest: step(now, hope.get(event) or event, *rest))


def ports_are_not_closed_in_between(patch: pytest.MonkeyPatch) -> None:
    """From one domain straight into the other."""
    patch.setitem(rules.TABLE[Phase.OFF], Event.DONE, Phase.OPEN)


def agent_forgets_generations(patch: pytest.MonkeyPatch) -> None:
    hear = Hands.hear

    def obey(self: Hands, machine: str, order: Any) -> None:
        known = self.known.get(machine)
        if known is not None and order.generation < known.order.generation:
            self.known[machine] = Known(order._replace(generation=0))
        hear(self, machine, order)

    patch.setattr(Hands, "hear", obey)


def orders_leave_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    commit = Controller._commit

    def order_first(self: Controller, machine: str, after: Allocation, jobs: Any) -> None:
        order = rules.order_of(after)
        if order is not None:
            self.tell(machine, order)
        commit(self, machine, after, jobs)

    patch.setattr(Controller, "_commit", order_first)


def outcomes_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    step = rules.step

    def silent(*args: Any) -> Any:
        stepped = step(*args)
        return stepped if stepped.ended is not End.QUARANTINED else stepped._replace(ended=None)

    patch.setattr(rules, "step", silent)


BUGS: dict[Callable[[pytest.MonkeyPatch], None], str] = {
    claim_is_given_up_early: "I3",
    claim_is_taken_late: "I3",
    unproven_is_taken_for_done: "I3",
    unproven_is_taken_for_failed: "I",
    ports_are_not_closed_in_between: "I3",
    agent_forgets_generations: "I3",
    orders_leave_before_the_commit: "I3",
    outcomes_are_forgotten: "I4",
}


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_bug_is_found(bug: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    bug(monkeypatch)
    found = next((result for result in map(run, range(200)) if result.violation), None)
    assert found is not None, "not found in 200 seeds"
    assert found.violation.startswith(BUGS[bug]), found.violation
