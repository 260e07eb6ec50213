"""Placement as people meet it: rules on VMs, terms on hosts, reasons for both, and how many more there is room for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tashi.core.cluster import Principal
from tashi.core.demands import Ratios
from tashi.core.placement import PASSES
from tashi.core.rows import guest_of
from tashi.core.settings import Settings
from tashi.sched.policy import parse_policy
from tashi.sched.survey import LOOKED_AT
from tests.core.world import GIB, ROOT, World

ANN = Principal("ann", "user")


def ask(world: World, verb: str, who: Principal = ROOT, **body: Any) -> Any:
    """What a verb that changes nothing is answered."""
    decision = world.decide(verb, who, **body)
    assert decision.reply is not None and decision.reply.error is None, decision.reply
    return json.loads(bytes(decision.reply.ok))


def hosts_of(world: World, *names: str) -> list[str]:
    return [world.vm(name)["host"] for name in names]


def verdicts(world: World, **body: Any) -> dict[str, dict[str, Any]]:
    return {each["host"]: each for each in ask(world, "explain", **body)["verdicts"]}


def test_twelve_of_a_group_are_spread_over_three_hosts() -> None:
    world = World()
    world.ok("vm.create", name="web", image="tiny", cores=1, memory_bytes=GIB // 4, count=12, asks={"spread": "host"})
    assert sorted(row["host"] for row in world.rows()) == ["h1"] * 4 + ["h2"] * 4 + ["h3"] * 4
    assert {row["group"] for row in world.rows()} == {"web"}


def test_a_host_that_is_named_and_is_not_as_asked_is_impossible() -> None:
    """It waits for nothing: no room that gets free there would do."""
    world = World(2)
    want = {"name": "q", "image": "tiny", "cores": 1, "memory_bytes": GIB, "hold": True}
    refused = world.refused("vm.create", host="h1", asks={"labels": {"host": "h2"}}, **want)
    assert (refused.code, refused.text) == ("impossible", "q: h1: needs label host=h2, it has host=h1")
    world.ok("host.set", name="h1", kept_cores=4)
    refused = world.refused("vm.create", host="h1", **want | {"cores": 5})
    assert (refused.code, refused.text) == ("impossible", "q: h1: needs 5 cores, 4 free")
    world.create("full", cores=4, host="h1")
    assert world.ok("vm.create", host="h1", asks={"labels": {"host": "h1"}}, **want).held
    assert world.ok("vm.create", host="h1", asks={"labels": {"host": "h2"}, "fallback": True}, **want | {"name": "r"})
    assert world.vm("r")["host"] == "h2"


def test_what_is_apart_stays_apart_and_a_part_will_do() -> None:
    world = World()
    apart = {"name": "db", "image": "tiny", "cores": 1, "memory_bytes": GIB, "count": 4, "asks": {"apart": [""]}}
    refused = world.refused("vm.create", **apart)
    assert (refused.code, refused.text) == ("impossible", "db-03: all hosts together could ever hold 3 of 4")
    world.ok("host.drain", name="h3")
    refused = world.refused("vm.create", **apart | {"count": 3})
    assert refused.text.startswith("db-02: room for 2 of 3, and it is all or none")
    assert "h1: needs to be apart from root/db, one of it is there" in refused.text
    world.ok("host.resume", name="h3")
    made = world.ok("vm.create", partial=True, **apart)
    assert list(made.objects.values()) == ["db-00", "db-01", "db-02"]
    assert made.missing.keys() == {"db-03"} and "apart from root/db" in made.missing["db-03"]
    world.run(2)
    assert world.job(made.job)["state"] == "done"
    assert sorted(hosts_of(world, "db-00", "db-01", "db-02")) == ["h1", "h2", "h3"]
    assert world.refused("vm.migrate", name="db-00").code == "no-room"
    world.ok("vm.create", ANN, partial=True, **apart)  # another's group of this name is another group


def test_nothing_of_a_part_is_a_refusal() -> None:
    world = World(1)
    body = {"name": "big", "image": "tiny", "cores": 8, "memory_bytes": GIB, "count": 2}
    world.create("small")
    assert world.refused("vm.create", partial=True, **body).code == "no-room"
    assert world.refused("vm.create", partial=True, hold=True, **body).code == "bad-request"


def test_what_must_be_together_follows_its_group() -> None:
    world = World()
    world.create("db", asks={"group": "db"}, host="h3")
    world.create("cache", asks={"together": ["db"]})
    world.create("log", asks={"away": ["db"], "near": ["other"]}, host=None)
    assert hosts_of(world, "cache") == ["h3"] and hosts_of(world, "log") != ["h3"]


def test_labels_are_given_asked_for_and_taken() -> None:
    world = World()
    world.ok("host.set", name="h2", labels={"rack": "r2", "ssd": "yes"})
    assert world.rows("host", names=["h2"])[0]["labels"] == {"rack": "r2", "ssd": "yes"}
    assert world.create("web", asks={"labels": {"rack": "r2"}})["host"] == "h2"
    world.ok("host.set", name="h2", labels={"rack": ""})
    refused = world.refused(
        "vm.create", name="w", image="tiny", cores=1, memory_bytes=GIB, asks={"labels": {"rack": "r2"}}, hold=True
    )
    assert (refused.code, refused.text) == ("impossible", "w: no host has the label rack=r2")
    spread = {"name": "w", "image": "tiny", "cores": 1, "memory_bytes": GIB, "count": 2, "hold": True}
    refused = world.refused("vm.create", **spread, asks={"spread": "row"})
    assert (refused.code, refused.text) == ("impossible", "w-00: no host has a label row")
    for labels, said in (({"host": "x"}, "own name"), ({"Ä": "x"}, "not a name"), ({"rack": "a b"}, "label's value")):
        assert said in world.refused("host.set", name="h1", labels=labels).text


def test_what_a_host_has_and_runs_can_be_asked_for() -> None:
    world = World()
    for name, flags, version, firmware in (
        ("h1", (), "10.1", ("bios",)),
        ("h2", ("aes", "avx2"), "8.2.1", ("bios",)),
        ("h3", ("avx2",), "10.0.2", ("bios", "uefi")),
    ):
        host = world.cluster.state.hosts[f"h-{name[1:]}"]
        has = {"backend": "libvirt", "cpu_model": "EPYC", "cpu_flags": flags, "versions": {"hypervisor": version}}
        has["firmware"] = firmware
        world.cluster.state.put("host", host.id, replace(host, facts=replace(host.facts, **has)))
    want = {"image": "tiny", "cores": 1, "memory_bytes": GIB}
    for features, versions, chosen in (
        (["cpu=avx2", "backend=libvirt", "cpu-model=EPYC"], {}, "h2"),
        (["cpu=avx2"], {"hypervisor": "10"}, "h3"),
        (["firmware=uefi"], {}, "h3"),
        (["firmware=bios"], {"hypervisor": "10.1"}, "h1"),
        ([], {"hypervisor": "10.1"}, "h1"),
    ):
        world.ok("vm.create", name="web", **want, asks={"features": features, "versions": versions})
        assert hosts_of(world, "web") == [chosen]
        world.ok("vm.destroy", name="web")
    world.create("web", asks={"versions": {"hypervisor": "10.0.2"}, "features": ["cpu=avx2"]})
    assert world.vm("web")["rules"] == ["feature:cpu=avx2", "at-least:hypervisor=10.0.2"]
    told = verdicts(world, vm="web")
    assert (told["h2"]["wanted"], told["h2"]["available"]) == ("hypervisor 10.0.2", "8.2.1 there")
    for asks, said in (
        ({"versions": {"hypervisor": "11"}}, "no host has hypervisor 11"),
        ({"features": ["cpu=avx512f"]}, "no host has cpu=avx512f"),
        ({"versions": {"hypervisor": "10.1"}, "features": ["cpu=aes"]}, "no host with cpu=aes, hypervisor 10.1 could"),
    ):
        refused = world.refused("vm.create", name="w", **want, asks=asks)
        assert (refused.code, said in refused.text) == ("impossible", True), refused.text
    assert world.refused("vm.create", name="w", **want, asks={"versions": {"x": "new"}}).code == "bad-request"
    world.create("efi", asks={"features": ["firmware=uefi"]})
    assert verdicts(world, vm="efi")["h1"]["reason"] == "needs firmware=uefi, it has firmware=bios"
    efi = world.cluster.state.vms[world.vm("efi")["id"]]
    assert guest_of(world.cluster.state, efi).firmware == "uefi", "it boots by what it asked for"
    both = world.refused("vm.create", name="w", **want, asks={"features": ["firmware=uefi", "firmware=bios"]})
    assert (both.code, both.text) == ("bad-request", "w: it can't have firmware=bios and firmware=uefi")


def test_a_reserved_host_is_for_some_until_it_ends() -> None:
    world = World(1)
    world.ok("group.set", name="lab")
    world.ok("user.add", name="ann", uid=7, groups=["lab"])
    until = world.now().wall + 60
    world.ok("host.set", name="h1", groups=["lab"], until_wall=until)
    refused = world.refused("vm.create", name="web", image="tiny", cores=1, memory_bytes=GIB)
    assert refused.text.endswith("h1: it is reserved for lab")
    assert world.create("hers", who=ANN)["host"] == "h1"
    held = world.ok("vm.create", name="web", image="tiny", cores=1, memory_bytes=GIB, hold=True)
    assert held.held
    world.run(70)
    assert world.vm("web")["state"] == "running", "its end is noticed, and what waits is tried"
    assert world.refused("host.set", name="h1", users=["bob"], until_wall=1.0).text.endswith("which is over")
    world.ok("host.set", name="h1", groups=[])
    assert world.rows("host")[0]["reserved_until"] in ("", None)


def test_what_is_kept_and_promised_is_shown_apart() -> None:
    world = World(1)
    world.ok("host.set", name="h1", kept_cores=2, kept_memory_bytes=GIB, cores_ratio=2.0)
    world.create("web", cores=3)
    row = world.rows("host")[0]
    assert (row["cores"], row["cores_kept"], row["cores_ratio"], row["cores_used"], row["cores_free"]) == (
        8,
        2,
        2.0,
        3,
        9,
    )
    assert (row["memory_bytes"], row["memory_kept_bytes"]) == (8 * GIB, GIB)
    assert row["memory_free_bytes"] == 7 * GIB - GIB // 4
    wide = World(1, Settings(pool_bytes=100 * GIB, ratios=Ratios(cores=4.0)))
    assert wide.rows("host")[0]["cores_free"] == 32


def test_every_host_is_explained() -> None:
    world = World()
    world.ok("host.drain", name="h1")
    world.create("web", cores=7, host="h2")
    told = verdicts(world, cores=2, memory_bytes=GIB)
    assert [(told[host]["verdict"], told[host].get("filter", "")) for host in ("h1", "h2", "h3")] == [
        ("no", "state"),
        ("no", "cores"),
        ("chosen", ""),
    ]
    assert (told["h2"]["wanted"], told["h2"]["available"], told["h2"]["cure"]) == ("2 cores", "1 free", "1 more free")
    assert told["h1"]["reason"] == "drained" and told["h1"]["cure"] == "thost-resume h1"
    assert told["h3"]["score"] == sum(told["h3"]["terms"].values())
    world.ok("host.resume", name="h1")
    assert verdicts(world, cores=2, memory_bytes=GIB, only="h1")["h1"]["verdict"] == "chosen"


def test_a_refusal_tells_of_few_hosts_by_name_and_counts_many() -> None:
    world = World(12)
    world.ok("host.drain", name="h1")
    world.create("web", cores=3, host="h7")
    for number in (2, 3, 4, 5, 6, 8, 9, 10, 11, 12):
        world.create(f"v{number}", cores=4, host=f"h{number}")
    want = {"name": "big", "image": "tiny", "cores": 6, "memory_bytes": GIB}
    refused = world.refused("vm.create", **want)
    assert refused.text == (
        "big: no host has room for 6 cores and 1G of memory: of 12 hosts 11 with too few cores free, "
        "1 drained or draining; nearest is h7: needs 6 cores, 5 free"
    )
    hint = "tashi-explain --cores 6 --memory 1G tells of every host; --hold waits for room; "
    assert refused.hint.partition("tashi-explain --decision")[0] == hint
    asks = {"group": "x", "apart": [""], "near": ["y"], "spread": "host", "skew": 2}
    hint = world.refused("vm.create", **want, asks=asks).hint
    wishes = "--group x --anti-affinity=x --near y --spread host --skew 2"
    assert hint.startswith(f"tashi-explain --cores 6 --memory 1G {wishes} tells")
    assert world.ok("vm.create", hold=True, **want).held
    assert world.vm("big")["reason"].startswith("no host has room for 6 cores and 1G of memory: of 12 hosts 11 with")
    for number in (8, 9, 10, 11, 12):
        world.ok("vm.destroy", name=f"v{number}")
        world.ok("host.drain", name=f"h{number}")
    moved = world.refused("vm.migrate", name="big")
    assert moved.code == "no-room", moved
    assert "nearest is" in moved.text and moved.hint.startswith("tashi-explain big tells of every host")


def test_where_no_host_is_open_none_is_the_nearest() -> None:
    world = World(LOOKED_AT + 1)
    for host in world.cluster.state.hosts.values():
        world.ok("host.drain", name=host.name)
    refused = world.refused("vm.create", name="web", image="tiny", cores=1, memory_bytes=GIB)
    assert refused.text.endswith(f": of {LOOKED_AT + 1} hosts {LOOKED_AT + 1} drained or draining")


def test_hosts_are_explained_page_by_page() -> None:
    world = World(5)
    seen, after = [], 0
    while True:
        page = ask(world, "explain", after=after, limit=2)
        seen += [each["host"] for each in page["verdicts"]]
        after = page.get("after", 0)
        if not after:
            break
    assert seen == ["h1", "h2", "h3", "h4", "h5"]


def test_a_vm_that_is_there_is_explained_as_it_would_move_or_start() -> None:
    world = World()
    world.create("web", host="h2")
    told = verdicts(world, vm="web")
    assert [told[host]["verdict"] for host in ("h1", "h2", "h3")] == ["chosen", "here", "fits"]
    world.ok("vm.create", name="big", image="tiny", cores=8, memory_bytes=GIB, host="h2", hold=True)
    told = verdicts(world, vm="big")
    assert (told["h1"]["filter"], told["h2"]["filter"]) == ("pin", "cores")


def test_who_waits_behind_others_may_come_nowhere_yet() -> None:
    """Though there is room: an earlier one has its turn first."""
    world = World(2)
    for host in ("h1", "h2"):
        world.create(f"full-{host}", cores=8, host=host)
    world.ok("host.set", name="h2", labels={"disk": "fast"})
    want = {"image": "tiny", "cores": 2, "memory_bytes": GIB // 4, "hold": True}
    first = world.ok("vm.create", name="first", asks={"labels": {"disk": "fast"}}, **want).job
    world.ok("vm.create", name="next", **want)
    world.ok("vm.destroy", name="full-h1")
    told = verdicts(world, vm="next")
    assert [(told[host]["verdict"], told[host]["filter"]) for host in ("h1", "h2")] == [
        ("no", "queue"),
        ("no", "queue"),
    ]
    assert (told["h1"]["reason"], told["h1"]["cure"]) == ("root has asked for first before", f"tjob-cancel {first}")
    assert told["h2"]["reason"] == "root has asked for first before; needs 2 cores, 0 free"
    assert verdicts(world, vm="next", only="h1")["h1"]["verdict"] == "no"
    assert [each.get("filter") for each in verdicts(world, vm="first").values()] == ["labels", "cores"]
    world.ok("job.cancel", name=first)
    assert world.vm("next")["host"] == "h1"


def test_a_host_that_is_kept_for_another_is_told_to_be() -> None:
    world = World(1)
    world.create("on-h1", cores=4, host="h1")
    want = {"name": "large", "image": "tiny", "cores": 8, "memory_bytes": GIB // 4, "hold": True}
    world.ok("vm.create", Principal("ann", "user"), **want)
    for _ in range(PASSES):
        world.create("quick")
        world.ok("vm.destroy", name="quick")
    assert world.vm("large")["kept"] == "h1"
    assert verdicts(world, cores=1, memory_bytes=GIB)["h1"]["filter"] == "queue"
    assert ask(world, "slots", cores=1, memory_bytes=GIB)["total"] == 0
    assert verdicts(world, vm="large")["h1"]["filter"] == "cores"


def test_who_is_explained_does_not_mind_itself() -> None:
    """It is taken out of the view: its host has its room, its group one fewer, and both are counted again later."""
    world = World(2)
    world.create("wide", cores=8, host="h2", asks={"group": "x", "apart": [""]})
    before = world.everything(), world.cluster.state.index.used("h-2")
    told = verdicts(world, vm="wide")
    assert (told["h1"]["verdict"], told["h2"]["verdict"]) == ("chosen", "here")
    assert not told["h2"].get("filter") and told["h2"]["score"] == sum(told["h2"]["terms"].values())
    assert verdicts(world, vm="wide", only="h2")["h2"]["verdict"] == "here"
    assert (world.everything(), world.cluster.state.index.used("h-2")) == before
    world.ok("host.drain", name="h1")
    world.ok("host.set", name="h2", kept_cores=1)
    told = verdicts(world, vm="wide")
    assert (told["h1"]["verdict"], told["h1"]["filter"]) == ("no", "state")
    assert (told["h2"]["verdict"], told["h2"]["filter"], told["h2"]["wanted"]) == ("here", "cores", "8 cores")
    assert told["h2"]["available"] == "7 free", "what it would lack, were it placed there again"


def test_of_one_that_migrates_both_ends_are_told() -> None:
    world = World(2)
    world.host("h1").holding.add("migrate")
    world.create("web", cores=8, host="h1")
    world.ok("vm.migrate", name="web")
    told = verdicts(world, vm="web")
    assert (told["h1"]["verdict"], told["h2"]["verdict"]) == ("here", "chosen")


def test_slots_are_what_can_be_created() -> None:
    world = World()
    world.create("web", cores=5, host="h1")
    told = ask(world, "slots", cores=2, memory_bytes=GIB, image="tiny", each=True)
    assert (told["total"], told["hosts"]) == (9, {"h1": 1, "h2": 4, "h3": 4})
    world.ok("vm.create", name="all", image="tiny", cores=2, memory_bytes=GIB, count=9)
    assert ask(world, "slots", cores=2, memory_bytes=GIB)["total"] == 0
    alone = World(1)
    alone.create("web", cores=2)
    assert ask(alone, "slots", vm="web")["total"] == 3, "as many more like it, on its own host too"
    apart = {"asks": {"spread": "host", "group": "x"}}
    assert ask(World(), "slots", cores=1, memory_bytes=GIB, **apart)["total"] == 24


def test_a_policy_decides_for_the_cluster_and_a_vm_for_itself() -> None:
    world = World(3, Settings(pool_bytes=100 * GIB, policy=parse_policy("spread")))
    for name in ("a", "b", "c"):
        world.create(name)
    assert sorted(hosts_of(world, "a", "b", "c")) == ["h1", "h2", "h3"]
    assert world.create("d", asks={"policy": "pack"})["host"] == world.create("e", asks={"policy": "pack"})["host"]


def test_a_host_that_is_named_may_be_a_wish() -> None:
    world = World()
    world.ok("host.drain", name="h2")
    assert world.create("web", host="h2", asks={"fallback": True})["host"] != "h2"
    refused = world.refused("vm.create", name="w", image="tiny", cores=1, memory_bytes=GIB, host="h2")
    what = "tashi-explain --host h2 --cores 1 --memory 1G says what would help; --hold waits for room; "
    assert (refused.text, refused.hint.partition("tashi-explain --decision")[0]) == ("w: h2: drained", what)
    world.create("x", host="h1")
    assert "--host h2 x says" in world.refused("vm.migrate", name="x", to="h2").hint


@pytest.mark.parametrize(
    ("asks", "said"),
    [
        ({"apart": [""], "together": [""]}, "w: it can't be with w and apart from it"),
        ({"spread": "Ä"}, "'Ä' is not a name"),
        ({"group": "v-1"}, "looks like an id"),
        ({"skew": 0}, ""),
        ({"policy": "best"}, ""),
        ({"colour": "red"}, ""),
    ],
)
def test_what_makes_no_sense_is_refused(asks: dict[str, Any], said: str) -> None:
    refused = World().refused("vm.create", name="w", image="tiny", cores=1, memory_bytes=GIB, asks=asks)
    assert refused.code == "bad-request" and said in refused.text


def test_rules_hold_when_it_starts_again_and_when_a_host_is_drained() -> None:
    world = World()
    world.ok("vm.create", name="db", image="tiny", cores=1, memory_bytes=GIB, count=2, asks={"apart": [""]})
    world.run(2)
    first, second = hosts_of(world, "db-00", "db-01")
    world.ok("host.drain", name=first)
    world.run(5)
    assert world.vm("db-00")["host"] not in (first, second)
    world.ok("vm.shutdown", name="db-00")
    world.run(3)
    world.ok("host.drain", name=world.vm("db-00")["host"])
    world.run(3)
    assert world.refused("vm.start", name="db-00").code == "no-room", "the only host left has the other one"


asks = st.fixed_dictionaries(
    {},
    optional={
        "apart": st.sampled_from([[""], ["a"], ["b"]]),
        "group": st.sampled_from(["a", "b"]),
        "spread": st.just("host"),
    },
)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), asks, st.sampled_from(["", "", "h1", "h2"])), max_size=8))
def test_no_two_requests_break_a_rule(wanted: Any) -> None:
    """Whatever was asked in whatever order: no host has two that one of them wants apart."""
    world = World(3)
    for number, (count, asked, drained) in enumerate(wanted):
        world.ask("vm.create", name=f"n{number}", image="tiny", cores=1, memory_bytes=GIB // 8, count=count, asks=asked)
        if drained:
            world.ask("host.drain", name=drained)
            world.ask("host.resume", name=drained)
    world.run(3)
    state = world.cluster.state
    for vm in state.vms.values():
        for other in state.vms.values():
            if vm is not other and vm.host and vm.host == other.host and vm.wish is not None:
                group = other.wish.group if other.wish is not None else ""
                assert not group or group not in vm.wish.apart, f"{vm.name} and {other.name} are on {vm.host}"


def come_and_go(world: World) -> None:
    h1 = world.host("h1")
    h1.up = False
    world.run(8)
    h1.up = True
    h1.start()
    world.run(3)


def test_a_host_need_not_prove_steady_where_no_time_is_set_for_it() -> None:
    world = World(2, Settings(steady_seconds=0))
    for _ in range(3):
        come_and_go(world)
    assert world.create("a", host="h1")["host"] == "h1"


def test_a_host_that_comes_and_goes_has_to_prove_steady() -> None:
    world = World(2)

    come_and_go(world)
    assert world.create("a", host="h1")["host"] == "h1", "once is nothing"
    come_and_go(world)
    refused = world.refused("vm.create", name="b", image="tiny", cores=1, memory_bytes=GIB, host="h1")
    assert refused.text == "b: h1: silent 2 times lately, it must be heard for 60 seconds first"
    assert world.rows("host", names=["h1"])[0]["reason"].startswith("silent 2 times lately")
    world.ok("vm.create", name="c", image="tiny", cores=1, memory_bytes=GIB, host="h1", hold=True)
    world.run(62)
    assert world.vm("c")["state"] == "running", "what waits is tried when it is steady"


def test_where_a_start_failed_others_go_elsewhere_for_a_while() -> None:
    world = World(2)
    h1 = world.host("h1")
    h1.failing["start"] = "no such machine type"
    assert world.create("a")["host"] == "h1"
    world.run(1)
    assert world.vm("a")["state"] == "failed"
    h1.failing.clear()
    assert verdicts(world, cores=1, memory_bytes=GIB)["h1"]["terms"]["failures"] == -250.0
    assert world.create("b")["host"] == "h2"
    world.run(601)
    assert verdicts(world, cores=1, memory_bytes=GIB)["h1"]["terms"]["failures"] == 0.0


def test_what_each_state_counts_for_on_which_host() -> None:
    world = World()
    h1 = world.host("h1")

    def counts(state: str) -> dict[str, int]:
        world.settle()
        assert world.vm("web")["state"] == state
        return {row["name"]: row["cores_used"] for row in world.rows("host") if row["cores_used"]}

    h1.holding |= {"start", "press_power_button", "migrate"}
    world.create("web", cores=3)
    assert counts("starting") == {"h1": 3}
    h1.holding.discard("start")
    h1.queue += h1.held
    h1.held.clear()
    assert counts("running") == {"h1": 3}
    world.ok("vm.migrate", name="web", to="h2")
    assert counts("migrating") == {"h1": 3, "h2": 3}
    h1.holding.discard("migrate")
    h1.queue += h1.held
    h1.held.clear()
    assert counts("running") == {"h2": 3}, "the source has proven that nothing is left"
    h2 = world.host("h2")
    h2.holding.add("press_power_button")
    world.ok("vm.shutdown", name="web")
    assert counts("shutting-down") == {"h2": 3}
    h2.ends(next(iter(h2.guests)))
    assert counts("stopped") == {}
    world.create("full", cores=8, host="h1")
    world.ok("vm.start", name="web", host="h1", hold=True)
    assert counts("held") == {"h1": 8}, "those of the one that is in its way"
    world.ok("vm.destroy", name="full")
    assert counts("running") == {"h1": 3}
    h1.up = False
    world.run(8)
    assert counts("unknown") == {"h1": 3}
    world.ok("vm.destroy", name="web")
    assert counts("destroying") == {"h1": 3}
