"""Machines into domains and out of them: the core, the real mind of a zoni agent, and devices that are dicts."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tashi.core import paths
from tashi.core.allocation import WORK
from tashi.core.cluster import Principal
from tashi.model.allocation import Phase
from tashi.model.job import JobState
from tashi.wire.zoni import MetalTell, PortSeen
from tests.core.hardware import Network, wire_up
from tests.core.world import World
from zoni.switch.interface import Port

ANN, BOB = Principal("ann", "user"), Principal("bob", "user")
DAY = 86_400.0
RED, BLUE, CLOSED = (True, (100, 101)), (True, (200,)), (False, ())
BMC = "10.0.0.1"


@pytest.fixture
def world() -> World:
    """m1, on a port of each of two switches, and m2; ann has m1 for a day. ann's domain red, bob's domain blue."""
    made = World(0)
    made.run(3)
    for uid, name in enumerate(("ann", "bob"), 10):
        made.ok("user.add", name=name, uid=uid)
    for name in ("s1", "s2"):
        made.ok("switch.add", name=name, driver="ovs", address=name)
    for number, ports in ((1, ["s1:1", "s2:1"]), (2, ["s1:2"])):
        made.ok("machine.add", name=f"m{number}", parts={"power_paths": [f"ipmi:10.0.0.{number}"], "ports": ports})
    made.network = wire_up(made)  # type: ignore[attr-defined]
    made.ok("domain.create", name="red", vlans=[100, 101], user="ann")
    made.ok("domain.create", name="blue", vlans=[200], user="bob")
    made.ok("machine.reserve", ANN, machines=["m1"], until_wall=made.now().wall + DAY)
    return made


def network(world: World) -> Network:
    found: Network = world.network  # type: ignore[attr-defined]
    return found


def ports(world: World) -> list[tuple[bool, tuple[int, ...]]]:
    return [network(world).port(switch, "1") for switch in ("s1", "s2")]


def machine(world: World, name: str = "m1") -> tuple[str, str]:
    row = world.rows("machine", names=[name])[0]
    return row["state"], row["domain"] or ""


def ended(world: World, job: str) -> tuple[str, str]:
    row = world.job(job)
    return row["state"], row["reason"] or ""


def go(world: World, domain: str = "red", who: Principal = ANN, **more: object) -> str:
    return world.ok("machine.allocate", who, name="m1", domain=domain, **more).job


def test_into_a_domain_and_out(world: World) -> None:
    job = go(world)
    assert ended(world, job) == ("done", "")
    assert (machine(world), ports(world)) == (("allocated", "red"), [RED, RED])
    assert network(world).power[BMC] == "on"
    assert world.rows("domain", names=["red"])[0]["machines"] == ["m1"]
    assert world.refused("domain.remove", name="red").text == "red: m1 is in it"
    out = world.ok("machine.release", ANN, name="m1")
    assert ended(world, out.job) == ("done", "")
    assert (machine(world), ports(world)) == (("free", ""), [CLOSED, CLOSED])
    assert network(world).power[BMC] == "off"
    assert world.rows("reservation") == []


def test_switched_off_and_closed_before_it_joins(world: World) -> None:
    go(world)
    network(world).did.clear()
    world.ok("domain.create", name="green", vlans=[300], user="ann")
    go(world, "green")
    assert network(world).did == [
        f"soft {BMC}", "change s1", "change s2", "change s1", "change s2", f"on {BMC}"
    ]  # fmt: skip
    assert ports(world) == [(True, (300,))] * 2


def test_what_is_closed_already_is_saved_all_the_same(world: World) -> None:
    """It may have been closed by a change whose saving nobody saw."""
    for switch in ("s1", "s2"):
        network(world).plug(switch, Port("1", on=False))
    go(world)
    assert network(world).did[:3] == [f"soft {BMC}", "change s1", "change s2"]  # which save in any case


def test_who_found_all_as_it_should_be_has_changed_nothing(world: World) -> None:
    """So when another of its switches refuses, nothing is in doubt."""
    for switch in ("s1", "s2"):
        network(world).plug(switch, Port("1", on=False))
    network(world).faults["change s2"] = ("failed", "denied")
    assert ended(world, go(world)) == ("failed", "ovs s2: denied; m1 is as it was before")
    assert machine(world) == ("reserved", "")


def test_who_may(world: World) -> None:
    body = {"name": "m1", "domain": "red"}
    assert world.refused("machine.allocate", BOB, **body).code == "denied"
    assert world.refused("machine.allocate", ANN, name="m1", domain="blue").text == "blue: the domain is bob's"
    assert world.refused("machine.allocate", ANN, name="m2", domain="red").text == "m2: nobody has it reserved"
    assert world.refused("machine.power", BOB, name="m1", action="on").code == "denied"
    world.ok("machine.power", ANN, name="m1", action="on")
    assert network(world).power[BMC] == "on"
    world.ok("machine.allocate", name="m1", domain="blue")  # an operator may


def test_a_refusing_switch_undoes_it(world: World) -> None:
    world.ok("machine.power", ANN, name="m1", action="on")
    network(world).faults["change s1"] = ("failed", "denied")
    job = go(world)
    state, reason = ended(world, job)
    assert state == "failed" and "ovs s1: denied; m1 is as it was before" in reason
    assert (machine(world), network(world).power[BMC]) == (("reserved", ""), "on")


def test_a_refusing_bmc_undoes_it(world: World) -> None:
    """Switched off and in its new VLANs, it can't be switched on: all of it is taken back."""
    go(world)
    world.ok("domain.create", name="green", vlans=[300], user="ann")
    network(world).faults[f"on {BMC}"] = ("failed", "denied")
    state, reason = ended(world, go(world, "green"))
    assert state == "failed" and "as it was before" in reason
    assert (machine(world), ports(world)) == (("allocated", "red"), [RED, RED])


def test_what_is_not_proven_is_sealed(world: World) -> None:
    go(world)
    world.ok("domain.create", name="green", vlans=[300], user="ann")
    network(world).faults["change s2"] = ("unknown", "no answer")
    state, reason = ended(world, go(world, "green"))
    assert (state, reason) == ("failed", "in quarantine: ovs s2: no answer")
    assert machine(world) == ("quarantine", "red"), "a port of it may still be in red"
    assert world.refused("machine.allocate", ANN, name="m1", domain="red").code == "locked"
    assert world.refused("domain.remove", name="red").code == "wrong-state"
    (seal,) = world.rows("job", where=["verb=machine.seal"])
    assert (seal["state"], seal["by"], seal["phase"]) == ("running", f"zoni@{network(world).name}", "seal-close-ports")
    network(world).faults.clear()
    world.run(130)
    assert (machine(world), ports(world)) == (("reserved", ""), [CLOSED, CLOSED])
    assert network(world).power[BMC] == "off"
    assert ended(world, seal["id"])[0] == "done"


def test_a_quarantine_is_tried_again_by_hand(world: World) -> None:
    go(world)
    network(world).faults["s1"] = ("unknown", "no answer")
    world.ok("machine.release", ANN, name="m1")
    network(world).faults.clear()
    world.ok("machine.release", ANN, name="m1")
    assert machine(world) == ("reserved", "")


def test_silence_ends_in_quarantine_when_its_time_is_up(world: World) -> None:
    network(world).up = False
    job = go(world)
    world.run(310)
    assert ended(world, job) == ("failed", "in quarantine: the zoni agent did not answer in time")
    network(world).up = True
    network(world).start()
    world.run(200)
    assert (machine(world), ports(world)) == (("reserved", ""), [CLOSED, CLOSED])


def test_called_back(world: World) -> None:
    network(world).holding.add("change")
    job = go(world)
    back = world.ok("job.cancel", ANN, name=job).job
    network(world).let_go()
    assert ended(world, job)[0] == "cancelled" and ended(world, back)[0] == "done"
    assert (machine(world), ports(world)) == (("reserved", ""), [CLOSED, CLOSED])
    assert world.refused("job.cancel", ANN, name=job).code == "wrong-state"


def test_the_agent_dies_between_two_switches(world: World) -> None:
    """It carries out again what it has no outcome of, and nobody believes that nothing was changed."""
    go(world)
    network(world).holding.add("change")
    job = world.ok("machine.release", ANN, name="m1").job
    network(world).held.clear()
    network(world).holding.clear()
    network(world).start()
    world.settle()
    world.run(5)
    assert ended(world, job) == ("done", "")
    assert ports(world) == [CLOSED, CLOSED]


def test_a_reservation_ends_with_power_off_and_ports_closed(world: World) -> None:
    go(world)
    world.seconds += DAY
    world.run(3)
    assert (machine(world), ports(world)) == (("free", ""), [CLOSED, CLOSED])
    assert network(world).power[BMC] == "off"
    assert world.rows("reservation") == []


def test_a_dead_bmc_does_not_keep_the_ports_open(world: World) -> None:
    go(world)
    for verb in ("soft", "off"):
        network(world).faults[f"{verb} {BMC}"] = ("failed", "denied")
    world.seconds += DAY
    world.run(3)
    assert (machine(world)[0], ports(world)) == ("quarantine", [CLOSED, CLOSED])


def test_a_switch_that_refuses_to_close_a_port_is_asked_again(world: World) -> None:
    go(world)
    network(world).faults["change s1"] = ("failed", "denied")
    world.seconds += DAY
    world.run(3)
    assert (machine(world)[0], ports(world)[0]) == ("quarantine", RED)
    network(world).faults.clear()
    world.run(WORK[Phase.SEAL_CLOSE].seconds + 3)
    assert (machine(world), ports(world)) == (("free", ""), [CLOSED, CLOSED])


def test_a_machine_whose_operation_was_ended_goes_no_step_further(world: World) -> None:
    network(world).holding.add("on")
    job = go(world)
    world.take(world.cluster.happened(lambda turn: turn.end(job, JobState.FAILED, "somebody else's"), world.now()))
    network(world).let_go()
    world.run(5)
    assert (machine(world), ports(world)) == (("reserved", ""), [CLOSED, CLOSED])
    assert network(world).power[BMC] == "off"


def test_that_an_old_order_about_ports_was_refused_says_nothing_of_the_store(world: World) -> None:
    network(world).holding.add("change")
    job = go(world)
    phase, generation = world.job(job)["phase"], world.cluster.state.machines["m-1"].allocation.generation
    old = PortSeen("m-1", generation - 1, "refused", newest=generation)
    network(world).deliver(MetalTell(1, 99, "boot-1", ports=old))  # type: ignore[arg-type]
    assert world.job(job)["phase"] == phase == "close-ports"
    network(world).let_go()
    assert ended(world, job) == ("done", "")


def test_what_is_free_at_the_end_of_a_reservation_does_not_wait_for_the_rest(world: World) -> None:
    until = world.now().wall + DAY
    world.ok("machine.release", ANN, name="r-1")
    world.ok("machine.reserve", ANN, machines=["m1", "m2"], until_wall=until)
    go(world)
    network(world).holding.add("change")
    world.seconds += DAY
    world.run(3)
    assert world.rows("reservation")[0]["machines"] == ["m1"]
    assert world.refused("reservation.extend", ANN, name="r-2", until_wall=until + DAY).code == "too-late"
    network(world).let_go()
    assert world.rows("reservation") == []


def test_who_gives_a_machine_back_gives_back_no_other_time(world: World) -> None:
    after = world.now().wall + DAY
    world.ok("machine.reserve", ANN, machines=["m1"], from_wall=after, until_wall=after + DAY)
    world.ok("machine.reserve", BOB, machines=["m1"], from_wall=after + DAY, until_wall=after + 2 * DAY)
    go(world)
    world.ok("machine.release", ANN, name="m1")
    assert [each["id"] for each in world.rows("reservation")] == ["r-2", "r-3"]


def test_a_machine_whose_agent_is_removed_on_its_way_is_sealed_by_the_next(world: World) -> None:
    network(world).holding.add("change")
    job = go(world)
    world.ok("zoniagent.remove", name="net1")
    assert ended(world, job) == ("failed", "the zoni agent net1 was removed")
    del world.hosts[network(world).id]
    world.run(3)
    assert machine(world)[0] == "quarantine"
    world.network = wire_up(world, "net2")  # type: ignore[attr-defined]
    assert (machine(world), ports(world), network(world).power[BMC]) == (("reserved", ""), [CLOSED, CLOSED], "off")
    assert [each["state"] for each in world.rows("job") if each["verb"] == "machine.seal"] == ["done"]


def test_a_machine_that_a_vm_host_runs_on_stays_where_it_is(world: World) -> None:
    world.ok("host.add", name="h1")
    world.ok("machine.set", name="m1", parts={"host": "h1"})
    body = {"name": "m1", "domain": "red"}
    assert world.refused("machine.allocate", ANN, **body).text == "m1: the VM host h1 runs on it"


def test_a_whole_reservation_is_one_operation_with_parts(world: World) -> None:
    world.ok("machine.reserve", ANN, machines=["m2"], until_wall=world.now().wall + DAY)
    go(world)
    world.ok("machine.release", ANN, name="r-2")
    parent = world.ok("machine.release", ANN, name="r-1").job
    assert ended(world, parent) == ("done", "")
    assert world.job(parent)["children"] == 1
    assert world.rows("reservation") == []


def test_in_a_domain_its_record_stays(world: World) -> None:
    go(world)
    wire_up(world, "net2")
    for said in ({"ports": ["s1:9"]}, {"power_paths": []}, {"agent": "net2"}):
        assert "zoni agent stay" in world.refused("machine.set", name="m1", parts=said).text
        row = {"name": "m1", "parts": said}
        assert "zoni agent stay" in world.ok("machine.import", machines=[row], update=True).missing["0"]
    world.ok("zoniagent.remove", name="net2")
    row = {"name": "m1", "parts": {"agent": "net1", "note": "as exported: the only one there is"}}
    assert world.ok("machine.import", machines=[row], update=True).missing == {}
    assert world.refused("machine.remove", name="m1").code == "wrong-state"
    again = world.ok("machine.allocate", ANN, name="m1", domain="red")
    assert (again.done, again.note) == (True, "it is there already")


def test_a_bmc_has_a_new_password_while_its_machine_is_in_a_domain(world: World) -> None:
    """Or a machine whose BMC lets nobody in any more could neither be switched nor given back."""
    go(world)
    for said in ({"password": "new word"}, {"user": "other", "password": "newer word"}):
        world.ok("machine.set", name="m1", parts=said)
        (opened, *_) = paths.opened(world.cluster.state, world.cluster.vault, world.cluster.state.machines["m-1"])
        assert opened["login"]["password"] == said["password"]


def test_a_whole_reservation_is_called_back_by_its_parts(world: World) -> None:
    go(world)
    network(world).holding.add("change")
    parent = world.ok("machine.release", ANN, name="r-1").job
    refused = world.refused("job.cancel", ANN, name=parent)
    (part,) = [each["id"] for each in world.rows("job") if each["parent"] == parent]
    assert (refused.code, refused.hint) == ("too-late", f"tjob-cancel {part}")
    world.ok("job.cancel", ANN, name=part)
    network(world).let_go()
    assert ended(world, parent) == ("failed", "1 of 1 failed")
    assert (machine(world), ports(world)) == (("allocated", "red"), [RED, RED])


@pytest.mark.parametrize("held", ["change", "on"])
def test_a_domain_is_kept_for_who_may_go_on_or_back(world: World, held: str) -> None:
    world.ok("domain.create", name="green", vlans=[300], user="ann")
    go(world)
    network(world).holding.add(held)
    go(world, "green")
    assert {row["name"]: row["machines"] for row in world.rows("domain")} == {
        "red": ["m1"],
        "blue": [],
        "green": ["m1"],
    }
    for name in ("red", "green"):
        assert world.refused("domain.remove", name=name).text == f"{name}: m1 is in it"
    network(world).let_go()
    world.ok("domain.remove", name="red")


@pytest.mark.attack(6)
def test_an_agent_is_heard_of_the_ports_of_its_own_machines_alone(world: World) -> None:
    world.ok("machine.set", name="m1", parts={"agent": "net1"})
    other = wire_up(world, "net2")
    network(world).holding.add("change")
    job = go(world)
    phase, generation = world.job(job)["phase"], world.cluster.state.machines["m-1"].allocation.generation
    for number, outcome in enumerate(("done", "unknown", "refused"), 90):
        lie = PortSeen("m-1", generation, outcome, newest=generation + 5)  # type: ignore[arg-type]
        other.deliver(MetalTell(1, number, "boot-1", ports=lie))  # type: ignore[arg-type]
    assert world.job(job)["phase"] == phase == "close-ports"
    network(world).let_go()
    assert ended(world, job) == ("done", "")


def test_an_agent_that_knows_a_newer_order(world: World) -> None:
    """The store is an older one: what it knows of the machine is not acted on, and the machine is shut off."""
    go(world)
    there = world.cluster.state.machines["m-1"]
    old = replace(there, allocation=replace(there.allocation, generation=0))
    world.cluster.state.put("machine", "m-1", old)
    world.ok("domain.create", name="green", vlans=[300], user="ann")
    state, reason = ended(world, go(world, "green"))
    assert state == "failed" and "a newer order than this store knows of" in reason
    world.run(5)
    assert (machine(world), ports(world)) == (("reserved", ""), [CLOSED, CLOSED])
