"""The mind of a zoni agent: which path is tried, what is believed, what is done once, and what it never does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tashi.agent import events
from tashi.agent.metal import Metal
from tashi.agent.verdict import Reading, judge
from tashi.wire.agents import Acked, Welcome
from tashi.wire.zoni import (
    MetalBeat,
    MetalInventory,
    MetalMessage,
    MetalRow,
    MetalRows,
    MetalSeen,
    MetalShot,
    MetalTell,
)

BMC = {"driver": "ipmi", "address": "10.0.0.1"}
PDU = {"driver": "pdu", "address": "10.0.1.1", "outlet": 1}
OTHER_PDU = PDU | {"outlet": 2}
LIBVIRT = {"driver": "libvirt", "domain": "m1"}


class Agent:
    """A mind, its calls under way, and its clock."""

    def __init__(self, journal: list[dict[str, Any]] | None = None, incarnation: int = 1) -> None:
        self.now = 100.0
        self.calls: list[events.Call] = []
        self.said: list[Any] = []
        who = events.Identity("net1", "u", "boot", incarnation)
        self.mind = Metal(journal or [], who, lambda spec: str(spec["driver"]) + str(spec.get("outlet", "")))
        self.step(events.Connected())
        self.step(events.Heard(Welcome(5, 1.0, 5)))

    def step(self, event: events.Event) -> events.Steps:
        steps = self.mind.step(event, events.Now(self.now, 1e9))
        self.calls += steps.calls
        self.said += steps.messages
        return steps

    def row(self, *paths: dict[str, Any], generation: int = 1, **more: Any) -> events.Steps:
        return self.step(events.Heard(MetalRows(5, [MetalRow("m-1", generation, paths=list(paths), **more)])))

    def end(self, verb: str, outcome: str = "ok", power: str = "on", code: str = "", driver: str = "") -> None:
        """End the oldest call of a verb, on a path of this driver."""
        call = next(each for each in self.calls if each.verb == verb and driver in each.args["path"]["driver"])
        self.calls.remove(call)
        value: Any = power if verb == "power" else {"power": power, "identity": {"uuid": "U"}}
        ok = outcome == "ok"
        text = "" if ok else f"{call.args['path']['driver']}: {code or outcome}"
        self.step(events.Called(call.id, outcome, value if ok else None, text, code))

    def verbs(self) -> list[str]:
        return [f"{call.verb} {call.args['path']['driver']}" for call in self.calls]

    def seen(self) -> MetalSeen:
        """What was told last."""
        return next(each.seen for each in reversed(self.said) if isinstance(each, MetalTell) and each.seen)

    def known(self, *paths: dict[str, Any], power: str = "off") -> None:
        """A machine whose paths have been judged and say all the same."""
        self.row(*paths, generation=0)
        while self.calls:
            self.end(self.calls[0].verb, power=power)

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.step(events.Tick())

    def acked(self) -> None:
        """All that was told has been heard."""
        told = [each.seq for each in self.said if isinstance(each, MetalTell)]
        self.step(events.Heard(Acked(1, told)))

    def looked(self) -> list[str]:
        """What the next heartbeat says is as it was told."""
        told = len(self.said)
        self.later(1)
        return next(each.looked for each in self.said[told:] if isinstance(each, MetalBeat))


def test_a_path_is_judged_before_it_is_used_and_then_looked_at_in_its_turn() -> None:
    agent = Agent()
    agent.row(BMC, generation=0, uuid="U", serial="S")
    (call,) = agent.calls
    assert (call.verb, call.args["uuid"], call.args["serial"], call.args["fresh"]) == ("enroll", "U", "S", True)
    agent.end("enroll", power="off")
    seen = agent.seen()
    assert (seen.power, seen.source, seen.outcome, seen.uuid, seen.whole) == ("off", "ipmi", "done", "U", True)
    agent.acked()
    agent.later(10)
    assert not agent.calls
    agent.later(11)
    assert agent.verbs() == ["power ipmi"]
    told = len(agent.said)
    agent.end("power", power="off")
    assert agent.looked() == ["m-1"]
    assert not any(isinstance(each, MetalTell) for each in agent.said[told:])


def test_what_was_told_and_not_heard_is_nothing_that_is_as_before() -> None:
    """The controller would take what it heard last, which is older, for what was just read."""
    agent = Agent()
    agent.known(BMC, power="off")
    agent.acked()
    for heard, looked in ((False, []), (True, ["m-1"])):
        for _ in range(2):  # it was switched on by hand: told once, and then it is as it was
            agent.later(21)
            agent.end("power", power="on")
        if heard:
            agent.acked()
        assert agent.looked() == looked


def test_a_device_that_says_too_much_of_itself_keeps_nobody_from_being_heard() -> None:
    """The inventory is of all machines: one text in it that the controller does not take, and none of them is known."""
    agent = Agent()
    agent.row(BMC, generation=0)
    (call,) = agent.calls
    value = {"power": "off", "identity": {"uuid": "U" * 999, "serial": "S" * 999}}
    agent.step(events.Called(call.id, "ok", value, "", ""))
    agent.later(60)
    assert any(isinstance(each, MetalInventory) and each.machines for each in agent.said)
    for each in agent.said:
        msgspec.json.decode(msgspec.json.encode(each), type=MetalMessage)


def test_an_order_is_written_down_carried_out_and_told_and_then_all_paths_are_asked() -> None:
    agent = Agent()
    agent.known(BMC, PDU)
    steps = agent.row(BMC, PDU, power="on")
    assert steps.journal[0] == {"is": "row", "machine": "m-1", "generation": 1, "role": "on"}
    assert agent.verbs() == ["on pdu"], "a BMC behind an outlet that is off hears nobody"
    agent.end("on")
    assert agent.verbs() == ["on ipmi"]
    agent.end("on")
    seen = agent.seen()
    assert (seen.power, seen.row_generation, seen.outcome, seen.whole) == ("on", 1, "done", False)
    assert agent.verbs() == ["power ipmi", "power pdu"]
    agent.end("power", driver="ipmi")
    agent.end("power", driver="pdu")
    assert agent.seen().whole


def test_paths_are_tried_in_order_and_outlets_together() -> None:
    agent = Agent()
    agent.known(BMC, PDU, OTHER_PDU, power="on")
    agent.row(BMC, PDU, OTHER_PDU, power="off")
    assert agent.verbs() == ["off ipmi"]
    agent.end("off", "failed", code="unavailable")
    assert agent.verbs() == ["off pdu", "off pdu"]
    agent.end("off", power="off")
    assert agent.mind.memory.told["m-1"].outcome == ""
    agent.end("off", power="off")
    assert agent.mind.memory.told["m-1"].outcome == "done"


def test_what_no_path_could_do_has_failed_and_what_may_have_happened_is_unknown() -> None:
    for ends, outcome in ((("failed", "failed"), "failed"), (("unknown", "failed"), "unknown")):
        agent = Agent()
        agent.known(BMC, LIBVIRT, power="on")
        agent.row(BMC, LIBVIRT, power="off")
        for end in ends:
            agent.end("off", end, code="unavailable")
        seen = agent.seen()
        assert (seen.outcome, seen.reason) == (outcome, "ipmi: unavailable; libvirt: unavailable")


def test_an_outlet_that_is_on_does_not_prove_that_a_machine_is_whose_bmc_does_not_say_so() -> None:
    agent = Agent()
    agent.known(BMC, PDU, power="on")
    agent.row(BMC, PDU, power="on")
    agent.end("on", "failed", code="denied")
    assert (agent.seen().outcome, agent.seen().reason) == ("failed", "ipmi: denied")
    for each in ("ipmi", "pdu"):
        agent.end("power", driver=each)
    agent.step(events.Heard(MetalShot(5, "j-1", "cycle", "m-1", 1)))
    agent.end("cycle", "failed", code="denied")
    agent.end("cycle", driver="pdu")
    (over,) = [each.shot for each in agent.said if isinstance(each, MetalTell) and each.shot]
    assert over.outcome == "unknown"
    assert over.reason == "ipmi: denied; its outlet is on, which does not say that the machine is"


def test_an_outlet_that_nobody_has_read_yet_is_switched_on_for_a_bmc_that_is_not_heard() -> None:
    agent = Agent()
    agent.row(BMC, PDU, power="on")
    assert agent.verbs() == ["enroll ipmi"]
    agent.end("enroll", "failed", code="unavailable")
    assert agent.verbs() == ["enroll pdu"]
    agent.end("enroll", power="off")
    agent.end("on")
    agent.end("enroll", power="off")
    assert agent.verbs() == ["on ipmi"]
    agent.end("on")
    assert (agent.seen().outcome, agent.seen().reason) == ("done", "")


def test_an_outlet_alone_is_believed_when_it_is_on() -> None:
    agent = Agent()
    agent.known(PDU, OTHER_PDU)
    agent.row(PDU, OTHER_PDU, power="on")
    agent.end("on")
    agent.end("on")
    assert agent.seen().outcome == "done"


def test_how_it_is_after_a_cycle_is_told_before_that_it_is_over() -> None:
    agent = Agent()
    agent.known(BMC, power="off")
    agent.step(events.Heard(MetalShot(5, "j-1", "cycle", "m-1", 0)))
    agent.end("cycle")
    seen, over = [each for each in agent.said if isinstance(each, MetalTell)][-2:]
    assert seen.seen and (seen.seen.power, seen.seen.source) == ("on", "ipmi")
    assert over.shot and (over.shot.job, over.shot.outcome) == ("j-1", "done")


def test_soft_then_hard() -> None:
    agent = Agent()
    agent.known(BMC, PDU, power="on")
    agent.row(BMC, PDU, power="off", soft_seconds=7.0)
    assert agent.verbs() == ["soft ipmi"] and agent.calls[0].seconds == 7.0
    agent.end("soft", "unknown", code="unavailable")
    assert agent.verbs() == ["off ipmi"], "it was asked and did not end in time"
    agent.end("off", power="off")
    assert agent.seen().outcome == "done"


def test_one_that_can_not_be_asked_to_end_is_not_cut_off() -> None:
    agent = Agent()
    agent.known(BMC, PDU, power="on")
    agent.row(BMC, PDU, power="off", soft_seconds=7.0)
    agent.end("soft", "failed", code="impossible")
    assert agent.seen().outcome == "failed"
    assert not any(verb.startswith("off") for verb in agent.verbs())


@pytest.mark.fault(37)
@pytest.mark.parametrize("code", ["conflict", "wrong-state"])
def test_a_path_of_another_machine_or_with_an_open_door_is_never_used(code: str) -> None:
    agent = Agent()
    agent.row(BMC, generation=0)
    agent.end("enroll", "failed", code=code)
    assert (agent.seen().power, agent.seen().trouble) == ("unknown", f"ipmi: {code}")
    agent.row(BMC, power="off")
    assert not agent.calls
    assert (agent.seen().outcome, agent.seen().reason) == ("failed", f"ipmi: {code}")
    agent.later(301)
    assert agent.verbs() == ["enroll ipmi"], "it may have been put right meanwhile"


def test_an_order_that_comes_before_its_path_is_judged_has_it_judged_first() -> None:
    agent = Agent()
    agent.row(BMC, power="on")
    assert agent.verbs() == ["enroll ipmi"]
    agent.end("enroll", power="off")
    assert agent.verbs() == ["on ipmi"]


def test_a_path_that_was_judged_meanwhile_is_still_used() -> None:
    agent = Agent()
    agent.row(BMC, generation=0)
    agent.row(BMC, power="on")
    assert agent.verbs() == ["enroll ipmi", "enroll ipmi"], "for a look, and for the order"
    agent.end("enroll", power="off")
    agent.end("enroll", power="off")
    assert agent.verbs() == ["on ipmi"]


@pytest.mark.fault(37)
def test_paths_that_contradict_each_other_are_asked_twice_and_then_nothing_is_known() -> None:
    agent = Agent()
    agent.known(BMC, LIBVIRT, power="on")
    agent.later(21)
    agent.end("power", power="off")
    before = len(agent.said)
    agent.end("power", power="on")
    assert agent.verbs() == ["power ipmi", "power libvirt"], "they may have been asked while it changed"
    assert not any(isinstance(each, MetalTell) for each in agent.said[before:])
    agent.end("power", power="off")
    agent.end("power", power="on")
    seen = agent.seen()
    assert (seen.power, seen.contradiction) == ("unknown", "ipmi says off, libvirt says on")


def test_a_question_is_answered_by_the_first_path_that_knows() -> None:
    agent = Agent()
    agent.known(BMC, LIBVIRT, power="on")
    agent.later(1)
    agent.row(BMC, LIBVIRT, generation=0, ask=1)
    agent.end("power", power="on")
    assert agent.seen().answer == 1
    agent.later(1)
    agent.row(BMC, LIBVIRT, generation=0, ask=2)
    assert agent.seen().answer == 1, "the other path is asked still, and the first will be once more"


def test_what_another_path_says_meanwhile_makes_no_answer_of_an_old_reading() -> None:
    agent = Agent()
    agent.known(BMC, PDU, power="on")
    agent.later(1)
    agent.row(BMC, PDU, generation=0, ask=1)
    agent.end("power", power="on", driver="pdu")
    assert agent.seen().answer == 0, "the BMC has not spoken yet"
    agent.end("power", "failed", code="unavailable", driver="ipmi")
    assert (agent.seen().answer, agent.seen().power) == (1, "unknown")


def test_what_was_asked_before_is_no_answer() -> None:
    agent = Agent()
    agent.known(BMC, power="on")
    agent.later(21)
    agent.later(1)
    agent.row(BMC, generation=0, ask=1)
    agent.end("power", power="on")
    assert agent.verbs() == ["power ipmi"]
    assert agent.seen().answer == 0
    agent.end("power", power="off")
    assert (agent.seen().answer, agent.seen().power) == (1, "off")


@pytest.mark.fault(44)
def test_an_older_generation_is_refused_and_the_fence_outlives_the_agent() -> None:
    agent = Agent()
    agent.known(BMC)
    agent.row(BMC, generation=3, power="on")
    agent.end("on")
    for each in (agent, Agent(agent.mind.memory.snapshot(), 2)):
        each.calls.clear()
        each.row(BMC, generation=2, power="off")
        assert (each.seen().outcome, each.seen().newest) == ("refused", 3)
        assert not each.calls


@pytest.mark.fault(43)
def test_a_question_that_is_only_sent_again_is_asked_once() -> None:
    """Who waits for its turn behind many is asked for again and again by a controller that hears nothing."""
    agent = Agent()
    agent.known(BMC)
    for _ in range(3):
        agent.row(BMC, generation=0, ask=1)
    agent.end("power")
    assert agent.seen().answer == 1 and not agent.calls
    agent.row(BMC, generation=0, ask=1)
    assert agent.verbs() == ["power ipmi"], "what was answered may have been lost, and a look does no harm"
    agent.now += 1
    agent.row(BMC, generation=0, ask=2)
    agent.end("power")
    assert agent.seen().answer == 1 and agent.verbs() == ["power ipmi"], "that one had begun before it was asked"


def test_what_was_carried_out_is_looked_at_when_it_is_ordered_again() -> None:
    agent = Agent()
    agent.known(BMC)
    agent.row(BMC, power="on")
    for _ in range(100):
        agent.row(BMC, power="on")
    assert agent.verbs() == ["on ipmi"]
    agent.end("on")
    agent.end("power")
    agent.row(BMC, power="on")
    assert agent.verbs() == ["power ipmi"]


@pytest.mark.fault(24)
def test_an_order_in_the_middle_of_which_the_agent_ended_is_carried_out_when_it_comes_again() -> None:
    agent = Agent()
    agent.known(BMC)
    agent.row(BMC, power="on")
    again = Agent(agent.mind.memory.snapshot(), 2)
    (inventory,) = [each for each in again.said if isinstance(each, MetalInventory)]
    assert [(seen.machine, seen.power, seen.outcome) for seen in inventory.machines] == [("m-1", "unknown", "")]
    again.row(BMC, power="on")
    again.end("enroll", power="off")
    assert again.verbs() == ["on ipmi"]


def test_a_one_shot_is_done_at_most_once_across_restarts() -> None:
    agent = Agent()
    agent.known(BMC, LIBVIRT, power="on")
    shot = MetalShot(5, "j-1", "reset", "m-1", 0)
    steps = agent.step(events.Heard(shot))
    assert steps.journal[0] == {"is": "shot", "job": "j-1"}
    agent.step(events.Heard(shot))
    assert agent.verbs() == ["reset ipmi"]
    again = Agent(agent.mind.memory.snapshot(), 2)
    told = {(each.shot.job, each.shot.outcome) for each in again.said if isinstance(each, MetalTell) and each.shot}
    assert told == {("j-1", "unknown")}
    again.row(BMC, LIBVIRT, generation=0)
    again.calls.clear()
    again.step(events.Heard(shot))
    assert not again.calls
    agent.end("reset", "unknown", code="unavailable")
    assert not any(verb.startswith("reset") for verb in agent.verbs()), "the next path could reset it a second time"


def test_a_one_shot_goes_on_to_the_next_path_when_nothing_happened() -> None:
    agent = Agent()
    agent.known(BMC, LIBVIRT, power="on")
    agent.step(events.Heard(MetalShot(5, "j-1", "cycle", "m-1", 0)))
    agent.end("cycle", "failed", code="unavailable")
    agent.end("cycle")
    (told,) = [each.shot for each in agent.said if isinstance(each, MetalTell) and each.shot]
    assert told.outcome == "done"


def test_no_password_is_written_down() -> None:
    agent = Agent()
    agent.known(BMC | {"login": {"user": "admin", "password": "hush"}})
    agent.row(BMC | {"login": {"user": "admin", "password": "hush"}}, power="on", mark="2")
    agent.end("enroll", "failed", code="denied")
    assert "hush" not in str(agent.mind.memory.snapshot()) and "hush" not in str(agent.said)


def test_other_paths_are_taken_when_what_is_under_way_is_over() -> None:
    agent = Agent()
    agent.known(BMC, LIBVIRT)
    agent.row(BMC, LIBVIRT, power="on")
    agent.row(LIBVIRT, power="on", mark="other")
    agent.end("on")
    assert agent.verbs() == ["enroll libvirt"]
    assert agent.mind.memory.told["m-1"].outcome == "done"


def test_without_a_controller_machines_are_only_looked_at() -> None:
    agent = Agent()
    agent.known(BMC, power="on")
    agent.row(BMC, power="on")
    while agent.calls:
        agent.end(agent.calls[0].verb)
    agent.step(events.Disconnected())
    for _ in range(50):
        agent.later(21)
        assert set(agent.verbs()) <= {"power ipmi"}
        if agent.calls:
            agent.end("power", power="off")


def test_a_machine_that_is_gone_is_forgotten() -> None:
    agent = Agent()
    agent.known(BMC)
    agent.step(events.Heard(MetalRows(5, [MetalRow("m-1", 0, gone=True)])))
    agent.later(1000)
    assert not agent.calls
    assert not agent.mind.memory.told


def many() -> Agent:
    """An agent of 100 machines that have been looked at."""
    agent = Agent()
    ask_many(agent, 0)
    assert len(agent.calls) == 100, "what is new is asked at once: the queue of devices sees to the rest"
    while agent.calls:
        agent.end("enroll")
    return agent


def ask_many(agent: Agent, ask: int) -> None:
    for number in range(100):
        path = BMC | {"address": f"10.0.0.{number}"}
        agent.step(events.Heard(MetalRows(5, [MetalRow(f"m-{number}", 0, paths=[path], ask=ask)])))


def test_who_is_asked_for_goes_before_who_is_looked_at_in_turn() -> None:
    """Or a question about all would find the devices busy with looks that nobody waits for."""
    agent = many()
    ask_many(agent, 1)
    for _ in range(50):
        agent.end("power")
    agent.later(21)
    assert len(agent.calls) == 50, "those that have answered already are not asked again meanwhile"
    assert agent.mind.next_tick() > agent.now, "nor is there anything to do"
    for _ in range(34):
        agent.end("power")
    agent.later(1)
    assert len(agent.calls) == 16 + 16, "a few that don't answer keep nobody from his turn"


def test_many_are_looked_at_a_few_at_a_time_and_the_dead_do_not_keep_the_others_waiting() -> None:
    agent = many()
    agent.later(21)
    assert len(agent.calls) == 16
    agent.later(0.5)
    assert len(agent.calls) == 16
    agent.later(0.6)
    assert len(agent.calls) == 32


READINGS = {
    "a BMC is believed": ([("bmc", False, "on")], ("on", "bmc")),
    "an outlet alone": ([("pdu", True, "on")], ("on", "pdu")),
    "an outlet says nothing beside a silent BMC": ([("bmc", False, ""), ("pdu", True, "on")], ("unknown", "")),
    "one without power is off": ([("bmc", False, ""), ("pdu", True, "off")], ("off", "pdu")),
    "one of two outlets feeds it": ([("a", True, "off"), ("b", True, "on")], ("on", "b")),
    "two outlets and one does not answer": ([("a", True, "off"), ("b", True, "")], ("unknown", "")),
    "a BMC that hangs on the outlet can't be on": ([("bmc", False, "on"), ("pdu", True, "off")], ("unknown", "")),
    "off at the BMC, fed by the outlet": ([("bmc", False, "off"), ("pdu", True, "on")], ("off", "bmc")),
    "a BMC that does not know": ([("bmc", False, "unknown"), ("virt", False, "off")], ("off", "virt")),
    "nobody": ([], ("unknown", "")),
}  # fmt: skip


@pytest.mark.parametrize("case", READINGS)
def test_verdicts(case: str) -> None:
    readings, expected = READINGS[case]
    verdict = judge([Reading(*each) for each in readings])
    assert (verdict.power, verdict.source) == expected
