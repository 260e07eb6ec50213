"""What if hosts were lost: the answers are those of trying every way, and the board is as it was."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tashi.sched.demand import Rules
from tashi.sched.filters import Question
from tashi.sched.plan import proof
from tashi.sched.plan.board import Board
from tashi.sched.plan.loss import Loss, lose, lose_each, why_not
from tashi.sched.plan.proof import prove
from tashi.sched.plan.snapshot import Snapshot, to_be_moved
from tashi.wire.errors import NotFound, Refused
from tests.sched.snapshots import guest, homes, place, snapshot, snapshots, view_of

SPREAD = Rules(group="db", spread="rack")
APART = Rules(group="db", apart=("db",))


def survives(snap: Snapshot, lost: tuple[str, ...]) -> bool:
    """By trying every order and every host."""
    at = homes(snap)
    displaced = frozenset(each for each, host in at.items() if host in lost)
    stay = {each: host for each, host in at.items() if host not in lost}
    dead: set[frozenset[tuple[str, str]]] = set()

    def go(at: dict[str, str]) -> bool:
        key = frozenset(at.items())
        if key in dead:
            return False
        left = displaced - at.keys()
        view = view_of(snap, at, lost)
        for each in left:
            question = Question(view, to_be_moved(snap.guests[each]), snap.policy, snap.wall)
            if any(question.fits(room) and go(at | {each: host}) for host, room in view.rooms.items()):
                return True
        dead.add(key)
        return not left

    return go(stay)


def state(board: Board) -> object:
    rooms = board.index.rooms.items()
    return (
        {host: (room.supply, room.free_cores, room.free_memory, room.disk_used) for host, room in rooms},
        dict(board.at),
        {host: set(there) for host, there in board.on.items()},
        board.index.members,
        board.index.shunned,
    )


@settings(max_examples=100, deadline=None)
@given(snapshots(most_guests=6), st.data())
def test_a_loss_is_what_trying_every_way_says(snap: Snapshot, data: st.DataObject) -> None:
    lost = tuple(data.draw(st.sets(st.sampled_from(sorted(snap.hosts)), min_size=1, max_size=2)))
    assume(sum(1 for host in homes(snap).values() if host in lost) <= 4)
    board = Board(snap)
    before = state(board)
    loss = lose(board, lost, explain=True)
    assert state(board) == before
    assert loss.answer == ("yes" if survives(snap, lost) else "no")
    assert set(loss.reasons) == set(loss.left)
    assert {*loss.placed, *loss.left} == {each for each, host in homes(snap).items() if host in lost}


@settings(max_examples=40, deadline=None)
@given(snapshots(most_hosts=5, most_guests=6), st.integers(1, 3))
def test_any_so_many_is_what_all_combinations_say(snap: Snapshot, count: int) -> None:
    assume(count < len(snap.hosts))
    alone: dict[str, int] = {}
    for host in homes(snap).values():
        alone[host] = alone.get(host, 0) + 1
    assume(sum(sorted(alone.values())[-count:]) <= 4)
    board = Board(snap)
    before = state(board)
    told = prove(board, count)
    assert state(board) == before
    fatal = {lost for lost in combinations(sorted(snap.hosts), count) if not survives(snap, lost)}
    assert told.answer == ("no" if fatal else "yes")
    if fatal:
        assert told.worst is not None
        assert tuple(sorted(told.worst.hosts)) in fatal


def test_many_small_clusters_need_no_look() -> None:
    """With room everywhere, most pairs are covered by the witnesses of single losses."""
    hosts = [place(number, 8, 8) for number in range(1, 61)]
    board = Board(snapshot(hosts, [guest(number, number, 2, 2) for number in range(1, 61)]))
    told = prove(board, 2)
    assert (told.answer, told.combinations, told.looked) == ("yes", 1770, 0)


def test_losses_that_share_no_host_but_a_rule_are_looked_at() -> None:
    """Either of two may go to the third rack, where there is much room; both are too many beside an empty fourth."""
    hosts = [place(1, rack="r1"), place(2, rack="r2"), place(3, rack="r4")]
    hosts += [place(number, rack="r3") for number in range(4, 20)]
    board = Board(snapshot(hosts, [guest(1, 1, rules=SPREAD), guest(2, 2, rules=SPREAD), guest(3, 3, 8, 8)]))
    assert prove(board, 1).answer == "yes"
    told = prove(board, 2)
    assert told.answer == "no" and told.looked < told.combinations
    assert told.worst is not None and told.worst.hosts == ("h-1", "h-2")


def test_a_group_that_both_losses_touch_is_looked_at() -> None:
    """Each alone may go to the one rack that is left; both together are too many for it."""
    hosts = [place(number, 8, 8, f"r{number}") for number in (1, 2, 3)] + [place(4, 8, 8, "r3")]
    guests = [guest(1, 1, rules=APART), guest(2, 2, rules=APART), guest(3, 3, rules=APART)]
    board = Board(snapshot(hosts, guests))
    assert prove(board, 1).answer == "yes"
    told = prove(board, 2)
    assert told.answer == "no"
    assert told.worst is not None and len(told.worst.hosts) == 2 and told.worst.displaced == 2


def test_the_worst_is_shown_with_reasons() -> None:
    hosts = [place(1), place(2), place(3, closed="draining")]
    board = Board(snapshot(hosts, [guest(1, 1, 5), guest(2, 1, 1), guest(3, 2, 4)]))
    told = prove(board, 1)
    assert told.answer == "no" and told.worst is not None
    assert told.worst.hosts == ("h-1",)
    loss = lose(board, told.worst.hosts, explain=True)
    assert loss.placed == {"v-2": "h-2"}
    assert loss.reasons == {"v-1": "h2: needs 5 cores, 3 free, h3: draining"}


def test_not_the_greedy_way_but_another() -> None:
    """Largest first takes the only place of the two middle ones; there is a way all the same."""
    hosts = [place(1, 12, 64), place(2, 6, 64), place(3, 6, 64)]
    sizes = [3, 3, 2, 2, 2]
    board = Board(snapshot(hosts, [guest(number, 1, cores, 1) for number, cores in enumerate(sizes, 1)]))
    loss = lose(board, ["h-1"])
    assert loss.answer == "yes"


def test_what_is_too_much_by_size_is_proven_without_trying() -> None:
    hosts = [place(1, 40, 64), *(place(number, 10, 64) for number in range(2, 6))]
    too_large = snapshot(hosts, [guest(number, 1, 6, 1) for number in range(1, 6)])
    assert lose(Board(too_large), ["h-1"], steps=0).answer == "no", "30 of 40 cores, but a host holds one of six"
    too_many = snapshot(hosts, [guest(number, 1, 1, 1) for number in range(1, 42)])
    assert lose(Board(too_many), ["h-1"], steps=0).answer == "no"


def test_what_is_not_settled_is_open() -> None:
    hosts = [place(1, 40, 64), *(place(number, 10, 64) for number in range(2, 6))]
    sizes = [4] * 6 + [3] * 5  # 39 of 40 cores; a host that has two of four has no room for one of three
    board = Board(snapshot(hosts, [guest(number, 1, cores, 1) for number, cores in enumerate(sizes, 1)]))
    assert lose(board, ["h-1"], steps=20).answer == "open"
    assert lose(board, ["h-1"]).answer == "no"


def test_one_that_no_host_may_ever_get_is_proven_among_others_that_are_not_settled() -> None:
    """Whatever becomes of those: a host with one of its group has one, whoever else comes."""
    hosts = [place(number, 400, 400) for number in (1, 2, 3)]
    db = [guest(number, number, rules=APART) for number in (1, 2, 3)]
    web = [guest(number, 3, rules=Rules(group="web", spread="host")) for number in range(4, 20)]
    loss = lose(Board(snapshot(hosts, [*db, *web])), ["h-3"], steps=1000)
    assert (loss.answer, loss.left) == ("no", ("v-3",))


def test_all_of_a_rack() -> None:
    hosts = [place(number, 8, 8, f"r{(number + 1) // 2}") for number in range(1, 7)]
    board = Board(snapshot(hosts, [guest(number, number, 4, 4) for number in range(1, 5)]))
    told = lose_each(board, "rack")
    assert [loss.hosts for loss in told] == [("h-1", "h-2"), ("h-3", "h-4"), ("h-5", "h-6")]
    assert [loss.answer for loss in told] == ["yes"] * 3
    with pytest.raises(NotFound, match="row: no host has such a label"):
        lose_each(board, "row")


def test_too_many_combinations_are_refused() -> None:
    board = Board(snapshot([place(number) for number in range(1, 2001)], []))
    with pytest.raises(Refused, match="any:2: 1999000 combinations of 2000 hosts, 1000000 are the most"):
        prove(board, 2)
    with pytest.raises(Refused, match="any:2000: of 2000 hosts, from 1 to 1999"):
        prove(board, 2000)


def test_more_than_may_be_looked_at_is_never_a_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board(snapshot([place(n, 9, 9) for n in (1, 2, 3)], [guest(n, n, 3, 3) for n in (1, 2, 3)]))
    told = prove(board, 2)
    assert (told.answer, told.looked) == ("yes", 3)
    monkeypatch.setattr(proof, "LOOKS", 1)
    told = prove(board, 2)
    assert (told.answer, told.looked) == ("open", 1)


def test_the_trying_of_all_ways_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """With so many left open none but the first way is looked for any more, and what it does not find is open too."""
    board = Board(snapshot([place(number) for number in range(1, 9)], [guest(10, 1)]))
    tried: list[int] = []
    monkeypatch.setattr(proof, "TRIED", 2)

    def never_settled(board: Board, hosts: list[str], steps: int) -> Loss:
        tried.append(steps)
        return Loss(tuple(hosts), {}, ("v-10",), "open")

    monkeypatch.setattr(proof, "lose", never_settled)
    told = prove(board, 1)
    assert (told.answer, told.looked) == ("open", 8)
    assert [steps > 0 for steps in tried] == [True, True] + [False] * 6


def test_a_guest_counted_elsewhere_too_keeps_that_room() -> None:
    """A migration under way counts at both ends, and its destination may be lost as well."""
    hosts = [place(1), place(2), place(3)]
    board = Board(snapshot(hosts, [guest(1, 1, 6, also=("h-2",)), guest(2, 3, 4)]))
    assert lose(board, ["h-3"]).answer == "no"
    assert lose(board, ["h-2"]).displaced == 0
    assert lose(board, ["h-1"]).left == ("v-1",)


def test_a_reason_names_three_hosts_and_counts_the_rest() -> None:
    for hosts, more in ((3, "h3: needs 9 cores, 8 free"), (4, "and 1 more host"), (5, "and 2 more hosts")):
        told = why_not(Board(snapshot([place(number) for number in range(1, hosts + 1)], [guest(1, 0, 9)])), "v-1")
        assert told.split(", h")[0] == "h1: needs 9 cores, 8 free" and told.endswith(more)
