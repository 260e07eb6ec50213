"""The cluster as placement sees it, page by page, for plans that commands make: lines of `tashi.sched.plan.text`.

Hosts come first, then VMs, each by number. A page is of its own moment: what changes between two is told by the
generations that the lines of VMs carry.
"""

from __future__ import annotations

from bisect import bisect_right

from tashi.core import quota
from tashi.core.demands import demand_of
from tashi.core.placement import NONE, kept_for_others, request_of
from tashi.core.turn import Turn
from tashi.model.name import number_of
from tashi.model.vm import Moved, Vm, VmState, Waiting, claims
from tashi.sched.plan import text
from tashi.sched.plan.snapshot import Guest, Place
from tashi.wire.errors import Code, Refused
from tashi.wire.messages import ListDone, SnapshotBody

KINDS = ("host", "vm")


def page(turn: Turn, body: SnapshotBody, revision: int) -> tuple[ListDone, bytes]:
    """The next lines after the cursor, which counts what was told before it: kind, number, hosts, VMs."""
    kind, after, hosts, vms = _read_cursor(body.cursor)
    lines = [] if body.cursor else [text.write_cluster(revision, turn.now.wall, turn.state.index.policy)]
    ids = turn.state.ordered(kind)
    start = bisect_right(ids, after, key=number_of)
    some = ids[start : start + body.limit]
    if kind == "host":
        rates = _rates(turn)
        lines += [text.write_host(_place(turn, host, rates)) for host in some]
        hosts += len(some)
    else:
        guests = [guest for vm in some if (guest := _guest(turn, turn.state.vms[vm])) is not None]
        lines += [text.write_guest(guest) for guest in guests]
        vms += len(guests)
    if start + body.limit < len(ids):
        cursor = f"{kind}:{number_of(some[-1])}:{hosts}:{vms}"
    elif kind == "host":
        cursor = f"vm:0:{hosts}:{vms}"
    else:
        cursor = ""
        lines.append(text.write_end(hosts, vms))
    return ListDone(rows=len(lines), cursor=cursor), "".join(f"{line}\n" for line in lines).encode()


def _read_cursor(cursor: str) -> tuple[str, int, int, int]:
    if not cursor:
        return "host", 0, 0, 0
    kind, *numbers = cursor.split(":")
    if kind not in KINDS or len(numbers) != 3 or not all(each.isascii() and each.isdigit() for each in numbers):
        raise Refused(Code.BAD_REQUEST, "the cursor is not one that this controller gave")
    after, hosts, vms = (int(each) for each in numbers)
    return kind, after, hosts, vms


def _rates(turn: Turn) -> dict[str, Moved]:
    """For each host the last migration away from it that was measured."""
    last: dict[str, Moved] = {}
    for vm in turn.state.vms.values():
        moved = vm.moved
        if (
            moved is not None
            and moved.seconds
            and (moved.source not in last or last[moved.source].at_wall < moved.at_wall)
        ):
            last[moved.source] = moved
    return last


def _place(turn: Turn, host: str, rates: dict[str, Moved]) -> Place:
    moved = rates.get(host)
    rate = int(moved.bytes / moved.seconds) if moved is not None else 0
    return Place(turn.host_name(host), turn.state.index.rooms[host].supply, rate)


def _guest(turn: Turn, vm: Vm) -> Guest | None:
    """A VM that counts somewhere or waits for room; None for one that rests, or waits for `tvm-place`."""
    held = claims(vm)
    if not held and vm.waiting in (Waiting.NO, Waiting.UNPLACED):
        return None
    exclude = frozenset(vm.leftovers)
    pin = vm.pin if vm.waiting else ""
    kept = kept_for_others(turn.state, vm) if vm.waiting else NONE
    demand = demand_of(vm, quota.groups_of(turn.state, vm.owner), pin, exclude, kept)
    host = vm.host if vm.host in held else ""
    also = tuple(each for each in held if each != host)
    moved = vm.moved.at_wall if vm.moved is not None else 0.0
    asked = number_of(request_of(turn, vm)) if vm.waiting and vm.job else 0
    return Guest(vm.id, vm.name, demand, host, vm.generation, also, _stays(turn, vm), moved, asked)


def _stays(turn: Turn, vm: Vm) -> str:
    """Why it can't be moved now; empty when it can."""
    state, reason = turn.shown(vm)
    if vm.job:
        return f"locked by {vm.job}"
    if state is VmState.RUNNING:
        return ""
    return f"{state.value}: {reason}" if reason else state.value
