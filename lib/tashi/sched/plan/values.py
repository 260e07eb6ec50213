"""The values in a snapshot's text: how each kind is written, and read again with its bounds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from tashi.model.name import kind_of_id
from tashi.sched.demand import Rules
from tashi.sched.policy import ALWAYS, Policy, parse_policy
from tashi.sched.supply import Reservation

MOST = 2**60  # of any number


class Kind(NamedTuple):
    """``read`` raises ValueError that says what the value should be."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def written(record: Any, kinds: Mapping[str, Kind], usual: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a record whose values are not the usual ones."""
    values = ((key, kind, getattr(record, key)) for key, kind in kinds.items())
    return {key: kind.write(value) for key, kind, value in values if key not in usual or value != usual[key]}


def values_of(record: Mapping[str, Any], kinds: Mapping[str, Kind], usual: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all keys, read, or as usual."""
    for key in record:
        if key not in kinds:
            raise ValueError(f"{key!r}: no such key; there are {', '.join(kinds)}")
    values = {}
    for key, kind in kinds.items():
        if key not in record:
            if key not in usual:
                raise ValueError(f"{key} is missing")
            values[key] = usual[key]
            continue
        try:
            values[key] = kind.read(record[key])
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
    return values


def _wrong(value: Any, wanted: str) -> ValueError:
    return ValueError(f"{json.dumps(value, default=str)[:60]} is not {wanted}")


def _read_count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
        raise _wrong(value, "a whole number from 0 to 2^60")
    return value


def _read_some(value: Any) -> int:
    if _read_count(value) == 0:
        raise _wrong(value, "a whole number from 1 to 2^60")
    return int(value)


def _read_wall(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10**11:
        raise _wrong(value, "seconds since 1970")
    return float(value)


def _read_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(value, "true or false")
    return value


def _read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(value, "text")
    return value


def _read_order(value: Any) -> str:
    if value not in ("pack", "spread"):
        raise _wrong(value, "pack or spread")
    return str(value)


def _read_ratio(value: Any) -> Fraction:
    try:
        ratio = Fraction(value) if isinstance(value, str) else Fraction(_read_count(value))
    except (ValueError, ZeroDivisionError):
        raise _wrong(value, "a ratio, such as 2 or 3/2") from None
    if not 0 < ratio <= 1000:
        raise _wrong(value, "a ratio above 0 and up to 1000")
    return ratio


def _read_texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise _wrong(value, "a list of texts")
    return tuple(value)


def _read_sizes(value: Any) -> tuple[tuple[str, int], ...]:
    if not isinstance(value, list) or not all(isinstance(each, list) and len(each) == 2 for each in value):
        raise _wrong(value, "a list of [name, bytes]")
    return tuple((_read_text(name), _read_count(size)) for name, size in value)


def _read_pairs(value: Any) -> tuple[tuple[str, str], ...]:
    texts = _read_texts(value)
    if not all(text.partition("=")[0] and "=" in text for text in texts):
        raise _wrong(value, "a list of KEY=VALUE")
    return tuple((text.partition("=")[0], text.partition("=")[2]) for text in texts)


def _write_pairs(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{key}={value}" for key, value in pairs]


def _read_id(noun: str) -> Callable[[Any], str]:
    def reader(value: Any) -> str:
        if not isinstance(value, str) or kind_of_id(value) != noun:
            raise _wrong(value, f"the id of a {noun}")
        return value

    return reader


def _read_policy(value: Any) -> Policy:
    if not isinstance(value, dict) or not set(value) <= {"order", "filters", "weights", "version"}:
        raise _wrong(value, "an object with order, filters, weights and version")
    filters = _read_texts(value["filters"]) if "filters" in value else None
    weights = value.get("weights", {})
    if not isinstance(weights, dict):
        raise _wrong(weights, "an object of weights")
    return parse_policy(_read_text(value.get("order", "pack")), filters, weights, _read_some(value.get("version", 1)))


def _write_policy(policy: Policy) -> dict[str, Any]:
    return {
        "order": policy.order,
        "filters": [name for name in policy.filters if name not in ALWAYS],
        "weights": {name: points / 1000 for name, points in policy.weights},
        "version": policy.version,
    }


def _record_of(make: Callable[..., Any], kinds: Mapping[str, Kind], usual: Mapping[str, Any]) -> Kind:
    """A named tuple inside another."""

    def reader(value: Any) -> Any:
        if not isinstance(value, dict):
            raise _wrong(value, "an object")
        return make(**values_of(value, kinds, usual))

    return Kind(lambda value: written(value, kinds, usual), reader)


def _same(value: Any) -> Any:
    return value


COUNT, SOME = Kind(_same, _read_count), Kind(_same, _read_some)
WALL, FLAG, TEXT, ORDER = (Kind(_same, each) for each in (_read_wall, _read_flag, _read_text, _read_order))
RATIO = Kind(str, _read_ratio)
TEXTS = Kind(list, _read_texts)
SET = Kind(sorted, lambda value: frozenset(_read_texts(value)))
SIZES = Kind(lambda value: [list(each) for each in value], _read_sizes)
PAIRS = Kind(_write_pairs, _read_pairs)
PAIR_SET = Kind(lambda value: sorted(_write_pairs(value)), lambda value: frozenset(_read_pairs(value)))
VM_ID, HOST_ID = Kind(_same, _read_id("vm")), Kind(_same, _read_id("host"))
HOSTS = Kind(list, lambda value: tuple(map(HOST_ID.read, _read_texts(value))))
HOST_SET = Kind(sorted, lambda value: frozenset(HOSTS.read(value)))
RULES = _record_of(
    Rules,
    {"group": TEXT, **dict.fromkeys(("apart", "together", "away", "near"), TEXTS), "spread": TEXT, "skew": SOME},
    Rules._field_defaults,
)
RESERVATION = _record_of(Reservation, {"users": SET, "groups": SET, "until_wall": WALL}, Reservation._field_defaults)
HOST_OR_NONE = Kind(_same, lambda value: "" if value == "" else HOST_ID.read(value))
POLICY = Kind(_write_policy, _read_policy)
