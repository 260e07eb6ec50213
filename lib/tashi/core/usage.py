"""Who used how much: a ledger of what was claimed when, and what follows from it for any span of days.

Theory of operation. Nothing is counted while time passes. When a VM gets or loses a host, its disk or its owner, the
claims of its owner and of its host rise or fall, and that is noted in the transaction that stores the VM: so it is
neither lost nor counted twice, whatever crashes. An amount is the area below a level. A change by ``level`` at the
instant ``at`` has made ``level * (end - at)`` by ``end``, so of all the changes of a day two sums are enough:

    used by end = sum over days begun before it of  level * (end - begin) - late,  late = sum of level * (at - begin)

which is exact where ``end`` is the end of a day, or now. What was used in between is a difference. Days that are old
are added to their months; from then on it is exact at the ends of months.

Time goes as the monotonic clock goes. When the wall clock is set, all levels end at the old time and begin at the new
one: the difference is nobody's. At a start the ledger is made to agree with the records, so one that an older version
wrote begins to count there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from tashi.core.quota import group_of
from tashi.core.state import State
from tashi.core.turn import Turn
from tashi.model.units import day_of, month_begin, stamp
from tashi.model.usage import Amounts, Levels, Tally
from tashi.model.vm import Vm, claims
from tashi.wire.errors import Code, Refused
from tashi.wire.messages import Usage, UsageBody, Used

DAYS_KEPT = 62  # so many days before this one are kept apart
FOLDED_AT_ONCE = 1000
DAY = 86400
STEP_SECONDS = 1.0  # the wall clock was set when it is off by more
GIB = 2**30

NOTHING: Levels = (0, 0, 0)


class Clock(NamedTuple):
    """``ahead``: wall less monotonic seconds. ``folded``: the day (since 1970) on which old days were last folded."""

    ahead: float
    folded: int = 0


# -- writing ----------------------------------------------------------------------------------------------------------
def account(turn: Turn, touched: dict[tuple[str, str], Any]) -> None:
    """Note what this turn's changes (record before, by table and id) mean for the ledger. Once, at the turn's end."""
    state = turn.state
    clock: Clock | None = state.clocks.get("usage")
    if clock is None:
        _begin(turn)
        return
    if abs(turn.now.wall - turn.now.monotonic - clock.ahead) > STEP_SECONDS:
        clock = _set_clock(turn, clock)
    at = turn.now.monotonic + clock.ahead
    for (table, key), before in touched.items():
        if table == "vm":
            _changed(state, at, before, state.vms.get(key))
    if int(at // DAY) != clock.folded:
        _fold(state, clock, int(at // DAY))


def levels(vm: Vm | None) -> dict[tuple[str, str], Levels]:
    """What a VM claims, by whose: its owner's disk, and while a host's room is its, that host's and its owner's."""
    if vm is None:
        return {}
    if vm.host not in claims(vm):
        return {("user", vm.owner): (0, 0, vm.disk_bytes)}
    return {
        ("user", vm.owner): (vm.cores, vm.memory_bytes, vm.disk_bytes),
        ("host", vm.host): (vm.cores, vm.memory_bytes, 0),
    }


def _changed(state: State, at: float, before: Vm | None, after: Vm | None) -> None:
    had, has = levels(before), levels(after)
    for who, level in has.items():
        _note(state, at, who, _less(level, had.pop(who)) if who in had else level)
    for who, level in had.items():
        _note(state, at, who, _less(NOTHING, level))


def _note(state: State, at: float, who: tuple[str, str], rise: Levels) -> None:
    if rise == NOTHING:
        return
    begin = int(at // DAY) * DAY
    _add(state, who, day_of(begin), begin, rise, _times(rise, at - begin))


def _add(state: State, who: tuple[str, str], period: str, begin: int, level: Levels, late: Amounts) -> None:
    kind, name = who
    key = f"{period}/{kind}/{name}"
    known = state.usage.get(key)
    if known is not None:
        level, late = _sum(known.level, level), _sum(known.late, late)
    state.put("usage", key, Tally(kind, name, period, begin, level, late))


def _begin(turn: Turn) -> None:
    """The first turn after a start: what the ledger holds and what the records say must be the same from here on."""
    state = turn.state
    wanted, known = claimed(state), noted(state)
    for who in wanted | known:
        _note(state, turn.now.wall, who, _less(wanted.get(who, NOTHING), known.get(who, NOTHING)))
    state.put("clock", "usage", Clock(turn.now.wall - turn.now.monotonic))


def _set_clock(turn: Turn, clock: Clock) -> Clock:
    """All levels end at the old time and begin at the new one."""
    state = turn.state
    for who, level in noted(state).items():
        _note(state, turn.now.monotonic + clock.ahead, who, _less(NOTHING, level))
        _note(state, turn.now.wall, who, level)
    clock = clock._replace(ahead=turn.now.wall - turn.now.monotonic)
    state.put("clock", "usage", clock)
    return clock


def noted(state: State) -> dict[tuple[str, str], Levels]:
    """The levels now, as the ledger has them."""
    return _total(((tally.kind, tally.name), tally.level) for tally in state.usage.values())


def claimed(state: State) -> dict[tuple[str, str], Levels]:
    """The levels now, as the records have them: always the same."""
    return _total(each for vm in state.vms.values() for each in levels(vm).items())


def _total(each: Iterable[tuple[tuple[str, str], Levels]]) -> dict[tuple[str, str], Levels]:
    found: dict[tuple[str, str], list[int]] = {}
    for who, (cores, memory, disk) in each:
        total = found.get(who)
        if total is None:
            found[who] = [cores, memory, disk]
        else:
            total[0] += cores
            total[1] += memory
            total[2] += disk
    return {who: (total[0], total[1], total[2]) for who, total in found.items() if any(total)}


def _fold(state: State, clock: Clock, today: int) -> None:
    """Add the oldest days to their months, some at a time."""
    first_kept = (today - DAYS_KEPT) * DAY
    old = [key for key, tally in state.usage.items() if len(tally.period) > 7 and tally.begin < first_kept]
    for key in sorted(old)[:FOLDED_AT_ONCE]:
        tally = state.usage[key]
        begin = month_begin(tally.begin)
        late = _sum(tally.late, _times(tally.level, tally.begin - begin))
        state.put("usage", key, None)
        _add(state, (tally.kind, tally.name), tally.period[:7], begin, tally.level, late)
    if len(old) <= FOLDED_AT_ONCE:
        state.put("clock", "usage", clock._replace(folded=today))


# -- reading ----------------------------------------------------------------------------------------------------------
def usage(turn: Turn, body: UsageBody) -> Usage:
    """What was used from one instant to another, by user, group or host. Users see what they used themselves."""
    if body.by != "user" and not turn.sees_all():
        raise Refused(Code.DENIED, f"usage by {body.by}: needs the role operator", "--by user")
    begin, end = _span(turn, body)
    found: dict[str, list[float]] = {}
    for tally in _tallies(turn, body.by):
        name = group_of(turn.state, tally.name) if body.by == "group" else tally.name
        amounts = found.setdefault(name, [0.0, 0.0, 0.0])
        for at, made in enumerate(_between(tally, begin, end)):
            amounts[at] += made
    since = min((tally.begin for tally in turn.state.usage.values()), default=end)
    rows = [_used(turn, body.by, name, found[name]) for name in sorted(found)]
    return Usage(stamp(begin), stamp(end), day_of(since), [row for row in rows if row is not None])


def _used(turn: Turn, by: str, name: str, amounts: Sequence[float]) -> Used | None:
    """An answer's row, to thousandths: what is below them is the rounding of large numbers. None for nothing."""
    cores, memory, disk = (max(0.0, round(each, 3)) for each in (amounts[0], amounts[1] / GIB, amounts[2] / GIB))
    if not (cores or memory or disk):
        return None
    return Used(turn.host_name(name), cores, memory) if by == "host" else Used(name, cores, memory, disk)


def _span(turn: Turn, body: UsageBody) -> tuple[float, float]:
    """Both ends in seconds since 1970. Raises Refused for one at which the ledger is not exact."""
    clock: Clock | None = turn.state.clocks.get("usage")
    now = turn.now.wall if clock is None else turn.now.monotonic + clock.ahead
    first_kept = (int(now // DAY) - DAYS_KEPT) * DAY
    end = now if body.to_wall is None else min(now, body.to_wall)
    begin = month_begin(now) if body.from_wall is None else body.from_wall
    if begin > end:
        raise Refused(Code.BAD_REQUEST, f"from {stamp(begin)} to {stamp(end)}: that is no span")
    for instant in (begin, end):
        by_day = instant % DAY == 0 and instant >= first_kept
        if not (by_day or instant == now or instant == month_begin(instant)):
            raise Refused(
                Code.BAD_REQUEST,
                f"{day_of(instant)}: days before {day_of(first_kept)} are only kept by the month",
                "give the first day of a month",
            )
    return begin, end


def _tallies(turn: Turn, by: str) -> Iterator[Tally]:
    kind = "host" if by == "host" else "user"
    own = "" if turn.sees_all() else turn.who.name
    return (tally for tally in turn.state.usage.values() if tally.kind == kind and own in ("", tally.name))


def _between(tally: Tally, begin: float, end: float) -> Amounts:
    """What the changes of a tally's period made from one instant to another. Neither is within it, so those of before
    are in force all the while."""
    if tally.begin >= end:
        return (0.0, 0.0, 0.0)
    if tally.begin < begin:
        return _times(tally.level, end - begin)
    cores, memory, disk = _times(tally.level, end - tally.begin)
    return (cores - tally.late[0], memory - tally.late[1], disk - tally.late[2])


def _sum(one: Any, other: Any) -> Any:
    return (one[0] + other[0], one[1] + other[1], one[2] + other[2])


def _less(one: Any, other: Any) -> Any:
    return (one[0] - other[0], one[1] - other[1], one[2] - other[2])


def _times(level: Levels, seconds: float) -> Amounts:
    return (level[0] * seconds, level[1] * seconds, level[2] * seconds)
