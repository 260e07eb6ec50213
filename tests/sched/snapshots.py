"""Small clusters as plans see them, made by hypothesis or by hand."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from tashi.sched.demand import Demand, Rules
from tashi.sched.filters import Question
from tashi.sched.plan.snapshot import Guest, Place, Snapshot, to_be_moved
from tashi.sched.policy import Policy
from tashi.sched.supply import Supply
from tashi.sched.view import View

GIB = 2**30
WALL = 1_000_000.0


def place(number: int, cores: int = 8, memory: int = 8, rack: str = "", **more: Any) -> Place:
    """A host h<number>; memory in GiB."""
    labels = frozenset({("rack", rack)}) if rack else frozenset()
    return Place(f"h{number}", Supply(f"h-{number}", cores, memory * GIB, labels=labels, **more))


def guest(
    number: int, host: int = 0, cores: int = 1, memory: int = 1, rules: Rules | None = None, **more: Any
) -> Guest:
    """A VM vm<number> on h-<host>, which waits when that is 0; memory in GiB."""
    own = {key: more.pop(key) for key in ("stays", "moved_wall", "also", "generation", "asked") if key in more}
    demand = Demand(cores, memory * GIB, rules=rules or Rules(), **more)
    return Guest(f"v-{number}", f"vm{number}", demand, f"h-{host}" if host else "", **own)


def snapshot(hosts: list[Place], guests: list[Guest], policy: Policy | None = None) -> Snapshot:
    return Snapshot(
        7, WALL, policy or Policy(), {each.supply.host: each for each in hosts}, {each.id: each for each in guests}
    )


group_names = st.sampled_from(["red", "blue"])
rules = st.one_of(
    st.just(Rules()),
    st.builds(lambda group: Rules(group=group, apart=(group,)), group_names),
    st.builds(lambda group, label, skew: Rules(group=group, spread=label, skew=skew), group_names,
              st.sampled_from(["rack", "host"]), st.integers(1, 2)),
    st.builds(lambda group, other: Rules(group=group, together=(other,)), group_names, group_names),
)  # fmt: skip


@st.composite
def snapshots(
    draw: st.DrawFn, most_hosts: int = 5, most_guests: int = 7, orders: tuple[str, ...] = ("pack", "spread")
) -> Snapshot:
    """Hosts and guests of which any may break any rule."""
    hosts = [
        Place(
            f"h{number}",
            Supply(
                f"h-{number}",
                draw(st.integers(2, 6)),
                draw(st.integers(2, 6)) * GIB,
                cores_ratio=draw(st.sampled_from([Fraction(1), Fraction(3, 2)])),
                closed=draw(st.sampled_from(["", "", "", "", "draining"])),
                labels=draw(st.sampled_from([frozenset({("rack", "r1")}), frozenset({("rack", "r2")}), frozenset()])),
            ),
            draw(st.sampled_from([0, GIB])),
        )
        for number in range(1, draw(st.integers(2, most_hosts)) + 1)
    ]
    ids = [each.supply.host for each in hosts]
    guests = []
    for number in range(1, draw(st.integers(0, most_guests)) + 1):
        host = draw(st.sampled_from(ids))
        pin = draw(st.sampled_from([""] * 9 + ids[:1]))
        also = draw(st.sampled_from([()] * 9 + [tuple(each for each in ids[:1] if each != host)]))
        demand = Demand(draw(st.integers(1, 4)), draw(st.integers(1, 4)) * GIB, pin=pin, rules=draw(rules))
        stays = draw(st.sampled_from([""] * 9 + ["locked by j-1"]))
        guests.append(Guest(f"v-{number}", f"vm{number}", demand, host, 1, also, stays))
    return snapshot(hosts, guests, Policy(order=draw(st.sampled_from(orders))))


def view_of(snap: Snapshot, at: dict[str, str], closed: tuple[str, ...] = ()) -> View:
    """The cluster with guests on these hosts, those ``closed`` lost, built from nothing."""
    view = View()
    for host, there in snap.hosts.items():
        view.set_host(there.supply._replace(closed="lost") if host in closed else there.supply)
    for each in snap.guests.values():
        for host in each.also:
            if host not in closed:
                view.claim(host, to_be_moved(each))
    for name, host in at.items():
        view.claim(host, to_be_moved(snap.guests[name]))
    return view


def homes(snap: Snapshot) -> dict[str, str]:
    return {each.id: each.host for each in snap.guests.values() if each.host}


def may_come(snap: Snapshot, at: dict[str, str], guest: str, host: str, closed: tuple[str, ...] = ()) -> bool:
    """Whether the filters let a guest, on no host in ``at``, come to this one: asked of a cluster made for it."""
    assert guest not in at
    view = view_of(snap, at, closed)
    return Question(view, to_be_moved(snap.guests[guest]), snap.policy, snap.wall).fits(view.rooms[host])


def wrongs(snap: Snapshot, at: dict[str, str], closed: tuple[str, ...] = ()) -> set[tuple[str, str]]:
    """(guest, filter) of all that is against somebody's being where it is."""
    found = set()
    for guest, host in at.items():
        view = view_of(snap, {each: there for each, there in at.items() if each != guest}, closed)
        question = Question(view, to_be_moved(snap.guests[guest]), snap.policy, snap.wall)
        found |= {
            (guest, each.filter)
            for each in question.refusals(view.rooms[host])
            if each.filter not in ("state", "health", "leftover", "queue")
        }
    return found
