"""Reboot plans: every wave can be drained, move by move, and no rule is broken on the way."""

from __future__ import annotations

from hypothesis import given, settings

from tashi.sched.demand import Rules
from tashi.sched.plan.snapshot import Snapshot
from tashi.sched.plan.waves import plan_reboots, records
from tests.sched.snapshots import GIB, guest, homes, may_come, place, snapshot, snapshots, wrongs

APART = Rules(group="db", apart=("db",))
TOGETHER = Rules(group="db", together=("db",))


@settings(max_examples=80, deadline=None)
@given(snapshots(most_guests=8))
def test_every_wave_can_be_drained(snap: Snapshot) -> None:
    plan = plan_reboots(snap)
    in_waves = [host for wave in plan.waves for host in wave.hosts]
    assert sorted([*in_waves, *plan.stuck]) == sorted(snap.hosts)
    assert all(plan.stuck.values())
    at = homes(snap)
    for wave in plan.waves:
        for host in wave.moves:
            for move in wave.moves[host]:
                before = wrongs(snap, at, wave.hosts)
                assert at.pop(move.guest) == move.source == host
                assert not snap.guests[move.guest].stays
                assert may_come(snap, at, move.guest, move.target, wave.hosts)
                at[move.guest] = move.target
                assert wrongs(snap, at, wave.hosts) <= before
        assert not set(at.values()) & set(wave.hosts)


def test_an_empty_third_makes_two_waves() -> None:
    """Two hosts fit into the empty ones; what was there then fits into those that were rebooted."""
    hosts = [place(number, 4, 4) for number in range(1, 5)]
    snap = snapshot(hosts, [guest(number, number, 4, 4) for number in (1, 2)])
    plan = plan_reboots(snap)
    assert [wave.hosts for wave in plan.waves] == [("h-3", "h-4"), ("h-1", "h-2")]
    assert [row["wave"] for row in records(snap, plan)] == [1, 1, 2, 2]


def test_only_the_hosts_asked_for() -> None:
    """And guests go to those that need no reboot, though a host that needs one is fuller."""
    hosts = [place(number, 8, 8) for number in range(1, 4)]
    plan = plan_reboots(snapshot(hosts, [guest(1, 1), guest(2, 2)]), ["h-1", "h-2"])
    assert [wave.hosts for wave in plan.waves] == [("h-1", "h-2")]
    assert {move.target for moves in plan.waves[0].moves.values() for move in moves} == {"h-3"}


def test_what_can_t_be_drained_is_told() -> None:
    hosts = [place(1, 8, 8), place(2, 4, 4), place(3, 4, 4)]
    guests = [guest(1, 1, 6, 6), guest(2, 2, 1, 1, stays="locked by j-9"), guest(3, 1, 1, 1)]
    snap = snapshot(hosts, guests)
    plan = plan_reboots(snap)
    assert [wave.hosts for wave in plan.waves] == [("h-3",)]
    assert plan.stuck["h-2"] == "vm2: locked by j-9"
    assert plan.stuck["h-1"] == (
        "vm1: h2: needs 6 cores, 2 free; needs 6G of memory, 2G free, "
        "h3: needs 6 cores, 4 free; needs 6G of memory, 4G free"
    )
    assert [row["name"] for row in records(snap, plan)] == ["h3"]


def test_rules_are_kept() -> None:
    hosts = [place(number, 8, 8) for number in (1, 2)]
    apart = plan_reboots(snapshot(hosts, [guest(1, 1, rules=APART), guest(2, 2, rules=APART)]))
    assert apart.waves == [] and "anti" not in apart.stuck["h-1"]
    assert apart.stuck["h-1"] == "vm1: h2: needs to be apart from db, one of it is there"
    pair = plan_reboots(snapshot([*hosts, place(3)], [guest(1, 1, rules=TOGETHER), guest(2, 1, rules=TOGETHER)]))
    assert pair.stuck == {
        "h-1": "vm1: h2: needs to be with db, none of it is there, h3: needs to be with db, none of it is there"
    }
    assert [wave.hosts for wave in pair.waves] == [("h-2", "h-3")]


def test_a_record_tells_what_a_drain_copies() -> None:
    snap = snapshot([place(1)._replace(link_bytes_per_second=GIB), place(2)], [guest(1, 1, 2, 4)])
    rows = records(snap, plan_reboots(snap))
    assert {
        "wave": 2,
        "name": "h1",
        "id": "h-1",
        "vms": 1,
        "copy_bytes": 4 * GIB,
        "copy_seconds": 4.0,
    } in rows
