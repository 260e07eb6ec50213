"""Lists and status: rows picked, filtered and formatted here, so that a command only writes bytes."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from tashi.core import check, choices, divergence, explain, server_keys, snapshot
from tashi.core.doubts import Restored
from tashi.core.metrics import measure
from tashi.core.turn import Turn
from tashi.core.usage import usage
from tashi.core.views import Getter, getter_of, value_of
from tashi.model.fields import FIELDS, Field, field, joined
from tashi.model.name import kind_of_id, number_of
from tashi.model.units import format_seconds, format_size, parse_size
from tashi.wire.errors import Code, NotFound, Refused, TashiError, retry_helps
from tashi.wire.messages import ListBody, ListDone, Problem

if TYPE_CHECKING:
    from tashi.core.cluster import Cluster

COMPUTED: dict[str, Callable[[Turn, Cluster], list[Any]]] = {
    "difference": lambda turn, cluster: divergence.differences(turn),
    "finding": check.findings,
}
_encode = msgspec.json.Encoder().encode
_FILTER = re.compile(r"([a-z_]+)(!=|=~|>=|<=|=|>|<)(.*)", re.DOTALL)
_CONTROL = {number: f"\\x{number:02x}" for number in (*range(32), 127)}
PATTERN_MAX = 200


def answer(turn: Turn, verb: str, body: Any, cluster: Cluster) -> tuple[Any, bytes | None]:
    """(first frame's content, rows) for a verb that changes nothing."""
    if verb == "status":
        return _status(turn, cluster), None
    if verb == "usage":
        return usage(turn, body), None
    if verb == "explain":
        return explain.explain(turn, body), None
    if verb == "decision":
        return choices.show(turn, body), None
    if verb == "slots":
        return explain.slots(turn, body), None
    if verb == "snapshot":
        return snapshot.page(turn, body, cluster.revision)
    if verb == "metrics":
        return measure(turn, cluster), None
    return _list(turn, body, cluster)


def ids_for(turn: Turn, refs: Iterable[str]) -> list[str]:
    """Ids of objects named by name or id, of any kind. Raises NotFound for a name that nothing visible has."""
    ids = []
    for ref in refs:
        if kind_of_id(ref) is not None:
            ids.append(ref)
            continue
        known = [(kind, key) for kind, names in turn.state.names.items() for key in names.get(ref, ())]
        found = [key for kind, key in known if turn.visible(kind, turn.state.tables[kind][key])]
        if not found:
            raise NotFound(f"{ref}: no such object")
        ids += found
    return ids


def _status(turn: Turn, cluster: Cluster) -> dict[str, Any]:
    state = turn.state
    restored: Restored | None = state.meta.get("restored")
    vms: dict[str, int] = {}
    for vm in state.vms.values():
        if turn.visible("vm", vm):
            shown = value_of(turn, "vm", "state", vm)
            vms[shown] = vms.get(shown, 0) + 1
    hosts: dict[str, int] = {}
    for host in state.hosts.values():
        health = value_of(turn, "host", "health", host)
        hosts[health] = hosts.get(health, 0) + 1
    return {
        "epoch": cluster.epoch,
        "revision": cluster.revision,
        "hosts": hosts,
        "hosts_unknown": sorted(turn.host_name(host) for host in state.unknown_hosts if host in state.hosts),
        "zoni_unknown": sorted(each.name for each in state.zoniagents.values() if each.silent),
        "vms": vms,
        "machines": Counter(value_of(turn, "machine", "state", each) for each in state.machines.values()),
        "jobs_running": sum(1 for job in state.jobs.values() if turn.visible("job", job)),
        "waiting": sum(1 for vm in state.waiting if turn.visible("vm", state.vms[vm])),
        "pool_bytes": state.pool.capacity_bytes,
        "pool_used_bytes": state.pool.used_bytes,
        "grace": state.gathering(turn.now.monotonic),
        "differences": len(divergence.differences(turn)),
        "restored_at": restored.at if restored is not None else None,
        "uncompared": sorted(turn.host_name(host) for host in state.doubts.uncompared),
        "server_keys": [key.public for key in turn.settings.server_keys],
        "with_old_key": sum(1 for _ in server_keys.behind(turn)),
        "policy": state.index.policy.order,
        "policy_version": state.index.policy.version,
        "settings_refused": state.settings_refused or None,
        "you": turn.who.name,
        "role": turn.who.role,
    }


class _Column(NamedTuple):
    field: Field
    get: Getter


class _Cursor(NamedTuple):
    number: int  # of the last id that was given
    widths: list[int]


def _list(turn: Turn, body: ListBody, cluster: Cluster) -> tuple[ListDone, bytes]:
    """One page. Columns keep the widths of the first page, or grow."""
    noun = body.noun
    fields = _fields(noun, body)
    tests = [test(turn, noun, text) for text in body.where]
    cursor = _read_cursor(body.cursor)
    missing: dict[str, Problem] = {}
    records: list[Any] = []
    more = False
    found = _computed if body.noun in COMPUTED else _candidates
    for record in found(turn, body, cursor.number, missing, cluster):
        if all(each(record) for each in tests):
            if len(records) == body.limit:
                more = True
                break
            records.append(record)
    columns = [_Column(each, getter_of(noun, each.key)) for each in fields]
    if body.format == "table":
        rows, header, widths = _table(turn, columns, records, cursor.widths)
    else:
        rows, header, widths = b"".join([_FORMATS[body.format](turn, columns, each) for each in records]), "", []
    after = f"{_number_of(records[-1])}:{','.join(map(str, widths))}" if more else ""
    return ListDone(rows=len(records), header=header, cursor=after, missing=missing), rows


def _read_cursor(text: str) -> _Cursor:
    if not text:
        return _Cursor(0, [])
    ident, _, widths = text.partition(":")
    try:
        return _Cursor(int(ident), [int(width) for width in widths.split(",") if width])
    except ValueError:
        raise Refused(Code.BAD_REQUEST, "the cursor is not one that this controller gave") from None


def _computed(turn: Turn, body: ListBody, after: int, missing: dict[str, Problem], cluster: Cluster) -> Iterable[Any]:
    """What is no record but follows from them, in the order that it has; for operators."""
    if not turn.sees_all():
        raise Refused(
            Code.DENIED, f"list {body.noun}: needs the role operator; {turn.who.name} has {turn.who.role} here"
        )
    every = COMPUTED[body.noun](turn, cluster)
    for ref in body.names:
        if not any(ref in (each.id, each.name) for each in every):
            missing[ref] = Problem(Code.NOT_FOUND, f"{ref}: no such {body.noun}")
    return [
        each for each in every if each.number > after and (not body.names or {each.id, each.name} & set(body.names))
    ]


def _candidates(turn: Turn, body: ListBody, after: int, missing: dict[str, Problem], cluster: Cluster) -> Iterable[Any]:
    """Records in the order asked for, or of their ids; only those that the caller may see."""
    if body.names:
        for ref in body.names:
            try:
                record = turn.find(body.noun, ref)
            except TashiError as error:
                missing[ref] = Problem(error.code, error.text, error.hint, retry_helps(error.code))
            else:
                if not after or number_of(record.id) > after:
                    yield record
        return
    table, ids = turn.state.tables[body.noun], turn.state.ordered(body.noun)
    if body.noun == "job":
        table = table | {job.id: job for job in turn.state.done.values()}
        ids = sorted(table, key=number_of)
    for at in range(bisect_right(ids, after, key=number_of), len(ids)):
        record = table[ids[at]]
        if turn.visible(body.noun, record):
            yield record


def _number_of(record: Any) -> int:
    return record.number if hasattr(record, "number") else number_of(record.id)


def _fields(noun: str, body: ListBody) -> list[Field]:
    """The fields asked for: ``a,b`` picks, ``+c`` adds to those shown unasked; JSON has all unless told otherwise."""
    every = list(FIELDS[noun])
    usual = every if body.format == "json" or body.full else [each for each in every if each.shown]
    if not body.fields:
        return usual
    picked: list[Field] = []
    for word in body.fields.split(","):
        found = field(noun, word.removeprefix("+"))
        if found is None:
            known = ", ".join(each.key for each in every)
            raise Refused(Code.BAD_REQUEST, f"-o {word}: no such field", f"there are: {known}")
        picked.append(found)
    added = [each for each in picked if each not in usual]
    return usual + added if body.fields.startswith("+") else picked


def test(turn: Turn, noun: str, text: str) -> Callable[[Any], bool]:
    """A filter as typed, as a function of a record."""
    found = _FILTER.fullmatch(text)
    if found is None:
        raise Refused(
            Code.BAD_REQUEST, f"{text!r}: not a filter", "write key=value, key!=value, key=~regexp, key>number"
        )
    key, sign, wanted = found[1], found[2], found[3]
    known = field(noun, key) or field(noun, f"{key}_bytes") or field(noun, f"{key}s")
    if known is None:
        keys = ", ".join(each.key for each in FIELDS[noun])
        raise Refused(Code.BAD_REQUEST, f"{text!r}: {noun} has no field {key}", f"there are: {keys}")
    key = known.key
    if sign in (">", "<", ">=", "<="):
        return _compare(turn, noun, known, sign, wanted, text)
    if sign == "=~":
        pattern = _pattern(wanted, text)
        return lambda record: pattern.search(_plain(value_of(turn, noun, key, record))) is not None
    same = sign == "="
    exact = _number(known, wanted)
    return lambda record: _equals(value_of(turn, noun, key, record), wanted, exact) is same


def _equals(value: Any, wanted: str, exact: float | None) -> bool:
    if isinstance(value, (int, float)) and exact is not None:
        return value == exact
    return _plain(value) == wanted or (isinstance(value, list) and any(_plain(each) == wanted for each in value))


def _pattern(wanted: str, text: str) -> re.Pattern[str]:
    """A regular expression that can't take for ever: short, and without repeated groups or back references."""
    if len(wanted) > PATTERN_MAX or re.search(r"\)[*+?{]|\\[1-9]|\(\?", wanted):
        raise Refused(Code.BAD_REQUEST, f"{text[:80]!r}: this regular expression is too powerful to run here")
    try:
        return re.compile(wanted)
    except (re.error, OverflowError, RecursionError) as wrong:
        raise Refused(Code.BAD_REQUEST, f"{text!r}: {wrong}") from None


def _compare(turn: Turn, noun: str, known: Field, sign: str, wanted: str, text: str) -> Callable[[Any], bool]:
    limit = _number(known, wanted)
    if limit is None:
        raise Refused(Code.BAD_REQUEST, f"{text!r}: {wanted!r} is not a number")
    order: dict[str, Callable[[float], bool]] = {
        ">": lambda value: value > limit,
        "<": lambda value: value < limit,
        ">=": lambda value: value >= limit,
        "<=": lambda value: value <= limit,
    }

    def compare(record: Any) -> bool:
        value = value_of(turn, noun, known.key, record)
        return isinstance(value, (int, float)) and order[sign](value)

    return compare


def _number(known: Field, wanted: str) -> float | None:
    try:
        return parse_size(wanted) if known.kind == "size" else float(wanted)
    except ValueError:
        return None


def _plain(value: Any) -> str:
    """A value exactly, for programs."""
    if isinstance(value, str):
        return str(value)
    if value is None:
        return ""
    if isinstance(value, dict):
        return ",".join(f"{key}={item}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return joined([str(item) for item in value])
    return str(value)


def _human(known: Field, value: Any) -> str:
    """A value for people: sizes with a unit, nothing as a dash."""
    if isinstance(value, str):
        return _shown(value) or "-"
    if value is None or value == [] or value == {}:
        return "-"
    if known.kind == "size":
        return format_size(value)
    if known.kind == "seconds":
        return format_seconds(value)
    return _shown(_plain(value))


def _shown(text: str) -> str:
    """Without control characters: they would do things to a terminal, or to a line."""
    return text if text.isprintable() else text.translate(_CONTROL)


def _json_row(turn: Turn, columns: list[_Column], record: Any) -> bytes:
    row = {}
    for column in columns:
        value = column.get(turn, record)
        row[column.field.key] = None if value == "" else value
    return bytes(_encode(row)) + b"\n"


def _tab_row(turn: Turn, columns: list[_Column], record: Any) -> bytes:
    return "\t".join([_shown(_plain(column.get(turn, record))) for column in columns]).encode() + b"\n"


def _name_row(turn: Turn, columns: list[_Column], record: Any) -> bytes:
    return f"{record.name}\n".encode()


_FORMATS = {"json": _json_row, "tabs": _tab_row, "name": _name_row}


def _table(turn: Turn, columns: list[_Column], records: list[Any], former: list[int]) -> tuple[bytes, str, list[int]]:
    fields = [column.field for column in columns]
    cells = [[_human(field, get(turn, record)) for record in records] for field, get in columns]
    widths = former if len(former) == len(fields) else [max(each.width, len(each.header)) for each in fields]
    widths = [max(width, *map(len, column)) if column else width for width, column in zip(widths, cells, strict=True)]
    pads = [str.rjust if each.kind in ("size", "count", "seconds") else str.ljust for each in fields]
    header = [[each.header] for each in fields]

    def lines(cells: list[list[str]]) -> list[str]:
        padded = [[pad(text, width) for text in column] for column, pad, width in zip(cells, pads, widths, strict=True)]
        return ["  ".join(row).rstrip() + "\n" for row in zip(*padded, strict=True)]

    return "".join(lines(cells)).encode(), "".join(lines(header)), widths
