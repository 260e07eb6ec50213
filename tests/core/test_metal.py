"""Power orders in the core, with the real mind of a zoni agent: outcomes, doubts, drift, evidence of a host's end."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from msgspec.structs import replace

from tashi.agent import events
from tashi.core import metal_power, resend
from tashi.core.cluster import Cluster, Found, Principal
from tashi.wire.agents import ShotDone
from tashi.wire.zoni import MetalBeat, MetalRow, MetalRows, MetalSeen, MetalTell
from tests.core.hardware import Network, wire_up
from tests.core.world import SECRET, World


class Rack:
    """A world with machines m1, m2... behind a zoni agent; their BMCs are 10.0.0.1 and so on."""

    def __init__(self, machines: int = 1, hosts: int = 0, **parts: Any) -> None:
        self.world = World(hosts=hosts)
        for number in range(1, machines + 1):
            given = {"power_paths": [f"ipmi:10.0.0.{number}"], "user": "ADMIN", "password": "hush"} | parts
            self.world.ok("machine.add", name=f"m{number}", parts=given)
        self.net: Network = wire_up(self.world)

    def order(self, action: str, name: str = "m1", **more: Any) -> str:
        return self.world.ok("machine.power", name=name, action=action, **more).job

    def job(self, ident: str) -> dict[str, Any]:
        return self.world.rows("job", names=[ident])[0]

    def row(self, name: str = "m1", **who: Any) -> dict[str, Any]:
        return self.world.rows("machine", names=[name], **who)[0]

    def told(self, verb: str) -> list[dict[str, Any]]:
        return [entry for entry in self.world.log if entry.get("verb") == verb and entry["kind"] == "machine"]


def ended(rack: Rack, job: str) -> tuple[str, str]:
    found = rack.job(job)
    return found["state"], found["reason"] or ""


def test_on_and_off_are_ordered_carried_out_and_seen() -> None:
    rack = Rack()
    assert rack.row()["power"] == "off"
    job = rack.order("on")
    assert ended(rack, job) == ("done", "")
    row = rack.row()
    assert (row["power"], row["power_desired"], row["power_source"], row["generation"]) == (
        "on",
        "on",
        "ipmi 10.0.0.1",
        1,
    )
    assert row["job"] is None and rack.net.did == ["on 10.0.0.1"]
    assert ended(rack, rack.order("off")) == ("done", "")
    assert rack.row()["power"] == "off"


def test_off_when_off_is_success() -> None:
    rack = Rack()
    assert ended(rack, rack.order("off")) == ("done", "")


def test_soft_has_its_time_and_a_cycle_leaves_it_on() -> None:
    rack = Rack()
    rack.order("on")
    rack.net.holding.add("soft")
    job = rack.order("soft", grace_seconds=7)
    (held,) = rack.net.held
    assert (held.verb, held.seconds) == ("soft", 7.0)
    rack.net.let_go()
    assert ended(rack, job) == ("done", "")
    assert ended(rack, rack.order("cycle")) == ("done", "")
    assert rack.row()["power_desired"] == "on" and rack.net.did.count("cycle 10.0.0.1") == 1


def test_a_reset_that_can_not_be_switches_nothing_on() -> None:
    rack = Rack()
    rack.net.faults["reset 10.0.0.1"] = ("failed", "wrong-state")
    state, reason = ended(rack, rack.order("reset"))
    assert state == "failed" and "wrong-state" in reason
    rack.world.run(60)
    assert rack.row()["power"] == "off" and rack.net.did == []


def test_one_operation_at_a_time_but_cutting_the_power_goes_first() -> None:
    rack = Rack()
    rack.net.holding.add("on")
    first = rack.order("on")
    refused = rack.world.refused("machine.power", name="m1", action="reset")
    assert refused.code == "locked" and first in refused.text
    second = rack.order("off")
    assert rack.job(first)["state"] == "cancelled"
    rack.net.let_go()
    assert ended(rack, second) == ("done", "")
    assert rack.net.did == ["on 10.0.0.1", "off 10.0.0.1"]


def test_what_stands_in_the_way_is_said() -> None:
    world = World(hosts=0)
    world.ok("machine.add", name="m1")
    assert "no way to its power" in world.refused("machine.power", name="m1", action="on").text
    world.ok("machine.set", name="m1", parts={"power_paths": ["ipmi:10.0.0.1"]})
    assert "no zoni agent" in world.refused("machine.power", name="m1", action="on").text
    world.ok("zoniagent.add", name="net1")
    refused = world.refused("machine.power", name="m1", action="on")
    assert refused.code == "unavailable" and "not enrolled" in refused.text
    rack = Rack()
    rack.world.ok("machine.set", name="m1", lock="fan")
    assert rack.world.refused("machine.power", name="m1", action="on").code == "locked"
    assert rack.world.refused("machine.power", who=Principal("eve", "user"), name="m1", action="on").code == "denied"


@pytest.mark.fault(38)
def test_a_silent_bmc_fails_its_own_machine_only_and_nothing_is_known_of_it() -> None:
    rack = Rack(2)
    rack.net.faults["10.0.0.1"] = ("failed", "unavailable")
    first, second = rack.order("look", "m1"), rack.order("look", "m2")
    assert ended(rack, first) == ("failed", "unknown: ipmi 10.0.0.1: unavailable")
    assert ended(rack, second) == ("done", "")
    assert (rack.row()["power"], rack.row("m2")["power"]) == ("unknown", "off")
    assert rack.row()["reason"] == "ipmi 10.0.0.1: unavailable"


def test_who_is_asked_for_after_many_has_the_time_that_those_take() -> None:
    rack = Rack(101)
    rack.net.holding.add("power")
    jobs = [rack.order("look", f"m{number}") for number in range(1, 102)]
    rack.world.run(99)
    rack.net.let_go()
    states = [rack.job(job)["state"] for job in jobs]
    assert states == ["failed"] * states.count("failed") + ["done"] * states.count("done"), "the first wait for nobody"
    assert states[0] == "failed" and states[-1] == "done"


def test_an_agent_with_many_questions_is_given_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resend, "MACHINES_A_SECOND", 10)
    rack = Rack(30)
    rack.net.holding.add("power")
    for number in range(1, 31):
        rack.order("look", f"m{number}")
    again: list[str] = []
    happen = rack.net.happen

    def hear(event: events.Event) -> None:
        if isinstance(event, events.Heard) and isinstance(event.message, MetalRows):
            again.extend(row.machine for row in event.message.rows)
        happen(event)

    monkeypatch.setattr(rack.net, "happen", hear)
    rack.world.run(4.75)
    assert sorted(again) == sorted(f"m-{number}" for number in range(1, 31)), (
        "each once, which few are told twice by now"
    )


@pytest.mark.fault(39)
def test_an_off_that_is_acknowledged_and_does_not_happen_has_failed() -> None:
    rack = Rack()
    rack.order("on")
    rack.net.faults["off 10.0.0.1"] = ("unknown", "unavailable")
    state, reason = ended(rack, rack.order("off"))
    assert state == "failed" and reason.startswith("it may have been done: ")
    assert rack.row()["power"] == "on"


def test_another_path_is_tried_and_told_as_the_source() -> None:
    rack = Rack(power_paths=["ipmi:10.0.0.1", "libvirt:m1,uri=test:///default"])
    rack.net.faults["10.0.0.1"] = ("failed", "denied")
    assert ended(rack, rack.order("on")) == ("done", "")
    row = rack.row()
    assert row["power_source"] == "libvirt m1" and row["reason"] == "ipmi 10.0.0.1: denied"


def test_drift_is_told_as_an_event_and_not_mended() -> None:
    rack = Rack()
    rack.order("on")
    rack.net.power["10.0.0.1"] = "off"
    rack.world.run(45)
    (event,) = rack.told("machine.drift")
    assert event["name"] == "m1" and "power off" in event["reason"] and "on was asked for" in event["reason"]
    assert event["by"] == "zoni@net1"
    assert rack.row()["reason"] == "on was asked for" and rack.net.did == ["on 10.0.0.1"]


@pytest.mark.fault(37)
def test_a_contradiction_is_an_event_of_its_own_and_nothing_is_known() -> None:
    rack = Rack(power_paths=["ipmi:10.0.0.1", "libvirt:m1,uri=test:///default"])
    rack.net.power["m1"] = "on"
    rack.order("on")
    assert rack.row()["power"] == "on"
    rack.world.log.clear()
    rack.net.power["10.0.0.1"] = "off"
    rack.world.run(45)
    (event,) = rack.told("machine.contradiction")
    assert "ipmi 10.0.0.1 says off, libvirt m1 says on" in event["reason"]
    row = rack.row()
    assert (row["power"], row["power_contradiction"]) == ("unknown", "ipmi 10.0.0.1 says off, libvirt m1 says on")


@pytest.mark.fault(43)
def test_the_same_request_a_hundred_times_is_one_order() -> None:
    rack = Rack()
    body = {"name": "m1", "action": "cycle"}
    first = rack.world.decide("machine.power", request_id="request-same", **body)
    assert first.reply is not None
    requests = rack.world.cluster.state.requests
    kept = next(each for key, each in requests.items() if key.endswith("request-same"))
    found = Found(kept.hash, bytes(kept.ok), kept.revision)
    for _ in range(99):
        again = rack.world.decide("machine.power", request_id="request-same", found=found, **body)
        assert again.reply is not None and again.reply.ok == first.reply.ok
    rack.world.settle()
    assert rack.net.did.count("cycle 10.0.0.1") == 1


@pytest.mark.fault(24)
def test_an_agent_that_ends_in_mid_operation_goes_on_when_it_is_back() -> None:
    rack = Rack()
    rack.net.holding.add("on")
    job = rack.order("on")
    rack.net.holding.clear()
    rack.net.start()
    rack.world.settle()
    assert ended(rack, job) == ("done", "")


def test_a_one_shot_that_was_interrupted_may_have_been_done_and_is_not_done_again() -> None:
    rack = Rack()
    rack.order("on")
    rack.net.holding.add("reset")
    job = rack.order("reset")
    rack.net.holding.clear()
    rack.net.start()
    rack.world.run(60)
    state, reason = ended(rack, job)
    assert state == "failed" and "may have been done" in reason
    assert rack.net.did == ["on 10.0.0.1"]


@pytest.mark.fault(4)
def started_anew(rack: Rack) -> Cluster:
    """Another controller, on what is stored."""
    former = rack.world.cluster
    fresh = Cluster(former.settings, former.chance)
    fresh.vault = former.vault
    for (table, key), value in rack.world.everything().items():
        fresh.load(table, [(key, value)])
    fresh.loaded(rack.world.now(), 2, 1000)
    return fresh


def test_a_controller_that_starts_anew_hears_the_outcome() -> None:
    rack = Rack()
    rack.net.holding.add("on")
    job = rack.order("on")
    rack.world.cluster = started_anew(rack)
    assert rack.row()["power"] == "unknown", "nobody has reported to this controller"
    rack.net.let_go()
    rack.world.run(20)
    rack.net.happen(events.Connected())
    rack.world.settle()
    assert ended(rack, job) == ("done", "") and rack.row()["power"] == "on"
    assert rack.net.did == ["on 10.0.0.1"]


def test_a_silent_agent_knows_nothing() -> None:
    rack = Rack()
    rack.net.up = False
    rack.world.run(7)
    row = rack.row()
    assert (row["power"], row["reason"]) == ("unknown", "the zoni agent net1 is not heard")
    (agent,) = rack.world.rows("zoniagent")
    assert (agent["health"], agent["reason"], agent["machines"]) == ("unknown", "is not heard", 1)
    assert rack.world.refused("machine.power", name="m1", action="on").code == "unavailable"


def test_that_an_agent_is_silent_is_told_once_and_so_is_that_it_is_heard_again() -> None:
    rack = Rack()

    def told() -> list[tuple[str, str]]:
        entries = [entry for entry in rack.world.log if entry["kind"] == "zoniagent"]
        return [(entry["state"], entry.get("reason") or "") for entry in entries]

    rack.world.log.clear()
    rack.net.up = False
    rack.world.run(60)
    ((state, reason),) = told()
    assert state == "unknown" and reason.startswith("silent since ")
    rack.net.up = True
    rack.world.run(3)
    assert told()[1:] == [("enrolled", "")]
    assert rack.world.rows("zoniagent")[0]["health"] == "up"


def test_an_agent_that_does_not_come_to_a_controller_that_has_started_is_told() -> None:
    rack = Rack()
    rack.net.up = False
    rack.world.cluster = started_anew(rack)
    rack.world.log.clear()
    rack.world.run(60)
    (entry,) = [entry for entry in rack.world.log if entry["kind"] == "zoniagent"]
    assert entry["state"] == "unknown" and entry["reason"].startswith("not heard since ")


def test_the_age_is_that_of_the_newest_look_whether_it_was_news_or_not() -> None:
    rack = Rack()
    before = rack.world.cluster.revision
    rack.world.run(300)
    assert rack.row()["power_age_seconds"] < 30
    assert rack.world.cluster.revision == before, "a look that is no news is not stored"


def test_an_agent_forgets_what_is_not_its_own_any_more() -> None:
    rack = Rack(2)
    rack.world.ok("machine.remove", name="m2")
    rack.net.queue.clear()
    looked = len(rack.net.mind._machines)
    rack.world.run(30)
    assert looked == 2 or looked == 1
    assert list(rack.net.mind._machines) == ["m-1"]


def test_a_password_is_with_the_agent_and_nowhere_else() -> None:
    rack = Rack()
    rack.net.faults["10.0.0.1"] = ("failed", "denied")
    rack.order("on")
    rack.world.run(30)
    assert "hush" in str(rack.net.mind._machines["m-1"].paths)
    everything = str(rack.world.everything()) + str(rack.world.log) + str(rack.world.rows("machine"))
    assert "hush" not in everything + str(rack.net.journal)


def test_passwords_that_can_not_be_opened_are_the_trouble_of_one_machine() -> None:
    rack = Rack(2)
    ident = rack.world.cluster.state.machines["m-1"].paths[0].secret
    secret = rack.world.cluster.state.secrets[ident]
    rack.world.cluster.state.secrets[ident] = replace(secret, sealed=secret.sealed[:-8] + "AAAAAAAA")
    rack.net.start()
    rack.world.settle()
    refused = rack.world.refused("machine.power", name="m1", action="on")
    assert refused.code == "wrong-state" and "passwords can't be read" in refused.text
    assert ended(rack, rack.order("on", "m2")) == ("done", "")


def test_an_older_store_orders_nothing_that_was_overtaken() -> None:
    rack = Rack()
    rack.order("on")
    rack.net.mind.memory.told["m-1"].generation = 9
    rack.order("off")
    rack.world.run(5)
    row = rack.row()
    assert row["generation"] == 10 and row["power_desired"] is None and rack.net.did == ["on 10.0.0.1"]


def test_what_a_bmc_is_asked_is_answered_and_says_nothing_of_the_power() -> None:
    rack = Rack()
    told = len(rack.world.log)
    for verb, body, answer in (
        ("machine.boot", {"device": "disk", "once": True, "uefi": True}, '{"device":"disk","once":true,"uefi":true}'),
        ("machine.identify", {}, '{"on":true}'),
        ("machine.log", {"limit": 7}, '{"limit":7}'),
        ("machine.sensors", {}, "{}"),
    ):  # fmt: skip
        job = rack.world.ok(verb, name="m1", **body).job
        assert (rack.job(job)["state"], rack.job(job)["answer"]) == ("done", answer)
    assert rack.row()["power"] == "off" and rack.row()["generation"] == 0
    assert {entry["kind"] for entry in rack.world.log[told:]} == {"job"}
    rack.world.ok("machine.set", name="m1", lock="fan")
    assert rack.world.refused("machine.boot", name="m1", device="disk").code == "locked"


def test_a_question_is_asked_again_after_a_crash_and_a_light_is_not_switched_twice() -> None:
    rack = Rack()
    rack.net.holding |= {"sensors", "set_light"}
    question = rack.world.ok("machine.sensors", name="m1").job
    rack.net.start()
    rack.world.settle()
    rack.net.let_go()
    rack.world.run(5)
    assert rack.job(question)["state"] == "done"
    rack.net.holding.add("set_light")
    light = rack.world.ok("machine.identify", name="m1").job
    rack.net.start()
    rack.net.holding.clear()
    rack.world.run(5)
    assert (rack.job(light)["state"], rack.net.did) == ("failed", ["sensors 10.0.0.1"])


def test_a_path_that_can_not_do_it_is_no_trouble() -> None:
    rack = Rack()
    rack.net.faults["sensors 10.0.0.1"] = ("failed", "impossible")
    job = rack.world.ok("machine.sensors", name="m1").job
    assert ended(rack, job) == ("failed", "ipmi 10.0.0.1: impossible")
    assert rack.row()["reason"] is None and rack.row()["power"] == "off"


def test_where_there_are_several_agents_a_machine_names_its_own() -> None:
    rack = Rack()
    other = wire_up(rack.world, "net2")
    refused = rack.world.refused("machine.power", name="m1", action="on")
    assert "there are several" in refused.text and refused.hint == "zoni-set m1 --agent AGENT"
    rack.world.ok("machine.set", name="m1", parts={"agent": "net2"})
    assert ended(rack, rack.order("on")) == ("done", "")
    assert (rack.row()["agent"], other.did, rack.net.did) == ("net2", ["on 10.0.0.1"], [])
    rack.world.run(70)
    assert "m-1" not in rack.net.mind._machines, "it is told so at the latest when it speaks of it"
    assert rack.world.refused("zoniagent.remove", name="net2").code == "wrong-state"
    assert "no such zoni agent" in rack.world.refused("machine.set", name="m1", parts={"agent": "net9"}).text


@pytest.mark.attack(6)
def test_an_agent_is_heard_of_its_own_machines_alone() -> None:
    rack = Rack()
    rack.net.holding |= {"reset", "on"}
    rack.world.ok("zoniagent.add", name="net2")
    rack.world.cluster.state.machines["m-1"] = replace(rack.world.cluster.state.machines["m-1"], agent=rack.net.id)
    other = wire_up(rack.world, "net2")
    job = rack.order("reset")
    before = rack.row()
    for said in (
        MetalTell(1, 90, "boot-1", shot=ShotDone(job, "done")),
        MetalTell(1, 91, "boot-1", seen=MetalSeen("m-1", "on", "a lie", mark="x")),
        MetalBeat(looked=["m-1"]),
    ):
        other.deliver(said)  # type: ignore[arg-type]
    assert rack.job(job)["state"] == "running"
    assert {**rack.row(), "power_age_seconds": 0} == {**before, "power_age_seconds": 0}


def test_an_agent_that_is_not_well_says_so() -> None:
    rack = Rack()
    rack.net.deliver(MetalBeat(degraded="2 workers hang"))  # type: ignore[arg-type]
    agent = rack.world.rows("zoniagent")[0]
    assert (agent["health"], agent["reason"]) == ("degraded", "2 workers hang")


@pytest.mark.attack(6)
def test_a_token_and_a_key_are_good_for_one_agent() -> None:
    world = Rack().world
    guest = Principal("", "enroll")
    world.ok("zoniagent.add", name="net2")
    token = hashlib.blake2b(SECRET, digest_size=16).hexdigest()
    body = {"agent": "net2", "token": token, "key": "net2".ljust(40, "z")}
    assert world.refused("zoniagent.enroll", guest, **body | {"key": "net1".ljust(40, "z")}).code == "conflict"
    world.seconds += world.cluster.settings.token_seconds + 1
    assert "not valid" in world.refused("zoniagent.enroll", guest, **body).text
    world.ok("zoniagent.add", name="net2")
    world.ok("zoniagent.enroll", guest, **body)
    assert "not valid" in world.refused("zoniagent.enroll", guest, **body).text


def test_that_an_old_order_was_refused_says_nothing_of_the_store() -> None:
    """It was sent again while the answer to the newer one was on its way."""
    rack = Rack()
    rack.order("on")
    rack.net.holding.add("off")
    job = rack.order("off")
    rack.net.happen(events.Heard(MetalRows(1, [MetalRow("m-1", 1, power="on")])))
    assert rack.world.said[-1][1].seen.outcome == "refused"
    assert rack.job(job)["state"] == "running"
    rack.net.let_go()
    assert ended(rack, job) == ("done", "")


def test_what_a_former_agent_said_tells_nothing_of_what_this_one_was_told() -> None:
    """Its outbox outlives it, rows don't."""
    rack = Rack()
    mark = next(iter(rack.world.cluster.contacts.values())).marks["m-1"]
    rack.net.start()
    rack.net.deliver(MetalTell(1, 99, "boot-1", seen=MetalSeen("m-1", "off", "long ago", mark=mark)))  # type: ignore[arg-type]
    rack.world.settle()
    assert list(rack.net.mind._machines) == ["m-1"]


def test_what_was_overtaken_on_its_way_is_not_believed() -> None:
    rack = Rack()
    rack.order("on")
    rack.net.deliver(MetalTell(1, 0, "boot-1", seen=MetalSeen("m-1", "off", "long ago")))  # type: ignore[arg-type]
    assert (rack.row()["power"], rack.row()["power_source"]) == ("on", "ipmi 10.0.0.1")


def test_an_order_that_is_called_back_is_not_asked_for_any_more() -> None:
    rack = Rack()
    rack.net.holding.add("on")
    job = rack.order("on")
    assert rack.world.refused("machine.remove", name="m1").code == "locked"
    rack.world.ok("job.cancel", name=job)
    assert ended(rack, job)[0] == "cancelled"
    assert (rack.row()["power_desired"], rack.row()["generation"], rack.row()["job"]) == (None, 2, None)


def test_an_order_has_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metal_power, "POWER_SECONDS", 3.0)
    rack = Rack()
    rack.net.holding.add("on")
    job = rack.order("on")
    rack.world.run(2)
    assert rack.job(job)["state"] == "running"
    rack.world.run(2)
    assert ended(rack, job) == ("failed", "no outcome in its time; it is asked again")
    rack.net.let_go()
    assert rack.row()["power"] == "on"


def test_an_answer_has_its_limit() -> None:
    rack = Rack()
    rack.net.holding.add("sensors")
    job = rack.world.ok("machine.sensors", name="m1").job
    rack.net.deliver(MetalTell(1, 90, "boot-1", shot=ShotDone(job, "done", result={"answer": "x" * 300_000})))  # type: ignore[arg-type]
    state, reason = ended(rack, job)
    assert state == "failed" and "300000 characters" in reason


# -- evidence ----------------------------------------------------------------------------------------------------------
def hosted(**parts: Any) -> Rack:
    rack = Rack(hosts=2, host="h1", **parts)
    rack.order("on", force=True)
    rack.world.create("web", host="h1")
    return rack


def test_a_vm_host_with_vms_is_not_switched_off_by_the_way() -> None:
    rack = hosted()
    for action in ("off", "soft", "cycle", "reset"):
        refused = rack.world.refused("machine.power", name="m1", action=action)
        assert refused.code == "wrong-state" and "web" in refused.text and "thost-drain h1" in refused.hint


@pytest.mark.fault(35)
def test_a_power_off_that_was_read_back_is_evidence_once_the_host_is_silent_and_restarts_nothing() -> None:
    rack = hosted()
    rack.order("off", force=True)
    assert rack.row()["power_evidence"] is None, "its agent was heard a moment ago"
    state = rack.world.cluster.state
    seen = state.machines["m-1"].seen
    assert seen is not None
    state.put("machine", "m-1", replace(state.machines["m-1"], seen=replace(seen, whole=False)))
    rack.world.host("h1").power_cut()
    rack.world.run(10)
    assert rack.row()["power_evidence"] is None, "not all paths were asked"
    state.put("machine", "m-1", replace(state.machines["m-1"], seen=seen))
    rack.world.run(2)
    assert rack.row()["power_evidence"].endswith(", by ipmi 10.0.0.1")
    assert len(rack.told("machine.evidence")) == 1
    assert rack.world.vm("web")["host"] == "h1" and rack.world.vm("web")["state"] == "unknown"
    rack.world.host("h1").up = True
    rack.world.host("h1").start()
    rack.world.run(3)
    assert rack.row()["power_evidence"] is None


@pytest.mark.fault(37)
def test_there_is_no_evidence_while_paths_are_still_being_asked() -> None:
    rack = hosted(power_paths=["ipmi:10.0.0.1", "libvirt:m1,uri=test:///default"])
    rack.net.power["m1"] = "on"
    rack.net.holding |= {"power", "enroll"}
    rack.order("off", force=True)
    rack.world.host("h1").power_cut()
    rack.world.run(10)
    assert rack.row()["power"] == "off" and rack.row()["power_evidence"] is None
    rack.net.let_go()
    rack.world.run(10)
    assert rack.row()["power_contradiction"] and rack.row()["power_evidence"] is None
    assert not rack.told("machine.evidence")


@pytest.mark.fault(36, 37)
@pytest.mark.parametrize("fault", ["silent", "lies", "contradicts"])
def test_there_is_no_evidence_without_a_bmc_that_can_be_believed(fault: str) -> None:
    rack = hosted(power_paths=["ipmi:10.0.0.1", "libvirt:m1,uri=test:///default"])
    rack.net.power["m1"] = "on"
    rack.world.run(45)
    if fault == "silent":
        rack.net.faults["10.0.0.1"] = rack.net.faults["m1"] = ("failed", "unavailable")
    else:
        rack.net.power["10.0.0.1"] = "off"
        if fault == "lies":
            rack.net.power["m1"] = "off"  # both: it is the host itself that speaks against them
    if fault != "lies":
        rack.world.host("h1").power_cut()
    rack.world.run(60)
    assert rack.row()["power_evidence"] is None
    assert rack.row()["power"] == "unknown"
    if fault == "lies":
        heard = "ipmi 10.0.0.1 says off, the agent of h1 is heard"
        assert [each["reason"].endswith(heard) for each in rack.told("machine.contradiction")].count(True) == 1
