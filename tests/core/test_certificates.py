"""Certificates of hosts: given for addresses of their own, replaced when they are in use, revoked with their host."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from tashi.core.cluster import Cluster, Principal
from tashi.core.settings import Settings
from tashi.wire.agents import Beat, Certified, Certify, Pulse
from tashi.wire.messages import Accepted, Credential
from tests.core.world import SECRET, World

LIFE = Settings().certificate_seconds


class Notary:
    """Signs with words."""

    certificate = "authority"

    def certify(
        self, request: str, name: str, ident: str, addresses: tuple[str, ...], number: int, wall: float, until: float
    ) -> str:
        return f"{name} {ident} {' '.join(addresses)} #{number} for {request}"

    def revoke(self, revoked: Mapping[str, float], number: int, wall: float) -> str:
        return " ".join(["revoked", *sorted(revoked, key=int)])


@pytest.fixture
def world() -> World:
    made = World(3)
    made.cluster.authority = Notary()
    return made


def say(world: World, host: str, message: Beat | Certify) -> Any:
    """One message of a host's agent, and the answer."""
    ident = world.host(host).id
    decision = world.cluster.agent_said(ident, (ident, 1), message, world.now())
    world.take(decision)
    (answer,) = decision.back
    return answer


def given(world: World, host: str, *addresses: str) -> Credential:
    answer = say(world, host, Certify(f"key of {host}", list(addresses)))
    assert isinstance(answer, Certified) and answer.credential is not None, answer
    return answer.credential


def pulse(world: World, host: str, certificate: int, revocation: int = 0) -> Pulse:
    answer = say(world, host, Beat(certificate=certificate, revocation=revocation))
    assert isinstance(answer, Pulse)
    return answer


def numbers(world: World, host: str) -> list[int]:
    return [each.number for each in world.cluster.state.hosts[world.host(host).id].certificates]


def test_enrolment_gives_one_and_says_it_again() -> None:
    world = World(0)
    world.cluster.authority = Notary()
    token = world.ok("host.add", name="h1").extra["token"]
    body = {"token": token, "host": "h1", "key": "k" * 40, "request": "r", "addresses": ["10.0.0.1"]}
    first = world.decide("enroll", Principal("", "enroll"), request_id="enroll-it", **body).reply
    assert first is not None
    credential = msgspec.json.decode(first.ok, type=Accepted).credential
    assert credential is not None
    assert credential.certificate == "h1 h-1 h1 10.0.0.1 #1 for r"
    assert (credential.authority, credential.revoked, credential.revocation) == ("authority", "revoked", 0)
    assert credential.until_wall == world.now().wall + LIFE
    kept = json.loads(bytes(world.cluster.state.requests["\nenroll-it"].ok))
    assert kept["credential"]["certificate"] == credential.certificate, "an answer that was lost can be had again"


def test_the_record_says_until_when(world: World) -> None:
    assert world.rows("host", names=["h1"], full=True)[0]["certificate_until"] is None
    given(world, "h1")
    until = world.rows("host", names=["h1"], full=True)[0]["certificate_until"]
    assert until == "2024-02-12T22:13:23.000Z"  # 90 days after the third second of this world


def test_a_certificate_that_is_not_renewed_shows_and_changes_nothing_else(world: World) -> None:
    given(world, "h1")
    world.seconds += 0.8 * LIFE
    world.run(6)
    assert world.rows("host", names=["h1"])[0]["health"] == "up"
    for seconds, word in ((0.1, "ends"), (0.2, "ended")):
        world.seconds += seconds * LIFE
        world.run(6)
        row = world.rows("host", names=["h1"], full=True)[0]
        assert row["health"] == "degraded"
        assert row["reason"] == f"its certificate {word} {row['certificate_until']} and was not renewed"
    assert world.create("web", host="h1")["state"] == "running"


def test_an_old_one_is_revoked_when_the_new_one_is_in_use(world: World) -> None:
    assert pulse(world, "h1", given(world, "h1", "10.0.0.1").number) == Pulse(1, 0, renew=False)
    new = given(world, "h1", "10.0.0.1")
    assert pulse(world, "h1", 1) == Pulse(1, 0, renew=False)
    assert numbers(world, "h1") == [1, 2], "the agent may not have got it"
    assert pulse(world, "h1", new.number) == Pulse(1, 1, renew=False)
    assert numbers(world, "h1") == [2]
    answer = say(world, "h2", Certify())
    assert (answer.credential.revoked, answer.credential.revocation) == ("revoked 1", 1)
    assert answer.credential.certificate == ""


def test_a_removed_host_is_not_believed_any_more(world: World) -> None:
    given(world, "h2"), given(world, "h2")
    world.ok("host.remove", name="h2")
    assert pulse(world, "h1", 0).revocation == 1
    assert say(world, "h1", Certify()).credential.revoked == "revoked 1 2"


def test_what_has_ended_by_itself_leaves_the_list(world: World) -> None:
    given(world, "h1"), pulse(world, "h1", given(world, "h1").number)
    assert say(world, "h1", Certify()).credential.revoked == "revoked 1"
    world.seconds += LIFE + 1
    pulse(world, "h1", given(world, "h1").number)
    assert say(world, "h1", Certify()).credential.revoked == "revoked 2"


def test_a_certificate_that_no_record_knows_is_replaced(world: World) -> None:
    assert pulse(world, "h1", 77).renew
    number = given(world, "h1").number
    assert pulse(world, "h1", 77).renew, "until it is in use"
    assert not pulse(world, "h1", number).renew


def test_by_command(world: World) -> None:
    old = given(world, "h1").number
    assert not pulse(world, "h1", old).renew
    accepted = world.ok("host.certify", name="h1")
    assert not accepted.done
    assert "is renewing it" in world.refused("host.certify", name="h1").text
    assert pulse(world, "h1", old).renew
    new = given(world, "h1").number
    assert not pulse(world, "h1", old).renew, "it was given; the agent has to begin to use it"
    assert world.job(accepted.job)["state"] == "running"
    pulse(world, "h1", new)
    assert world.job(accepted.job)["state"] == "done"
    assert numbers(world, "h1") == [new]


def test_a_command_that_no_agent_follows_ends(world: World) -> None:
    accepted = world.ok("host.certify", name="h1")
    world.run(125)
    assert world.job(accepted.job)["reason"] == "its time is up"
    world.ok("host.certify", name="h1")


def test_only_a_host_whose_agent_is_there_can_be_asked(world: World) -> None:
    world.host("h1").up = False
    world.run(10)
    assert "can't be asked: h1 is silent" in world.refused("host.certify", name="h1").text
    world.ok("host.add", name="h9")
    assert "not enrolled" in world.refused("host.certify", name="h9").text


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("h2", "h1: h2 is the address of h2"),
        ("10.0.0.2", "h1: 10.0.0.2 is the address of h2"),
        ("*", "'*' is no address"),
        ("a b", "'a b' is no address"),
        ("", "'' is no address"),
    ],
)
def test_an_address_that_is_not_its_own_is_refused(world: World, address: str, reason: str) -> None:
    given(world, "h2", "10.0.0.2")
    before = world.everything()
    answer = say(world, "h1", Certify("r", ["10.0.0.1", address]))
    assert answer.credential is None and reason in answer.reason
    assert world.everything() == before


def test_it_is_all_there_after_a_start(world: World) -> None:
    given(world, "h1")
    world.ok("host.remove", name="h1")
    loaded = Cluster(Settings(), lambda: SECRET, Notary())
    stored = [row for row in world.cluster.state.puts_since(0) if row[2] is not None]
    for table in ("meta", "host"):
        loaded.load(table, [(key, value) for where, key, value in stored if where == table and value is not None])
    assert loaded.state.revoked == world.cluster.state.revoked != {}
    assert [loaded.state.counted(each) for each in ("certificate", "revocation")] == [1, 1]
