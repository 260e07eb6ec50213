"""Every verb, with every role, on an object of one's own, on somebody else's and on none."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from tashi.core import verbs
from tashi.core.cluster import Principal
from tests.core.test_verbs import FAR, V2C, code, principal
from tests.core.world import GIB, World

RANKS = ["user", "operator", "admin"]
ROLES = ["", "agent", "enroll", *RANKS]
WHOSE = ["own", "foreign", "absent"]
Body = dict[str, Any]


class Row(NamedTuple):
    """Bodies that ask a verb for an object of one's own, of somebody else, and for none; None: it has no such object.

    ``private``: users may not know of others'. ``guarded``: roles that may know of others', but may not do it.
    """

    own: Body | None
    foreign: Body | None = None
    absent: Body | None = None
    private: bool = False
    guarded: tuple[str, ...] = ()


def named(own: str, foreign: str, absent: str, private: bool = False, guarded: tuple[str, ...] = ()) -> Row:
    return Row({"name": own}, {"name": foreign}, {"name": absent}, private, guarded)


def vms() -> Row:
    return named("mine", "theirs", "nix", private=True)


# A verb without a row here fails: whoever adds one says who may see and do what.
WALK: dict[str, Row] = {
    "status": Row({}),
    "list": Row({"noun": "vm"}),
    "changes": Row({"ids": ["mine"]}, {"ids": ["theirs"]}, {"ids": ["nix"]}, private=True),
    "usage": Row({}),
    "metrics": Row({}),
    "snapshot": Row({}),
    "explain": Row({"vm": "mine"}, {"vm": "theirs"}, {"vm": "nix"}, private=True),
    "decision": named("mine", "theirs", "nix", private=True),
    "slots": Row({"vm": "mine"}, {"vm": "theirs"}, {"vm": "nix"}, private=True),
    "vm.create": Row({"name": "n", "image": "tiny", "cores": 1, "memory_bytes": GIB}),
    "vm.place": Row(*({"name": name, "host": "h1"} for name in ("mine", "theirs", "nix")), private=True),
    "vm.start": vms(),
    "vm.shutdown": vms(),
    "vm.destroy": vms(),
    "vm.migrate": vms(),
    "job.cancel": named("MINE-JOB", "THEIR-JOB", "j-9999", private=True),
    "host.add": Row({"name": "h9"}),
    "host.set": named("h1", "h1", "nix"),
    "host.drain": named("h1", "h1", "nix"),
    "host.resume": named("h1", "h1", "nix"),
    "host.certify": named("h1", "h1", "nix"),
    "host.confirm-off": named("h1", "h1", "nix"),
    "host.remove": named("h1", "h1", "nix"),
    "image.add": Row({"name": "i", "path": "i.raw", "format": "raw"}),
    "image.remove": named("my-image", "tiny", "nix", guarded=("operator",)),
    "user.add": Row({"name": "u", "uid": 1}),
    "user.set": named("someone", "other", "nix", private=True),
    "user.remove": named("someone", "other", "nix", private=True),
    "user.enroll": named("someone", "other", "nix", private=True, guarded=("operator",)),
    "group.set": Row({"name": "g"}),
    "group.remove": named("ours", "ours", "nix"),
    "key.revoke": named("k-1", "k-2", "k-9", private=True, guarded=("operator",)),
    "key.register": Row({"token": "t" * 32, "user": "someone"}),
    "adopt": Row(None, None, {"name": "v-99"}),
    "forget": Row(None, None, {"name": "v-99"}),
    "machine.add": Row({"name": "m9"}),
    "machine.set": named("m1", "m2", "nix"),
    "machine.import": Row({"machines": [{"name": "m9"}]}),
    "machine.plug": Row({"machines": [{"name": "m1", "was": [], "ports": []}]}),
    "machine.remove": named("m1", "m2", "nix"),
    "machine.power": Row(
        *({"name": name, "action": "on"} for name in ("leased-0", "leased-1", "nix")), guarded=("user",)
    ),
    "machine.console": Row(
        *({"name": name, "key": "c" * 40} for name in ("leased-0", "leased-1", "nix")), guarded=("user",)
    ),
    "machine.boot": Row(*({"name": name, "device": "disk"} for name in ("m1", "m2", "nix"))),
    "machine.identify": named("m1", "m2", "nix"),
    "machine.booting": named("m1", "m2", "nix"),
    "machine.sensors": named("m1", "m2", "nix"),
    "machine.log": named("m1", "m2", "nix"),
    "zoniagent.add": Row({"name": "net9"}),
    "zoniagent.remove": named("net1", "net2", "nix"),
    "zoniagent.enroll": Row({"token": "t" * 32, "agent": "net1", "key": "z" * 40}),
    "pdu.add": Row({"name": "p9", "address": "10.0.0.9", "model": "x", "snmp": V2C}),
    "pdu.set": named("p1", "p2", "nix"),
    "pdu.remove": named("p1", "p2", "nix"),
    "switch.add": Row({"name": "s9", "address": "br0", "driver": "ovs"}),
    "switch.set": named("s1", "s2", "nix"),
    "switch.remove": named("s1", "s2", "nix"),
    "switch.look": named("s1", "s2", "nix"),
    "switch.macs": named("s1", "s2", "nix"),
    "switch.neighbours": named("s1", "s2", "nix"),
    "switch.probe": named("s1", "s2", "nix"),
    "switch.save": named("s1", "s2", "nix"),
    "switch.change": Row(*({"changes": [{"switch": name}]} for name in ("s1", "s2", "nix"))),
    "vlan.create": Row(*({"vlans": {"300": "lab"}, "switches": [name]} for name in ("s1", "s2", "nix"))),
    "vlan.destroy": Row(*({"vlans": [300], "switches": [name]} for name in ("s1", "s2", "nix"))),
    "port.set": Row(*({"changes": [{"ports": [f"{name}:p1"], "want": {"on": False}}]} for name in ("s1", "s2", "nix"))),
    "port.restore": Row(*({"ports": [f"{name}:p1"]} for name in ("s1", "s2", "nix"))),
    "domain.create": Row({"name": "green", "vlans": [200]}),
    "domain.remove": named("red", "blue", "nix"),
    "machine.reserve": Row(*({"machines": [name], "until_wall": FAR} for name in ("m1", "m1", "nix"))),
    "machine.allocate": Row(
        *({"name": name, "domain": "red"} for name in ("leased-0", "leased-1", "nix")), guarded=("user",)
    ),
    "machine.release": named("r-1", "r-2", "r-9", guarded=("user",)),
    "reservation.extend": Row(
        *({"name": name, "until_wall": 2 * FAR} for name in ("r-1", "r-2", "r-9")), guarded=("user",)
    ),
    "backup": Row({"path": "/var/backups/one"}),
    "enroll": Row({"token": "t" * 32, "host": "h1", "key": "k" * 40}),
}


def staged(role: str) -> tuple[World, dict[str, str]]:
    """Two people with a VM, a key and an operation under way each; and what stands for those operations."""
    world = World(2)
    world.ok("group.set", name="ours")
    world.hardware()
    world.ok("zoniagent.add", name="net2")
    world.ok("user.add", name="someone", uid=7, role=role if role in RANKS else "user", key="m" * 40, groups=["ours"])
    world.ok("user.add", name="other", uid=8, key="o" * 40)
    world.leases("someone", "other")
    jobs = {}
    for name, who in (("mine", "someone"), ("theirs", "other")):
        world.create(name, who=Principal(who, "user"))
        accepted = world.ok("vm.create", Principal(who, "user"), name=f"{name}-waits", image="tiny", cores=8,
                            memory_bytes=8 * GIB, host="h2", hold=True)  # fmt: skip
        jobs["MINE-JOB" if name == "mine" else "THEIR-JOB"] = accepted.job
    world.ok(
        "image.add", Principal("someone", "operator", owns=True), name="my-image", path="images/m.raw", format="raw"
    )
    return world, jobs


def test_every_verb_is_walked() -> None:
    assert set(WALK) == set(verbs.VERBS)


@pytest.mark.attack(7)
@pytest.mark.attack(8)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("verb", WALK)
def test_who_may_what_with_whose(verb: str, role: str) -> None:
    world, jobs = staged(role)
    needs, row = verbs.VERBS[verb].role, WALK[verb]
    may = role == needs if "enroll" in (needs, role) else role in RANKS and RANKS.index(role) >= RANKS.index(needs)
    for whose in ("absent", "foreign", "own"):
        body = getattr(row, whose)
        if body is None:
            continue
        body = {key: jobs.get(value, value) if isinstance(value, str) else value for key, value in body.items()}
        before = world.everything()
        answer = code(world, verb, principal(role), body)
        if not may or (whose == "foreign" and role in row.guarded):
            expected = "denied"
        elif whose == "absent" or (whose == "foreign" and row.private and role == "user"):
            expected = "not-found"
        else:
            wrong_token = verb in ("enroll", "key.register", "zoniagent.enroll")
            assert (answer == "denied") is wrong_token and answer != "not-found", (whose, answer)
            continue
        assert answer == expected, whose
        assert world.everything() == before, whose
