"""Plans of moves: every beginning is legal, nothing is broken on the way, and what is promised comes true."""

from __future__ import annotations

import json
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tashi.cli.output import Output
from tashi.cli.table import fields_of, print_records
from tashi.sched.demand import Rules
from tashi.sched.plan.balance import balance
from tashi.sched.plan.board import Board
from tashi.sched.plan.moves import Line, price, read_lines, record
from tashi.sched.plan.score import score
from tashi.sched.plan.snapshot import LINK_BYTES_PER_SECOND, Snapshot
from tashi.sched.policy import Policy
from tests.sched.snapshots import GIB, WALL, guest, homes, may_come, place, snapshot, snapshots, view_of, wrongs

SPREAD, PACK = Policy(order="spread"), Policy(order="pack")
APART = Rules(group="db", apart=("db",))


def over(snap: Snapshot, at: dict[str, str]) -> dict[str, tuple[int, int]]:
    """By how much hosts are over their capacity."""
    rooms = view_of(snap, at).rooms
    return {host: (min(room.free_cores, 0), min(room.free_memory, 0)) for host, room in rooms.items()}


def moved(snap: Snapshot, at: dict[str, str]) -> Snapshot:
    """The cluster with guests on these hosts."""
    guests = {key: each._replace(host=at.get(key, "")) for key, each in snap.guests.items()}
    return snap._replace(guests=guests)


@settings(max_examples=100, deadline=None)
@given(snapshots(most_guests=8), st.sampled_from([1, 3, 100]))
def test_every_beginning_is_legal_and_the_promise_is_kept(snap: Snapshot, per_hour: int) -> None:
    plan = balance(snap, per_hour)
    at = homes(snap)
    assert len(plan.moves) <= per_hour
    assert len({move.guest for move in plan.moves}) == len(plan.moves), "nobody moves twice"
    assert (plan.before, plan.broken_before) == (score(Board(snap)), len(wrongs(snap, at)))
    for move in plan.moves:
        before, full = wrongs(snap, at), over(snap, at)
        assert not snap.guests[move.guest].stays
        assert at.pop(move.guest) == move.source != move.target
        assert may_come(snap, at, move.guest, move.target)
        at[move.guest] = move.target
        assert wrongs(snap, at) <= before
        assert all(after >= full[host] for host, after in over(snap, at).items())
    assert (plan.after, plan.broken_after) == (score(Board(moved(snap, at))), len(wrongs(snap, at)))
    assert plan.before - sum(move.gain for move in plan.moves) == pytest.approx(plan.after)


@settings(max_examples=100, deadline=None)
@given(snapshots(most_guests=6))
def test_a_broken_rule_is_mended_by_one_move_where_one_is_enough(snap: Snapshot) -> None:
    """And when a plan leaves something broken, no single move would have mended it."""
    plan = balance(snap, 100)
    at = homes(snap)
    broken = wrongs(snap, at)
    free = [each.id for each in snap.guests.values() if not each.stays and not each.also]

    def mended(at: dict[str, str]) -> int:
        """The fewest that are left broken after any one move that breaks nothing."""
        fewest, before = len(wrongs(snap, at)), wrongs(snap, at)
        for each, host in product(free, snap.hosts):
            without = {key: there for key, there in at.items() if key != each}
            if each in at and host != at[each] and may_come(snap, without, each, host):
                after = wrongs(snap, without | {each: host})
                fewest = min(fewest, len(after)) if after <= before else fewest
        return fewest

    if broken and mended(at) == 0:
        assert sum("mends" in move.why for move in plan.moves) <= len(broken)
        assert plan.broken_after == 0
    for move in plan.moves:
        at[move.guest] = move.target
    still = {each.guest for each in plan.moves}
    free = [each for each in free if each not in still]
    assert mended(at) == len(wrongs(snap, at))


def test_the_smallest_move_mends() -> None:
    hosts = [place(1), place(2)]
    plan = balance(snapshot(hosts, [guest(1, 1, 1, 4, APART), guest(2, 1, 1, 2, APART)], PACK))
    (move,) = plan.moves
    assert (move.guest, move.target, move.why) == ("v-2", "h-2", "mends anti-affinity of vm1")
    assert (plan.broken_before, plan.broken_after) == (2, 0)


def test_somebody_makes_room_where_that_is_needed() -> None:
    hosts = [place(1, 8, 8), place(2, 4, 4), place(3, 2, 2)]
    guests = [guest(1, 1, 4, 4, APART), guest(2, 1, 4, 4, APART), guest(3, 2, 2, 2)]
    plan = balance(snapshot(hosts, guests, PACK))
    assert [(move.guest, move.target) for move in plan.moves] == [("v-3", "h-3"), ("v-1", "h-2")]
    assert plan.broken_after == 0


def test_a_host_over_its_capacity_is_relieved_by_one_move() -> None:
    hosts = [place(1, 4, 4), place(2, 4, 4)]
    plan = balance(snapshot(hosts, [guest(1, 1, 1), guest(2, 1, 3), guest(3, 1, 1)], PACK))
    assert len(plan.moves) == 1
    assert plan.broken_after == 0


def test_a_move_that_leaves_another_alone_is_not_made() -> None:
    """vm2 must be with the group of vm1: once that is on other hosts only, it would be without."""
    follows = Rules(together=("a",))
    guests = [guest(1, 1, 3, 3, Rules(group="a")), guest(2, 1, 3, 3, follows), guest(3, 2, 1, 1, Rules(group="a"))]
    snap = snapshot([place(number) for number in (1, 2, 3)], guests, SPREAD)
    assert not Board(snap).try_move("v-1", "h-3")
    assert Board(snap).try_move("v-2", "h-2")
    plan = balance(snap)
    assert plan.moves and plan.broken_after == 0


def test_hosts_are_made_even() -> None:
    hosts = [place(number, 8, 8) for number in (1, 2, 3, 4)]
    plan = balance(snapshot(hosts, [guest(number, 1, 2, 2) for number in (1, 2, 3, 4)], SPREAD))
    assert sorted(move.target for move in plan.moves) == ["h-2", "h-3", "h-4"]
    assert plan.after == 0
    assert all(move.gain > price(snapshot(hosts, [guest(1, 1, 2, 2)]), "v-1", "h-1").hosts for move in plan.moves)


def test_a_gain_below_its_price_is_left_alone() -> None:
    """Eight hours of copying for a little evenness."""
    hosts = [place(1)._replace(link_bytes_per_second=80_000), place(2)]
    guests = [guest(1, 1, 2, 2), guest(2, 1, 2, 2)]
    assert balance(snapshot(hosts, guests, SPREAD)).moves == []
    assert len(balance(snapshot([place(1), place(2)], guests, SPREAD)).moves) == 1
    apart = [guest(1, 1, 2, 8), guest(2, 2, 2, 2)]
    slow = [each._replace(link_bytes_per_second=80_000) for each in (place(1, 8, 16), place(2, 8, 16))]
    assert [move.guest for move in balance(snapshot(slow, apart, PACK)).moves] == []
    assert len(balance(snapshot([place(1, 8, 16), place(2, 8, 16)], apart, PACK)).moves) == 1


def test_hosts_are_emptied_wholly_or_not_at_all() -> None:
    hosts = [place(number, 8, 8) for number in (1, 2, 3)]
    guests = [guest(1, 1, 6, 6), guest(2, 2, 6, 6), guest(3, 3, 2, 2), guest(4, 3, 1, 1)]
    plan = balance(snapshot(hosts, guests, PACK))
    assert (plan.before, plan.after) == (3, 2)
    assert {move.source for move in plan.moves} == {"h-3"}
    assert balance(snapshot(hosts, guests, PACK), per_hour=1).moves == []
    assert balance(snapshot(hosts, [guest(n, n, 5, 5) for n in (1, 2, 3)], PACK)).moves == []


def test_a_smaller_guest_makes_room_so_that_a_host_is_emptied() -> None:
    hosts = [place(number, 8, 16) for number in (1, 2, 3)]
    guests = [guest(1, 1, 4), guest(2, 2, 3), guest(3, 2, 3), guest(4, 3, 3), guest(5, 3, 3)]
    plan = balance(snapshot(hosts, guests, PACK))
    assert plan.after == 3, "four cores beside two of three are ten"
    guests = [guest(1, 1, 4), guest(2, 2, 2), guest(3, 2, 3), guest(4, 3, 6)]
    plan = balance(snapshot(hosts, guests, PACK))
    assert [(move.guest, move.target) for move in plan.moves] == [("v-2", "h-3"), ("v-1", "h-2")]
    assert plan.after == 2


def test_who_was_moved_lately_rests_and_counts() -> None:
    hosts = [place(1), place(2)]
    guests = [guest(number, 1, 2, 2, moved_wall=WALL - 600) for number in (1, 2)]
    assert balance(snapshot(hosts, guests, SPREAD)).moves == []
    assert len(balance(snapshot(hosts, [each._replace(moved_wall=WALL - 4000) for each in guests], SPREAD)).moves) == 1
    third = guest(3, 1, 2, 2)
    assert [move.guest for move in balance(snapshot(hosts, [*guests, third], SPREAD)).moves] == ["v-3"]
    assert balance(snapshot(hosts, [*guests, third], SPREAD), per_hour=2).moves == []


def test_who_was_moved_lately_is_moved_to_mend() -> None:
    guests = [guest(n, 1, 1, 1, APART, moved_wall=WALL - 600) for n in (1, 2)]
    assert len(balance(snapshot([place(1), place(2)], guests, SPREAD)).moves) == 1


def test_the_price_is_memory_over_the_measured_rate() -> None:
    fast = place(1)._replace(link_bytes_per_second=2 * GIB)
    snap = snapshot([fast, place(2), place(3)._replace(link_bytes_per_second=GIB)], [guest(1, 1, 1, 8)])
    assert price(snap, "v-1", "h-1") == (8 * GIB, 4.0)
    assert price(snap, "v-1", "h-2").seconds == 8.0, "never measured there: the slowest of the others"
    unmeasured = snapshot([place(1)], [guest(1, 1, 1, 8)])
    assert price(unmeasured, "v-1", "h-1").seconds == 8 * GIB / LINK_BYTES_PER_SECOND


def test_a_line_is_read_as_it_was_written() -> None:
    snap = snapshot([place(1), place(2)], [guest(1, 1, 2, 2, generation=3), guest(2, 1, 2, 2)], SPREAD)
    (move,) = balance(snap).moves
    line = json.dumps(record(snap, move))
    (read,) = read_lines([line, "", '{"name":"x","error":{"code":"no-room"}}'])
    assert read == ("v-1", "vm1", "h1", "h2", 3, 7)


@pytest.mark.parametrize("style", ["table", "tabs", "json"])
def test_a_line_is_read_as_people_read_it(style: str, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """With its header or without: a plan is cut by grep."""
    snap = snapshot([place(1), place(2)], [guest(1, 1, 2, 2, generation=3), guest(2, 1, 2, 2)], SPREAD)
    (move,) = balance(snap).moves
    output = Output("test", style)
    print_records(output, fields_of("move"), [record(snap, move)] * 2)
    output.flush()
    lines = capsysbinary.readouterr().out.decode().splitlines()
    wanted = Line("v-1", "vm1", "h1", "h2", 3, 7)
    assert read_lines(lines) == [wanted] * 2
    assert read_lines(lines[-1:]) == [wanted]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("web", "line 1: not a move"),
        ("web v-1 h1 h2 1 due", "line 1: not a move"),
        ("web h1 h2 1 40 0.5", "line 1: not a move"),
        ("web h-1 h1 h2 1 40 0.5", "'h-1' is not the id of a vm"),
        ("web v-1 h1 h2 1 4\u0660", "line 1: not a move"),
        ("{", "line 1: not JSON"),
        ("[1]", "line 1: not a move"),
        ('{"name":"web"}', "line 1: id is missing"),
        ('{"id":"v-1","name":"web","from":"h1","to":"h2"}', "generation is missing"),
        ('{"id":"v-1","name":"web","from":"h1","to":"h2","generation":true,"revision":1}', "generation is missing"),
        ('{"id":"h-1","name":"web","from":"h1","to":"h2","generation":1,"revision":1}', "'h-1' is not the id of a vm"),
    ],
)
def test_a_wrong_line_is_named(text: str, words: str) -> None:
    with pytest.raises(ValueError) as told:
        read_lines([text])
    assert words in str(told.value)
