"""Questions as people type them: what is lost, what is added, and what the records tell."""

from __future__ import annotations

import pytest

from tashi.sched.plan.board import Board
from tashi.sched.plan.snapshot import Guest, Snapshot
from tashi.sched.plan.whatif import add_hosts, ask, record, rows
from tashi.wire.errors import Refused, TashiError
from tests.sched.snapshots import GIB, guest, place, snapshot


def small() -> Snapshot:
    """Three hosts in two racks; vm2 is too large for any but its own."""
    hosts = [place(1, 8, 8, "r1"), place(2, 8, 8, "r1"), place(3, 16, 16, "r2")]
    return snapshot(hosts, [guest(1, 1, 2, 2), guest(2, 3, 12, 12), guest(3, 0, 8, 8)])


def test_named_hosts_are_lost_together() -> None:
    board = Board(small())
    told = ask(board, "h1,h-2,h1")
    assert record(board, told) == {
        "lose": "h1,h-2,h1",
        "answer": "yes",
        "lost": ["h1", "h2"],
        "vms": 1,
        "left": [],
        "cases": 1,
        "looked": 1,
        "reason": None,
    }
    assert rows(board, told) == [
        {
            "lose": "h1,h-2,h1",
            "name": "vm1",
            "id": "v-1",
            "from": "h1",
            "to": "h3",
            "cores": 2,
            "memory_bytes": 2 * GIB,
            "reason": None,
        }
    ]


def test_who_is_left_is_told_why() -> None:
    board = Board(small())
    told = record(board, ask(board, "rack:r2"))
    assert (told["answer"], told["left"]) == ("no", ["vm2"])
    assert told["reason"] == (
        "vm2: h1: needs 12 cores, 6 free; needs 12G of memory, 6G free, "
        "h2: needs 12 cores, 8 free; needs 12G of memory, 8G free"
    )


@pytest.mark.parametrize(
    ("asked", "answer", "lost", "cases"), [("rack:any", "no", ["h3"], 2), ("any:1", "no", ["h3"], 3)]
)
def test_each_of_many_is_lost_and_the_worst_is_told(asked: str, answer: str, lost: list[str], cases: int) -> None:
    board = Board(small())
    told = record(board, ask(board, asked))
    assert (told["answer"], told["lost"], told["cases"]) == (answer, lost, cases)
    assert str(told["reason"]).startswith("vm2: h1: needs 12 cores")


def test_with_more_hosts_it_fits() -> None:
    more = add_hosts(small(), ["2x16c/16G"])
    assert [(each.name, each.supply.host, each.supply.cores) for each in more.hosts.values()][3:] == [
        ("new-1", "h-4", 16),
        ("new-2", "h-5", 16),
    ]
    assert ask(Board(more), "any:1").answer == "yes"


def test_those_that_wait() -> None:
    board = Board(small())
    assert ask(board, "nothing").answer == "yes"
    full = snapshot([place(1)], [guest(1, 1, 4), guest(2, 0, 6), guest(3, 0, 2)])
    board = Board(full)
    told = record(board, ask(board, "nothing"))
    assert (told["answer"], told["left"], told["vms"]) == ("no", ["vm2"], 2)
    assert told["reason"] == "vm2: h1: needs 6 cores, 4 free"
    assert ask(Board(add_hosts(full, ["1x8c/8G"])), "nothing").answer == "yes"


def test_those_that_wait_come_in_as_the_queue_lets_them() -> None:
    def waits(number: int, asked: int, owner: str, cores: int = 1, pin: str = "") -> Guest:
        return guest(number, 0, cores, 1, asked=asked, owner=owner, pin=pin)

    crowd = [
        waits(1, 1, "ann", 6), waits(2, 2, "ann"), waits(3, 3, "bob", 1), waits(4, 4, "bob", 2), waits(5, 4, "bob", 2),
        waits(6, 5, "cid", 9, "h-1"), waits(7, 6, "cid", 1),
    ]  # fmt: skip
    board = Board(snapshot([place(1, 4, 64)], crowd))
    told = ask(board, "nothing")
    assert told.answer == "no" and told.worst is not None
    assert told.worst.placed == {"v-3": "h-1", "v-7": "h-1"}
    assert dict(told.worst.reasons) == {
        "v-1": "h1: needs 6 cores, 4 free",
        "v-2": "ann has asked for vm1 before",
        "v-6": "h1: needs 9 cores, 3 free",  # for one host alone: those after it need not wait
        "v-4": "all or none, and vm5: h1: needs 2 cores, 1 free",
        "v-5": "h1: needs 2 cores, 1 free",
    }
    assert ask(Board(add_hosts(board.snapshot, ["1x16c/64G"])), "nothing").worst is not None
    assert board.at == {}, "as before"


def test_new_hosts_are_like_most() -> None:
    hosts = [place(n, 8, 8, "r1", features=frozenset({"accel=kvm"}), closed="draining") for n in (1, 2)] + [place(3)]
    new = add_hosts(snapshot(hosts, []), ["1x4c/4G"]).hosts["h-4"].supply
    assert (new.features, new.closed, new.labels) == (frozenset({"accel=kvm"}), "", frozenset())


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("h1,h9", "h9: no such host"),
        ("h1,", ": no such host"),
        ("rack:r9", "rack:r9: no host has this label"),
        ("row:any", "row: no host has such a label"),
        ("any:0", "any:0: any:1 is any one host"),
        ("any:two", "any:two: any:1 is any one host"),
        ("any:3", "any:3: of 3 hosts, from 1 to 2 may be lost"),
    ],
)
def test_what_is_not_there_is_named(asked: str, words: str) -> None:
    with pytest.raises(TashiError) as told:
        ask(Board(small()), asked)
    assert words in str(told.value)


@pytest.mark.parametrize(
    "typed", ["", "4", "0x4c/4G", "4x0c/4G", "-1x4c/4G", "4x4/4G", "4x4c/", "4x4c/0", "99999x4c/4G"]
)
def test_hosts_to_add_are_well_written(typed: str) -> None:
    with pytest.raises(Refused, match="--add"):
        add_hosts(small(), [typed])
    with pytest.raises(Refused, match="no hosts that new ones"):
        add_hosts(snapshot([], []), ["1x4c/4G"])
