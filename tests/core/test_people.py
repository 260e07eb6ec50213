"""Users, groups, keys and quotas: what each has, sees, may and may not have, and what is told of a refusal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tashi.core.cluster import Principal
from tashi.core.quota import group_of
from tashi.core.settings import Settings
from tashi.core.uses import ADDRESSES_KEPT, Uses
from tashi.model.quota import UNLIMITED, Quota
from tests.core.world import GIB, World

ADA, EVE = Principal("ada", "user"), Principal("eve", "user")
CHIEF = Principal("chief", "operator")


def wish(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "image": "tiny", "cores": 1, "memory_bytes": GIB // 4, **more}


def people(**ada: Any) -> World:
    world = World()
    world.ok("user.add", name="ada", **ada)
    world.ok("user.add", name="eve")
    return world


# -- quotas ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("limits", "asked", "text"),
    [
        ({"vms": 2}, {"count": 3}, "2 VMs, used 0 VMs, wanted 3 VMs"),
        ({"cores": 4}, {"cores": 5}, "4 cores, used 0 cores, wanted 5 cores"),
        ({"memory_bytes": GIB}, {"memory_bytes": 2 * GIB}, "1G of memory, used 0 of memory, wanted 2G of memory"),
        ({"disk_bytes": GIB}, {"disk_bytes": 2 * GIB}, "1G of disk, used 0 of disk, wanted 2G of disk"),
    ],
)
def test_a_refusal_says_quota_used_and_wanted(limits: dict[str, int], asked: dict[str, int], text: str) -> None:
    world = people(limits=limits)
    problem = world.refused("vm.create", ADA, **wish("web") | asked)
    assert problem.code == "quota" and f"over the quota of ada: {text}" in problem.text and not problem.retry
    world.ok("vm.create", EVE, **wish("web") | asked)


@pytest.mark.fault(58)
def test_of_a_hundred_exactly_ten_get_in() -> None:
    world = people(limits={"vms": 10})
    answers = [world.ask("vm.create", ADA, **wish(f"v{number}")) for number in range(100)]
    assert sum(getattr(each, "code", "") == "quota" for each in answers) == 90
    assert len(world.rows(who=ADA)) == 10


def test_what_waits_has_its_share_and_what_is_stopped_keeps_disk_and_place_only() -> None:
    world = people(limits={"cores": 10, "vms": 3})
    world.create("a", 8, ADA, host="h1")
    world.ok("vm.create", ADA, **wish("b", cores=2, host="h1", hold=True))  # h1 is full: it waits
    assert world.vm("b")["state"] == "held"
    assert world.refused("vm.create", ADA, **wish("c", host="h2")).code == "quota"
    world.ok("vm.shutdown", ADA, name="a")
    assert (world.vm("a")["state"], world.vm("b")["state"]) == ("stopped", "running")
    world.create("c", 8, ADA)
    refused = world.refused("vm.start", ADA, name="a")
    assert refused.code == "quota" and "10 cores, used 10 cores, wanted 8 cores" in refused.text
    assert "wanted 1 VM" in world.refused("vm.create", ADA, **wish("d")).text
    world.ok("vm.destroy", ADA, name="c")
    world.ok("vm.start", ADA, name="a")


def test_it_is_the_owners_quota_whoever_starts_it() -> None:
    world = people()
    world.ok("user.add", name="chief", role="operator")
    world.create("a", 4, ADA)
    world.ok("vm.shutdown", ADA, name="a")
    world.ok("user.set", name="ada", limits={"cores": 2})
    assert world.refused("vm.start", CHIEF, name="a").code == "quota"


def test_a_group_shares_its_quota_and_users_move_between_groups() -> None:
    world = people()
    world.ok("group.set", name="phys", limits={"cores": 4})
    for name in ("ada", "eve"):
        world.ok("user.set", name=name, groups=["phys"])
    world.create("a", 3, ADA)
    problem = world.refused("vm.create", EVE, **wish("b", cores=2))
    assert "over the quota of group phys: 4 cores, used 3 cores, wanted 2 cores" in problem.text
    assert world.rows("group")[0] | {"cores": 3, "quota_cores": 4, "quota_vms": None} == world.rows("group")[0]
    assert group_of(world.cluster.state, "ada") == "phys" and group_of(world.cluster.state, "nobody") == ""
    assert world.refused("group.remove", name="phys").code == "wrong-state"
    world.ok("user.set", name="ada", groups=[])
    world.create("b", 2, EVE)
    world.ok("user.set", name="eve", groups=[])
    world.ok("group.remove", name="phys")
    assert world.rows("group") == []


def test_everybody_has_the_usual_quota_unless_told_otherwise() -> None:
    world = World(settings=Settings(quota=Quota(2, UNLIMITED, UNLIMITED, UNLIMITED), pool_bytes=100 * GIB))
    local = Principal("lisa", "user")  # from the accounts of the machine, without a record
    assert "lisa: 2 VMs, used 0 VMs, wanted 3 VMs" in world.refused("vm.create", local, **wish("w", count=3)).text
    world.ok("user.add", name="ada", limits={"vms": -2})
    world.ok("vm.create", ADA, **wish("w", count=3))
    assert world.rows("user")[0]["quota_vms"] is None
    world.ok("user.set", name="ada", limits={"vms": -1})
    assert world.rows("user")[0]["quota_vms"] == 2
    assert world.refused("vm.create", ADA, **wish("more")).code == "quota"


def test_a_lowered_quota_takes_nothing_away() -> None:
    world = people()
    world.create("a", 4, ADA)
    world.ok("user.set", name="ada", limits={"cores": 1})
    assert world.vm("a")["state"] == "running"
    world.ok("vm.migrate", ADA, name="a")
    assert world.rows("user", names=["ada"])[0]["cores"] == 4


def test_what_was_within_a_quota_may_start_when_it_is_lowered_beneath() -> None:
    world = people()
    world.create("a", 1, ADA)
    world.ok("vm.shutdown", ADA, name="a")
    world.ok("user.set", name="ada", limits={"vms": 0, "disk_bytes": 1})
    world.ok("vm.start", ADA, name="a")
    assert world.refused("vm.create", ADA, **wish("b")).code == "quota"


# -- who sees what -----------------------------------------------------------------------------------------------------
def test_a_user_sees_what_is_its_own() -> None:
    world = people(key="a" * 40)
    world.ok("user.set", name="eve", groups=[])
    world.ok("group.set", name="phys")
    world.ok("user.set", name="ada", groups=["phys"])
    for who in (ADA, EVE):
        world.create("web", who=who)
    seen = {noun: [row["name"] for row in world.rows(noun, EVE)] for noun in ("vm", "user", "key", "group", "host")}
    assert seen == {"vm": ["web"], "user": ["eve"], "key": [], "group": [], "host": ["h1", "h2", "h3"]}
    assert [len(world.rows(noun, ADA)) for noun in ("vm", "user", "key", "group")] == [1, 1, 1, 1]
    assert [len(world.rows(noun)) for noun in ("vm", "user", "key", "group")] == [2, 2, 1, 1]


# -- keys --------------------------------------------------------------------------------------------------------------
def token(world: World, name: str) -> str:
    reply = world.decide("user.enroll", name=name).reply
    assert reply is not None and reply.error is None
    return str(json.loads(bytes(reply.ok or b""))["extra"]["token"])


@pytest.mark.attack(32)
def test_a_token_lets_in_one_key_that_proved_itself() -> None:
    world = people()
    good = token(world, "ada")
    first, second = Principal("1" * 40, "enroll"), Principal("2" * 40, "enroll")
    assert world.refused("key.register", first, token="0" * 32, user="ada").code == "denied"
    assert world.refused("key.register", first, token=good, user="eve").code == "denied"
    world.ok("key.register", first, token=good, user="ada")
    world.ok("key.register", first, token=good, user="ada")  # the answer was lost
    assert world.refused("key.register", second, token=good, user="ada").code == "denied"
    assert world.cluster.user_of_key("1" * 40) == world.cluster.user_named("ada")
    world.seconds += 100
    (row,) = world.rows("key")
    assert (row["name"], row["public"], row["age_seconds"]) == ("ada", "1" * 40, 100)


@pytest.mark.attack(32)
def test_a_token_ends_after_an_hour_and_with_the_next_one() -> None:
    world = people()
    old, new = token(world, "ada"), token(world, "ada")
    assert old == new, "the test's chance is always the same"
    world.cluster.chance = lambda: b"another chance"
    newer, stranger = token(world, "ada"), Principal("1" * 40, "enroll")
    assert world.refused("key.register", stranger, token=old, user="ada").code == "denied"
    world.seconds += 3601
    assert world.refused("key.register", stranger, token=newer, user="ada").code == "denied"


@pytest.mark.attack(5)
def test_keys_are_replaced_without_a_gap_and_revoked() -> None:
    world = people(key="1" * 40)
    assert world.refused("user.add", name="bob", key="1" * 40).code == "conflict"
    world.ok("key.register", Principal("2" * 40, "enroll"), token=token(world, "ada"), user="ada")
    assert "ambiguous" in world.refused("key.revoke", ADA, name="ada").text
    world.ok("key.revoke", ADA, name="k-1")
    assert world.cluster.user_of_key("1" * 40) is None
    assert world.cluster.user_of_key("2" * 40) is not None
    assert (world.log[-1]["verb"], world.log[-1]["by"]) == ("key.revoke", "ada")
    world.ok("user.remove", name="ada")
    assert world.cluster.user_of_key("2" * 40) is None and world.rows("key") == []


def test_a_key_of_an_older_store_is_let_in_before_anybody_asks() -> None:
    world = people()
    old = {"id": "u-9", "name": "old", "created_at": "x", "key": "9" * 40}
    world.cluster.load("user", [("u-9", json.dumps(old).encode())])
    world.cluster.loaded(world.now(), 2, 0)
    assert world.cluster.next_tick() <= world.seconds
    world.take(world.cluster.tick(world.now()))
    user = world.cluster.user_of_key("9" * 40)
    assert user is not None and (user.name, user.key) == ("old", "")
    assert world.log[-1]["kind"] in ("user", "key")


def test_nobody_gets_a_key_that_may_more_than_they_may_here() -> None:
    world = people()
    world.ok("user.add", name="chief", role="admin")
    assert world.refused("user.enroll", CHIEF, name="chief").code == "denied"
    world.ok("user.enroll", Principal("chief", "admin"), name="chief")


def test_a_kept_answer_holds_no_token_of_a_user() -> None:
    world = people()
    world.decide("user.enroll", request_id="enroll-ada", name="ada")
    assert b"token" not in bytes(world.cluster.state.requests["root\nenroll-ada"].ok)


# -- acting for others, and refusals -----------------------------------------------------------------------------------
def test_an_administrator_acts_for_another_and_it_is_recorded() -> None:
    world = people(limits={"vms": 2})
    world.ok("vm.create", owner="ada", **wish("web"))
    world.ok("vm.create", **wish("web"))
    assert sorted((row["name"], row["owner"]) for row in world.rows()) == [("web", "ada"), ("web", "root")]
    entry = next(each for each in world.log if each["kind"] == "vm" and each["owner"] == "ada")
    assert (entry["by"], entry["verb"]) == ("root", "vm.create")
    assert "ada has a VM" in world.refused("vm.create", owner="ada", **wish("web")).text
    assert world.refused("vm.create", owner="ada", **wish("w", count=2)).code == "quota"
    world.ok("vm.destroy", owner="ada", name="web")
    assert [row["owner"] for row in world.rows()] == ["root"]
    assert world.refused("vm.destroy", owner="ada", name="web").code == "not-found"
    assert world.refused("vm.create", owner="nix", **wish("web")).code == "not-found"


@pytest.mark.parametrize("who", [ADA, CHIEF])
def test_nobody_else_acts_for_another(who: Principal) -> None:
    world = people()
    world.ok("user.add", name="chief", role="admin")
    assert world.refused("vm.create", who, owner="eve", **wish("web")).code == "denied"


@pytest.mark.attack(15)
def test_a_request_id_is_not_good_for_another_owner() -> None:
    world = people()
    first = world.decide("vm.create", request_id="create-one", owner="ada", **wish("web")).reply
    assert first is not None and first.error is None
    kept = world.cluster.state.requests["root\ncreate-one"]
    again = world.decide("vm.create", request_id="create-one", found=kept, owner="eve", **wish("web")).reply
    assert again is not None and again.error is not None and again.error.code == "conflict"


@pytest.mark.attack(6)
def test_what_was_denied_is_in_the_log_and_does_not_flood_it() -> None:
    world = people()
    world.refused("host.drain", ADA, name="h1")
    entry = world.log[-1]
    assert (entry["kind"], entry["by"], entry["verb"], entry["name"]) == ("denied", "ada", "host.drain", "h1")
    assert entry["owner"] == "ada" and "needs the role operator" in entry["reason"]
    before = len(world.log)
    for _ in range(100):
        world.refused("host.drain", ADA, name="h1")
    assert len(world.log) - before == 9
    world.refused("host.drain", EVE, name="h1")
    assert "91 more were refused" in world.log[-1]["reason"]
    world.run(20)
    world.refused("host.drain", ADA, name="h1")
    assert world.log[-1]["by"] == "ada"


@pytest.mark.attack(8)
def test_a_foreign_object_is_not_told_of_in_the_log_either() -> None:
    world = people()
    world.create("web", who=ADA)
    before = len(world.log)
    assert world.refused("vm.destroy", EVE, name="web").code == "not-found"
    assert len(world.log) == before


def test_while_the_directory_is_silent_an_operator_reads_and_does_not_change() -> None:
    world = people()
    world.ok("user.add", name="olga", role="operator")
    sure = Principal("olga", "operator")
    doubted = Principal("olga", "operator", doubt="the directory does not answer")
    world.create("web", who=ADA)
    world.ok("host.drain", sure, name="h3")
    assert [row["name"] for row in world.rows(who=doubted)] == ["web"]
    for verb, name in (("host.resume", "h3"), ("vm.destroy", "web")):
        assert world.refused(verb, doubted, name=name).code == "unavailable"
    user = Principal("otto", "operator", doubt="the directory does not answer")
    world.create("own", who=user)
    assert world.refused("host.resume", user, name="h3").code == "denied"


def test_a_uid_that_gets_a_user_leaves_its_machines_behind_and_a_warning_says_which() -> None:
    world = people(uid=20001)
    nobody = Principal("uid:20002", "user")
    for number in range(7):
        world.create(f"w{number}", who=nobody)
    assert world.ok("user.add", name="sam", uid=20003).warning == ""
    told = "uid 20002 was uid:20002, who still owns w0, w1, w2, w3, w4 and 2 more"
    assert world.ok("user.add", name="ann", uid=20002, dry_run=True).warning == told
    assert world.ok("user.set", name="sam", uid=20002).warning == told
    assert world.ok("user.set", name="sam", uid=20002, role="operator").warning == ""


def test_a_uid_whose_account_is_somebody_here_is_nobody_elses() -> None:
    world = people(uid=20001)
    accounts = {0: "root", 20002: "gus", 20003: "fay", 20004: "gil", 20001: "adalovelace"}
    world.cluster.account = lambda uid: accounts.get(uid, "")
    world.ok("user.add", name="fay")
    world.create("web", who=Principal("gus", "user"))
    for uid, whose in ((0, "root"), (20002, "gus, who owns web"), (20003, "fay, a user here")):
        for verb, name in (("user.add", "bob"), ("user.set", "ada")):
            problem = world.refused(verb, name=name, uid=uid)
            assert (problem.code, problem.text) == ("conflict", f"{name}: uid {uid} is {whose}")
            account, way = whose.split(",")[0], "set" if uid == 20003 else "add"
            assert problem.hint.startswith(f"tuser-{way} {account} --uid {uid}")
    assert world.ok("user.set", name="ada", role="operator", uid=20001).warning == "", "it has it already"
    assert world.ok("user.add", name="bob", uid=20004).warning == "uid 20004 is the account gil: it is bob here"
    assert world.ok("user.add", name="gus", uid=20002).warning == ""
    assert world.ok("user.set", name="fay", uid=20003).warning == ""
    assert world.ok("user.add", name="root", uid=0).warning == ""


def test_who_is_root_does_not_depend_on_accounts() -> None:
    assert "uid 0 is root" in people().refused("user.add", name="bob", uid=0).text


# -- uses of keys ------------------------------------------------------------------------------------------------------
def test_addresses_of_a_key_are_those_of_the_last_day_and_not_too_many() -> None:
    uses = Uses()
    for hour in range(100):
        uses.note("k", f"10.0.0.{hour}", "server", 3600.0 * hour)
    uses.note("k", "10.0.0.90", "server", 3600.0 * 100)
    use = uses.of("k")
    assert use is not None and use.wall == 3600.0 * 100 and len(use.addresses) == ADDRESSES_KEPT
    lately = use.lately(3600.0 * 100)
    assert lately[:2] == ["10.0.0.90", "10.0.0.99"] and lately[-1] == "10.0.0.76" and len(lately) == 24
