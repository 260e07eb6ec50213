"""Physical machines, PDUs and switches: what is taken, what belongs to one machine alone, and who may see what."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import pytest

from tashi.core import paths
from tashi.core.cluster import Principal
from tashi.core.secrets import NONCE_BYTES
from tashid.watch import _recall
from tests.core.world import GIB, World
from zoni.power.paths import read_path

EVE, CHIEF = Principal("eve", "user"), Principal("chief", "operator")
MAC = "52:54:00:00:00:0"
LOGIN = {"user": "ADMIN", "password": "first word"}
V3 = {"user": "zoni", "auth_password": "eight characters", "privacy_password": "and as many"}
PASSWORDS = ("first word", "second word", "eight characters", "and as many", "one of ours")


def rack() -> World:
    """Two machines, a PDU of 8 outlets and a switch."""
    world = World(hosts=1)
    world.ok("user.add", name="chief", role="operator")
    world.ok("pdu.add", name="p1", address="10.0.1.1", model="apc-rpdu", outlets=8, snmp=V3)
    world.ok("switch.add", name="s1", address="10.0.1.2", snmp={"version": "v2c", "community": "one of ours"})
    first = {
        "rack": "r7", "unit": "12", "uuid": "0A0B0C0D-0000-0000-0000-000000000001", "serial": "S1", "vendor": "Acme",
        "cores": 16, "memory_bytes": 64 * GIB, "disks": ["nvme:2T", "500G"], "nics": [f"eth0={MAC}1", f"{MAC}2"],
        "firmware": "uefi", "flags": ["gpu", "ssd"], "power_paths": ["ipmi:10.0.0.1", "pdu:p1:3"],
        "ports": ["s1:Gi1/0/1,nic=eth0"], **LOGIN,
    }  # fmt: skip
    world.ok("machine.add", name="m1", parts=first)
    world.ok("machine.add", name="m2", parts={"cores": 8, "memory_bytes": 32 * GIB, "power_paths": ["ipmi:10.0.0.2"]})
    return world


def machine(world: World, name: str = "m1", **more: Any) -> dict[str, Any]:
    return world.rows("machine", names=[name], **more)[0]


def stored(world: World) -> str:
    return json.dumps([value.decode() for value in world.everything().values()])


def test_a_machine_is_what_was_said_and_its_power_is_not_known() -> None:
    row = machine(rack())
    assert row["power"] == "unknown" and row["power_age_seconds"] is None and row["power_source"] is None
    assert row["disks"] == ["nvme:2T", "500G"] and row["nics"] == [f"eth0={MAC}1", f"{MAC}2"]
    assert row["power_paths"] == ["ipmi:10.0.0.1,user=ADMIN", "pdu:p1:3"]
    assert row["ports"] == ["s1:Gi1/0/1,nic=eth0"] and row["has_password"] == "yes"
    assert row["uuid"] == "0a0b0c0d-0000-0000-0000-000000000001"
    assert (row["state"], row["lock"], row["power_desired"]) == ("free", None, None)


@pytest.mark.parametrize(
    ("where", "names"),
    [
        (["cores>=16"], ["m1"]),
        (["memory>=32G"], ["m1", "m2"]),
        (["memory_bytes>32G"], ["m1"]),
        (["flag=gpu"], ["m1"]),
        (["flag!=gpu"], ["m2"]),
        (["flags=gpu,ssd"], ["m1"]),
        (["vendor=Acme", "state=free"], ["m1"]),
        (["mac=x"], None),
    ],
)
def test_machines_are_found_by_what_they_are(where: list[str], names: list[str] | None) -> None:
    decision = rack().decide("list", noun="machine", where=where, format="name")
    assert decision.reply is not None
    assert (decision.reply.error is None) == (names is not None)
    assert names is None or (decision.rows or b"").decode().split() == names


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({"nics": [f"{MAC}1"]}, "m3: nics: mac 52:54:00:00:00:01 is m1's already"),
        ({"nics": ["52-54-00-00-00-01"]}, "is m1's already"),
        ({"nics": [f"{MAC}9", f"a={MAC}9"]}, "is there twice"),
        ({"nics": [f"a={MAC}8", f"a={MAC}9"]}, "nics: a is there twice"),
        ({"nics": ["52:54:00:00:00"]}, "not a MAC address"),
        ({"nics": ["01:00:5e:00:00:01"]}, "no address of one NIC"),
        ({"nics": ["00:00:00:00:00:00"]}, "no address of one NIC"),
        ({"uuid": "0a0b0c0d-0000-0000-0000-000000000001"}, "is m1's already"),
        ({"uuid": "ffffffff-ffff-ffff-ffff-ffffffffffff"}, "has no UUID"),
        ({"uuid": "12"}, "not a UUID"),
        ({"serial": "S1"}, "m3: serial: S1 is m1's already"),
        ({"power_paths": ["pdu:p1:3"]}, "m3: power_paths: outlet p1:3 is m1's already"),
        ({"power_paths": ["pdu:p1:9"]}, "p1 has outlets 1 to 8, not 9"),
        ({"power_paths": ["pdu:p1:0"]}, "is no outlet"),
        ({"power_paths": ["pdu:p9:1"]}, "m3: power_paths: p9: no such pdu"),
        ({"power_paths": ["ipmi:10.0.0.1"]}, "BMC 10.0.0.1 port 623 is m1's already"),
        ({"power_paths": ["ipmi:10.0.0.300"]}, "not an IP address"),
        ({"power_paths": ["ipmi:fd00::g"]}, "not an IP address"),
        ({"power_paths": ["ipmi:"]}, "where?"),
        ({"power_paths": ["ipmi:10.0.0.9,port=0"]}, "is no port"),
        ({"power_paths": ["ipmi:10.0.0.9,colour=red"]}, "ipmi takes port=, user="),
        ({"power_paths": ["ipmi:10.0.0.9,user=seventeen-letters"]}, "16 bytes"),
        ({"power_paths": ["ipmi:10.0.0.9"], "password": "x" * 21}, "20 bytes"),
        ({"power_paths": ["redfish:http://10.0.0.9"]}, "shows the password"),
        ({"power_paths": ["smoke:10.0.0.9"]}, "no power path"),
        ({"power_paths": ["fake:f1,world=/w\n"]}, "control character"),
        ({"password": "x"}, "no power path that has a login"),
        ({"ports": ["s1:Gi1/0/1"]}, "port s1:Gi1/0/1 is m1's already"),
        ({"ports": ["s9:1"]}, "m3: ports: s9: no such switch"),
        ({"ports": ["s1:7"], "nics": [f"eth0={MAC}8", f"{MAC}9"]}, "m3: ports: s1:7: it has 2 NICs"),
        ({"ports": ["s1:7,nic=eth7"]}, "it has no NIC 'eth7'"),
        ({"ports": ["s1"]}, "is not a port"),
        ({"disks": ["floppy:1M"]}, "a disk is hdd, ssd, nvme"),
        ({"disks": ["0"]}, "out of range"),
        ({"cores": 0}, "cores: at least 1"),
        ({"cores": 10**9}, "cores: at most 4096"),
        ({"memory_bytes": -1}, "memory: at least 1M"),
        ({"memory_bytes": 2**51}, "at most 1P"),
        ({"cores": "8"}, "cores: a whole number or null is wanted, not a text"),
        ({"firmware": "coreboot"}, "firmware"),
        ({"flags": ["a b"]}, "is not a flag"),
        ({"note": "x\x1b[31m"}, "note: 'x\\x1b[31m': a control character"),
        ({"rack": "r/7"}, "rack: 'r/7'"),
        ({"host": "h9"}, "m3: host: h9: no such host"),
    ],
)
def test_a_mistake_names_what_is_wrong_and_changes_nothing(parts: dict[str, Any], text: str) -> None:
    told = rack().refused("machine.add", name="m3", parts=parts).text
    assert text in told and "parts." not in told


@pytest.mark.parametrize(
    "path", ["ipmi:10.0.0.9,password=first word", "redfish:https://ADMIN:first word@10.0.0.9", "pdu:p1:3,kg=first word"]
)
def test_a_password_in_the_wrong_place_is_refused_and_not_repeated(path: str) -> None:
    told = rack().refused("machine.add", name="m3", parts={"power_paths": [path]})
    assert "first word" not in told.text + told.hint and told.text.startswith("m3: power_paths: ")


@pytest.mark.parametrize("url", ["https://10.0.0.9:65536", "https://bmc:https", "https://[fe80::9", "https://:443"])
def test_an_address_that_no_agent_could_make_sense_of_is_refused(url: str) -> None:
    told = rack().refused("machine.add", name="m3", parts={"power_paths": [f"redfish:{url}"]})
    assert "is not a BMC's address" in told.text


def test_what_is_one_machines_is_free_once_it_is_taken_away() -> None:
    world = rack()
    world.ok("machine.set", name="m1", parts={"power_paths": ["ipmi:10.0.0.1"], "nics": [], "ports": []})
    world.ok("machine.set", name="m2", parts={"power_paths": ["pdu:p1:3"], "nics": [f"{MAC}1"]})
    assert "is m2's already" in world.refused("machine.set", name="m1", parts={"nics": [f"{MAC}1"]}).text
    world.ok("machine.remove", name="m2")
    world.ok("machine.set", name="m1", parts={"nics": [f"{MAC}1"]})


def test_the_form_that_the_agent_gets_is_the_drivers_own() -> None:
    world = rack()
    power = [
        "redfish:https://10.0.0.1,system=/redfish/v1/Systems/1,trust=/etc/bmc.pem", "libvirt:m1",
        "fake:m1,world=/w,user=bob", "ipmi:10.0.0.1,port=6230", "pdu:p1:3",
    ]  # fmt: skip
    world.ok("machine.set", name="m1", parts={"power_paths": power, "user": "root", "password": "second word"})
    state = world.cluster.state
    assert world.cluster.vault is not None
    first, *others = state.machines.values()
    opened = [read_path(each) for each in paths.opened(state, world.cluster.vault, first)]
    assert [type(each).__name__ for each in opened] == ["Redfish", "Libvirt", "Fake", "Ipmi", "Pdu"]
    assert opened[3] == read_path(
        {"driver": "ipmi", "address": "10.0.0.1", "port": 6230, "login": {"user": "root", "password": "second word"}}
    )
    assert opened[4] == read_path(
        {"driver": "pdu", "address": "10.0.1.1", "model": "apc-rpdu", "outlet": 3, "access": V3}
    )
    assert [read_path(each) for other in others for each in paths.opened(state, world.cluster.vault, other)]


def test_a_path_keeps_its_password_while_it_leads_where_it_did() -> None:
    world = rack()
    state, vault = world.cluster.state, world.cluster.vault
    assert vault is not None

    def password() -> Any:
        return paths.opened(state, vault, state.machines["m-1"])[0]["login"].get("password")

    kept = len(state.secrets)
    world.ok("machine.set", name="m1", parts={"power_paths": ["ipmi:10.0.0.1,user=OTHER"], "cores": 4})
    assert password() == "first word" and len(state.secrets) == kept
    world.ok("machine.set", name="m1", parts={"password": "second word"})
    assert password() == "second word" and len(state.secrets) == kept
    world.ok("machine.set", name="m1", parts={"power_paths": ["ipmi:10.0.0.3"]})
    assert password() is None and len(state.secrets) == kept - 1, "nobody else's BMC hears it"
    world.ok("machine.remove", name="m1")
    world.ok("pdu.remove", name="p1")
    world.ok("switch.remove", name="s1")
    assert not state.secrets


def test_a_password_is_nowhere_in_the_clear() -> None:
    world = rack()
    world.ok("machine.set", name="m1", parts={"password": "second word", "kg": "first word"})
    world.ok("pdu.set", name="p1", snmp={"auth_password": "and as many"})
    shown = [world.rows(noun) for noun in ("machine", "pdu", "switch", "job")]
    told = json.dumps([shown, world.log]) + stored(world)
    assert not [word for word in PASSWORDS if word in told]
    body = b'{"name":"m2","parts":{"password":"second word"}}'
    decision = world.decide("machine.set", request_id="told-twice", **json.loads(body))
    assert decision.reply is not None and decision.reply.error is None
    hashes = {answered.hash for answered in world.cluster.state.requests.values()}
    assert hashes and not hashes & guesses(world, body), "nobody can try words against what is stored"


def test_no_two_passwords_are_sealed_with_one_nonce() -> None:
    world = rack()
    sealed = [each.sealed for each in world.cluster.state.secrets.values()]
    for _ in range(2):  # the same words once more
        world.ok("machine.set", name="m1", parts=LOGIN)
        sealed.append(max(world.cluster.state.secrets.values(), key=lambda each: int(each.id[2:])).sealed)
    nonces = {b64decode(each)[:NONCE_BYTES] for each in sealed}
    assert len(nonces) == len(sealed) == 5


@pytest.mark.parametrize(("first", "then"), [("", "machine"), ("machine", "pdu"), ("machine", "switch")])
def test_what_is_removed_leaves_no_password(first: str, then: str) -> None:
    world = rack()
    for noun in filter(None, (first, then)):
        ident = world.rows(noun)[0]["id"]
        assert ident in {each.of for each in world.cluster.state.secrets.values()}
        world.ok(f"{noun}.remove", name=ident)
        assert ident not in {each.of for each in world.cluster.state.secrets.values()}


def guesses(world: World, body: bytes) -> set[str]:
    """What is kept of a request, by who knows its body and has no key."""
    import hashlib

    bodies = (body, json.dumps(json.loads(body)).encode())
    return {hashlib.blake2b(b"machine.set\0" + each, digest_size=16).hexdigest() for each in bodies}


def test_the_password_of_a_machine_goes_with_it() -> None:
    world = rack()
    before = set(world.cluster.state.secrets)
    world.ok("machine.remove", name="m1")
    assert len(before - set(world.cluster.state.secrets)) == 1


def test_a_request_told_twice_is_one() -> None:
    world = rack()
    first = world.decide("machine.set", request_id="the-same-1", name="m2", parts=LOGIN)
    key, answered = next(reversed(world.cluster.state.requests.items()))
    found = type("Found", (), {"hash": answered.hash, "ok": bytes(answered.ok), "revision": 1})()
    again = world.decide("machine.set", request_id="the-same-1", found=found, name="m2", parts=LOGIN)
    assert first.reply is not None and again.reply is not None and key.endswith("the-same-1")
    assert bytes(first.reply.ok) == bytes(again.reply.ok)


def test_a_user_sees_what_a_machine_is_and_not_how_it_is_reached() -> None:
    world = rack()
    mine, theirs = (machine(world, who=who) for who in (CHIEF, EVE))
    hidden = {
        "power_paths": None,
        "ports": None,
        "has_password": None,
        "power_source": None,
        "power_contradiction": None,
        "reason": None,
    }
    assert theirs == mine | hidden and mine != theirs
    assert world.rows("machine", EVE, where=["power_paths=~10.0.0"]) == []
    assert world.rows("pdu", EVE) == world.rows("switch", EVE) == [] and len(world.rows("pdu", CHIEF)) == 1
    for verb in ("machine.add", "machine.set", "machine.remove", "pdu.remove", "switch.remove"):
        assert world.refused(verb, CHIEF, name="m1").code == "denied"


def test_what_is_for_operators_is_so_in_the_change_log_too() -> None:
    world = rack()
    decision = world.decide("pdu.set", name="p1", note="x")
    (entry,) = [entry for entry in decision.log if entry.kind == "pdu"]
    assert (entry.owner, _recall(entry.value).owner) == ("-", "-")
    decision = world.decide("machine.set", name="m1", parts={"note": "x"})
    (entry,) = [entry for entry in decision.log if entry.kind == "machine"]
    assert (entry.owner, _recall(entry.value).owner) == ("", "")
    assert not any(word in str(entry.value) for word in ("10.0.0.1", "ADMIN", "pdu:p1"))


def test_a_lock_keeps_everybodys_hands_off() -> None:
    world = rack()
    world.ok("machine.set", name="m1", lock="fan is noisy")
    assert "root" in machine(world)["lock"] and "fan is noisy" in machine(world)["lock"]
    for verb, body in (("machine.set", {"parts": {"cores": 2}}), ("machine.remove", {})):
        refused = world.refused(verb, name="m1", **body)
        assert refused.code == "locked" and "fan is noisy" in refused.text and refused.hint == "zoni-set m1 --unlock"
    world.ok("machine.set", name="m1", lock="", parts={"cores": 2})
    assert machine(world)["lock"] is None and machine(world)["cores"] == 2


def test_flags_are_added_and_taken_away() -> None:
    world = rack()
    world.ok("machine.set", name="m1", parts={"flags": ["new"]}, drop_flags=["gpu"])
    assert machine(world)["flags"] == ["ssd", "new"]
    assert "no flag 'gpu'" in world.refused("machine.set", name="m1", drop_flags=["gpu"]).text


def test_the_machine_of_a_vm_host_stays_until_the_host_is_gone() -> None:
    world = rack()
    world.ok("machine.set", name="m1", parts={"host": "h1"})
    assert machine(world)["state"] == "host" and machine(world)["host"] == "h1"
    assert "host: h1 is m1's" in world.refused("machine.set", name="m2", parts={"host": "h1"}).text
    assert "h1 runs on it" in world.refused("machine.remove", name="m1").text
    world.ok("host.add", name="h2")
    world.ok("machine.set", name="m2", parts={"host": "h2"})
    world.ok("host.remove", name="h2")
    assert machine(world, "m2")["state"] == "free"


# -- import ------------------------------------------------------------------------------------------------------------
ROWS = [
    {"name": "n1", "parts": {"nics": [f"{MAC}a"], "power_paths": ["ipmi:10.0.0.11"], **LOGIN}},
    {"name": "n2", "parts": {"nics": [f"{MAC}a"]}},
    {"name": "m1"},
    {"name": "9", "parts": {}},
    {"name": "n5", "parts": {"power_paths": ["ipmi:10.0.0.15", "pdu:p1:3"], **LOGIN}},
    {"name": "n6", "parts": {"nics": [f"{MAC}b"]}},
]


def test_an_import_is_all_or_nothing_and_tells_of_every_row() -> None:
    world = rack()
    before = {key: value for key, value in world.everything().items() if key[0] != "meta"}
    answer = world.ok("machine.import", machines=ROWS)
    assert (answer.objects, answer.job, sorted(answer.missing)) == ({}, "", ["1", "2", "3", "4"])
    assert "is n1's already" in answer.missing["1"] and "outlet p1:3 is m1's already" in answer.missing["4"]
    assert {key: value for key, value in world.everything().items() if key[0] != "meta"} == before
    assert [row["name"] for row in world.rows("machine")] == ["m1", "m2"]


def test_a_partial_import_takes_what_it_can_in_one_operation() -> None:
    world = rack()
    sealed = len(world.cluster.state.secrets)
    answer = world.ok("machine.import", machines=ROWS, partial=True)
    assert len(world.cluster.state.secrets) == sealed + 1, "what a bad row had is not left behind"
    assert list(answer.objects.values()) == ["n1", "n6"] and sorted(answer.missing) == ["1", "2", "3", "4"]
    assert world.job(answer.job)["name"] == "n1 and 1 more"
    assert {entry["job"] for entry in world.log if entry["name"] in ("n1", "n6")} == {answer.job}
    assert not world.ok("machine.import", machines=[{"name": "n7"}], dry_run=True).job
    alone = world.ok("machine.import", machines=[{"name": "n8"}])
    assert [world.job(alone.job)["target"]] == list(alone.objects), "what one machine's is, is told with the machine"
    world.ok("machine.remove", name="n8")
    assert [row["name"] for row in world.rows("machine")] == ["m1", "m2", "n1", "n6"]


def test_an_update_changes_what_is_there_in_any_order() -> None:
    world = rack()
    rows = [
        {"name": "m2", "parts": {"power_paths": ["pdu:p1:3", "ipmi:10.0.0.2"], "nics": [f"{MAC}1"]}},
        {"name": "m3", "parts": {"ports": ["s1:Gi1/0/1"]}},
        {"name": "m1", "parts": {"power_paths": ["ipmi:10.0.0.1"], "nics": [], "ports": [], "flags": ["old"]}},
    ]
    assert sorted(world.ok("machine.import", machines=rows).missing) == ["0", "1", "2"]
    assert sorted(world.ok("machine.import", machines=rows[:2], update=True).missing) == ["0", "1"]
    assert world.ok("machine.import", machines=rows, update=True).missing == {}
    row = machine(world)
    assert (row["flags"], row["cores"], row["has_password"]) == (["old"], 16, "yes"), "what a row does not say stays"
    assert machine(world, "m2")["power_paths"] == ["pdu:p1:3", "ipmi:10.0.0.2"]
    world.ok("machine.set", name="m1", lock="its fan")
    assert "its fan" in world.ok("machine.import", machines=rows, update=True).missing["2"]


# -- devices -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("verb", "body", "text"),
    [
        ("pdu.add", {"name": "p1", "address": "10.0.1.3", "model": "apc-rpdu"}, "there is a pdu of this name already"),
        ("pdu.add", {"name": "p2", "model": "apc-rpdu", "snmp": V3}, "address: it is missing"),
        ("pdu.add", {"name": "p2", "address": "10.0.1.1", "model": "x", "snmp": V3}, "10.0.1.1 port 161 is p1's"),
        (
            "switch.add",
            {"name": "s2", "address": "10.0.1.2", "snmp": {"version": "v2c", "community": "x"}},
            "10.0.1.2 port 161 is s1's",
        ),
        ("pdu.add", {"name": "p2", "address": "10.0.1.3", "snmp": V3}, "model: it is missing"),
        ("pdu.add", {"name": "p2", "address": "10.0.1.3", "model": "apc-rpdu"}, "user: SNMP v3 needs one"),
        (
            "pdu.add",
            {"name": "p2", "address": "10.0.1.3", "model": "x", "snmp": V3 | {"auth_password": "short"}},
            "auth_password: SNMP v3 needs one of 8 characters",
        ),
        ("pdu.set", {"name": "p1", "snmp": {"community": "public"}}, "community: SNMP v3 has a user"),
        ("pdu.set", {"name": "p1", "snmp": {"version": "v2c"}}, "community: SNMP v2c needs one"),
        ("pdu.set", {"name": "p1", "outlets": 2}, "outlet 3 is in use"),
        ("pdu.set", {"name": "p1", "port": 65536}, "port: at most 65535"),
        ("pdu.set", {"name": "p1", "address": "10.0.1"}, "not an IP address"),
        ("pdu.remove", {"name": "p1"}, "p1: m1 hangs on it"),
        ("switch.remove", {"name": "s1"}, "s1: m1 hangs on it"),
        ("switch.add", {"name": "s2"}, "address: it is missing"),
        ("switch.set", {"name": "s1", "driver": "ovs", "snmp": {"user": "x"}}, "the driver ovs speaks no SNMP"),
    ],
)
def test_what_a_device_can_not_be(verb: str, body: dict[str, Any], text: str) -> None:
    assert text in rack().refused(verb, **body).text


def test_a_device_is_set_bit_by_bit() -> None:
    world = rack()
    world.ok("pdu.set", name="p1", address="pdu.example.org", snmp={"privacy_password": "a new one of mine"})
    world.ok("switch.set", name="s1", driver="ovs", address="br0")
    row = world.rows("pdu")[0]
    assert (row["address"], row["user"], row["used"]) == ("pdu.example.org", "zoni", [3])
    assert "agent" not in row, "it is reached by the agents of the machines on it"
    row = world.rows("switch")[0]
    assert (row["driver"], row["snmp"], row["used"], row["port"]) == ("ovs", None, ["Gi1/0/1"], None)
    assert len(world.cluster.state.secrets) == 2, "the community went with the driver that used it"
