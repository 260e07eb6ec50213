"""Every verb, every role: who may, who may not, and that nothing is learnt or changed by asking."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest

from tashi.core import verbs
from tashi.core.cluster import Principal
from tashi.wire import messages
from tashi.wire.bounds import Strict
from tashi.wire.errors import Fault
from tashi.wire.messages import Request
from tests.core.world import GIB, World

RANKS = ["user", "operator", "admin"]
V2C = {"version": "v2c", "community": "one of ours"}
FAR = 3_000_000_000.0  # an instant after every test
BODIES: dict[str, dict[str, Any]] = {
    "status": {},
    "list": {"noun": "vm"},
    "changes": {},
    "usage": {},
    "metrics": {},
    "snapshot": {},
    "explain": {},
    "decision": {"name": "web"},
    "slots": {},
    "vm.create": {"name": "n", "image": "tiny", "cores": 1, "memory_bytes": GIB},
    "vm.place": {"name": "web", "host": "h1"},
    "vm.start": {"name": "web"},
    "vm.shutdown": {"name": "web"},
    "vm.destroy": {"name": "web"},
    "vm.migrate": {"name": "web"},
    "job.cancel": {"name": "j-9999"},
    "host.add": {"name": "h9"},
    "host.set": {"name": "h1"},
    "host.drain": {"name": "h1"},
    "host.resume": {"name": "h1"},
    "host.certify": {"name": "h1"},
    "host.confirm-off": {"name": "h1"},
    "host.remove": {"name": "h3"},
    "image.add": {"name": "i", "path": "i.raw", "format": "raw"},
    "image.remove": {"name": "nix"},
    "user.add": {"name": "u", "uid": 1},
    "user.remove": {"name": "u"},
    "user.set": {"name": "u"},
    "user.enroll": {"name": "u"},
    "group.set": {"name": "g"},
    "group.remove": {"name": "g"},
    "key.revoke": {"name": "k-1"},
    "key.register": {"token": "t" * 32, "user": "u"},
    "machine.add": {"name": "m9"},
    "machine.set": {"name": "m1", "lock": "because"},
    "machine.import": {"machines": [{"name": "m9"}]},
    "machine.plug": {"machines": [{"name": "m1", "was": [], "ports": []}]},
    "machine.remove": {"name": "m1"},
    "machine.power": {"name": "m1", "action": "on"},
    "machine.boot": {"name": "m1", "device": "network"},
    "machine.identify": {"name": "m1"},
    "machine.booting": {"name": "m1"},
    "machine.sensors": {"name": "m1"},
    "machine.log": {"name": "m1"},
    "machine.console": {"name": "m1", "key": "c" * 40},
    "zoniagent.add": {"name": "net9"},
    "zoniagent.remove": {"name": "net1"},
    "zoniagent.enroll": {"token": "t" * 32, "agent": "net1", "key": "z" * 40},
    "pdu.add": {"name": "p9", "address": "10.0.0.9", "model": "x", "snmp": V2C},
    "pdu.set": {"name": "p1", "note": "x"},
    "pdu.remove": {"name": "p1"},
    "switch.add": {"name": "s9", "address": "br0", "driver": "ovs"},
    "switch.set": {"name": "s1", "note": "x"},
    "switch.remove": {"name": "s1"},
    "switch.look": {"name": "s1"},
    "switch.macs": {"name": "s1"},
    "switch.neighbours": {"name": "s1"},
    "switch.probe": {"name": "s1"},
    "switch.save": {"name": "s1"},
    "switch.change": {"changes": [{"switch": "s1"}]},
    "vlan.create": {"vlans": {"300": "lab"}},
    "vlan.destroy": {"vlans": [300]},
    "port.set": {"changes": [{"ports": ["s1:9"], "want": {"join": [300]}}]},
    "port.restore": {"ports": ["s1:9"]},
    "domain.create": {"name": "green", "vlans": [200]},
    "domain.remove": {"name": "red"},
    "machine.reserve": {"count": 1, "until_wall": FAR},
    "machine.allocate": {"name": "leased-0", "domain": "red"},
    "machine.release": {"name": "r-1"},
    "reservation.extend": {"name": "r-1", "until_wall": 2 * FAR},
    "backup": {"path": "/var/backups/one"},
    "adopt": {"name": "v-99"},
    "forget": {"name": "v-99"},
    "enroll": {"token": "t" * 32, "host": "h1", "key": "k" * 40},
}


def principal(role: str) -> Principal:
    return Principal("someone", role)


def code(world: World, verb: str, who: Principal, body: dict[str, Any]) -> str:
    raw = Request("request-x", verb, msgspec.Raw(json.dumps(body).encode()))
    reply = world.cluster.request(who, raw, None, world.now()).reply
    return reply.error.code if reply is not None and reply.error is not None else ""


def test_every_verb_is_walked() -> None:
    assert set(BODIES) == set(verbs.VERBS)


@pytest.mark.attack(7)
@pytest.mark.parametrize(("verb", "role"), list(itertools.product(BODIES, ["", "agent", "enroll", *RANKS])))
def test_role(verb: str, role: str) -> None:
    world = World(2)
    world.ok("user.add", name="someone", uid=7, role=role if role in RANKS else "user")
    needs = verbs.VERBS[verb].role
    may = role == needs if "enroll" in (needs, role) else role in RANKS and RANKS.index(role) >= RANKS.index(needs)
    before = world.everything()
    answer = code(world, verb, principal(role), BODIES[verb])
    if may:
        assert answer != "denied" or needs == "enroll"
    else:
        assert answer == "denied"
        assert world.everything() == before


@pytest.mark.attack(8)
@pytest.mark.parametrize("verb", ["vm.start", "vm.shutdown", "vm.destroy", "vm.migrate"])
@pytest.mark.parametrize("whose", ["own", "foreign", "absent"])
@pytest.mark.parametrize("role", RANKS)
def test_object(verb: str, whose: str, role: str) -> None:
    world = World(2)
    world.ok("user.add", name="someone", uid=7, role=role)
    owner = principal(role) if whose == "own" else Principal("other", "user")
    if whose != "absent":
        world.create("web", who=owner)
    answer = code(world, verb, principal(role), {"name": "web"})
    hidden = whose == "absent" or (whose == "foreign" and role == "user")
    assert (answer == "not-found") is hidden


@pytest.mark.attack(8)
def test_the_text_for_a_foreign_vm_is_that_for_none() -> None:
    world = World(1)
    world.create("web", who=Principal("other", "user"))
    texts = set()
    for name in ("web", "nix"):
        raw = Request("request-x", "vm.destroy", msgspec.Raw(json.dumps({"name": name}).encode()))
        reply = world.cluster.request(Principal("someone", "user"), raw, None, world.now()).reply
        assert reply is not None and reply.error is not None
        texts.add(reply.error.text.replace(name, "NAME"))
    assert len(texts) == 1


@pytest.mark.parametrize("verb", ["", "vm.nix", "__class__", "_answer", "vm.create\n", "x" * 200])
def test_an_unknown_verb_is_said_to_be_one(verb: str) -> None:
    assert code(World(0), verb, Principal("root", "admin"), {}) == "unknown-verb"


def test_a_record_lowers_what_the_socket_allows() -> None:
    world = World(1)
    world.ok("user.add", name="carol", uid=5, role="user")
    assert code(world, "host.add", Principal("carol", "admin"), {"name": "h9"}) == "denied"
    world.ok("user.add", name="dave", uid=6, role="admin")
    assert code(world, "host.add", Principal("dave", "operator"), {"name": "h9"}) == "denied"
    assert code(world, "host.add", Principal("dave", "admin"), {"name": "h9"}) == ""


def test_a_request_without_a_verb_keeps_the_controller_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgotten(Strict, frozen=True):
        pass

    monkeypatch.setattr(messages, "Forgotten", Forgotten, raising=False)
    with pytest.raises(Fault, match="Forgotten"):
        verbs.check()


@pytest.mark.attack(32)
def test_a_token_is_good_for_one_host_once_and_not_for_ever() -> None:
    world = World(0)
    world.ok("host.add", name="h1")
    token = world.decide("host.add", name="h2").reply
    assert token is not None
    secret = json.loads(bytes(token.ok or b""))["extra"]["token"]
    enroll = Principal("", "enroll")
    assert code(world, "enroll", enroll, {"token": "0" * 32, "host": "h2", "key": "a" * 40}) == "denied"
    assert code(world, "enroll", enroll, {"token": secret, "host": "nix", "key": "a" * 40}) == "denied"
    world.seconds += 3601
    assert code(world, "enroll", enroll, {"token": secret, "host": "h2", "key": "a" * 40}) == "denied"
    world.seconds -= 3601
    assert code(world, "enroll", enroll, {"token": secret, "host": "h2", "key": "a" * 40}) == ""
    assert code(world, "enroll", enroll, {"token": secret, "host": "h2", "key": "b" * 40}) == "denied"
    assert world.cluster.agent_of_key("a" * 40) == "h-2"


def test_a_kept_answer_holds_no_token() -> None:
    world = World(0)
    world.decide("host.add", request_id="add-host-1", name="h1")
    kept = bytes(world.cluster.state.requests["root\nadd-host-1"].ok)
    assert b"token" not in kept and b"h-1" in kept


def test_an_operator_removes_only_their_own_images() -> None:
    world = World(1)
    world.ok("user.add", name="someone", uid=7, role="operator")
    assert code(world, "image.remove", principal("operator"), {"name": "tiny"}) == "denied"
    assert code(world, "image.remove", Principal("root", "admin"), {"name": "tiny"}) == ""


def test_watching_a_name_that_nobody_has_watches_nothing() -> None:
    world = World(1)
    world.create("web", who=Principal("other", "user"))
    for who, names, said in (
        ("someone", ["web"], "not-found"),
        ("other", ["web"], ""),
        ("other", ["nix"], "not-found"),
    ):
        assert code(world, "changes", Principal(who, "user"), {"ids": names}) == said
