"""What a VM asks of its host besides room, read from a request: every name checked, every contradiction told."""

from __future__ import annotations

from tashi.model.name import check_name
from tashi.model.vm import Wish
from tashi.sched.demand import Demand, Rules, contradiction
from tashi.sched.filters import numbers_of
from tashi.wire.errors import Code, Refused
from tashi.wire.placing import Asks

NOTHING = Asks()


def wish_of(name: str, asks: Asks) -> Wish | None:
    """The wish of the VMs that are called so; None when nothing is asked.

    Who minds others of one request has them for its group unless it names one; its own is meant where ``apart`` has an
    empty name. Raises Refused (bad-request).
    """
    if asks == NOTHING:
        return None
    minds = bool(asks.spread or asks.apart or asks.together or asks.away or asks.near)
    group = asks.group or (name if minds else "")
    wish = Wish(
        group=group,
        apart=_groups(asks.apart, group),
        together=_groups(asks.together, group),
        away=_groups(asks.away, group),
        near=_groups(asks.near, group),
        spread=asks.spread,
        skew=asks.skew,
        labels=asks.labels,
        features=tuple(dict.fromkeys(asks.features)),
        versions=asks.versions,
        policy=asks.policy or "",
        fallback=asks.fallback,
    )
    for each in (wish.group, *wish.apart, *wish.together, *wish.away, *wish.near, *wish.labels, wish.spread):
        if each:
            _check(name, each)
    for program, least in wish.versions.items():
        if not numbers_of(least):
            raise Refused(Code.BAD_REQUEST, f"{name}: {program} {least!r}: a version begins with a number")
    rules = Rules(wish.group, wish.apart, wish.together, spread=wish.spread, skew=wish.skew)
    why = contradiction(Demand(1, 1, features=frozenset(wish.features), rules=rules))
    if why:
        raise Refused(Code.BAD_REQUEST, f"{name}: {why}")
    return wish


def _groups(names: list[str], own: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each or own for each in names))


def _check(name: str, text: str) -> None:
    try:
        check_name(text)
    except ValueError as problem:
        raise Refused(Code.BAD_REQUEST, f"{name}: {problem}") from None
