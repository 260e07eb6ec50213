"""The records in memory: tables by kind and id, one list to take changes back by, and what of them is stored.

Records are frozen; `put` replaces one. Each replacement is noted, so an event that fails, or a commit that does, is
taken back by `rollback`. What follows from the records is kept up by `tashi.core.state`, through `_derive`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from tashi.core.doubts import Restored
from tashi.core.policy import Ruling
from tashi.model.choice import Choice
from tashi.model.device import Pdu, Secret, Switch
from tashi.model.domain import Domain
from tashi.model.host import Host
from tashi.model.image import Image
from tashi.model.job import Job
from tashi.model.machine import Machine
from tashi.model.name import ID_LETTER, number_of
from tashi.model.reservation import Reservation
from tashi.model.usage import Tally
from tashi.model.user import Group, Key, User
from tashi.model.vm import Vm
from tashi.model.zoniagent import ZoniAgent

TYPES: dict[str, type[Any]] = {
    "vm": Vm, "host": Host, "image": Image, "user": User, "group": Group, "key": Key, "job": Job,
    "machine": Machine, "pdu": Pdu, "switch": Switch, "secret": Secret,
    "domain": Domain, "reservation": Reservation, "zoniagent": ZoniAgent,
}  # fmt: skip
NAMED = (
    "vm", "host", "image", "user", "group", "key", "machine", "pdu", "switch", "domain", "reservation", "zoniagent",
)  # fmt: skip
# What "meta" holds: counters of ids, and what else is said of the whole.
META: dict[str, Any] = dict.fromkeys(ID_LETTER, int) | {
    "cluster": str, "restored": Restored, "certificate": int, "revocation": int, "revoked": dict[str, float],
    "policy": Ruling,
}  # fmt: skip
UNTOLD = ("meta", "request", "usage", "clock", "passed", "secret")  # tables whose changes are nobody's news
NEWS = (("meta", "policy"),)  # but for these
UNSTORED = ("clock", "passed")
DONE_KEPT = 1000  # ended operations that stay in memory for tjob-list
WORKING = ("meta", *TYPES, "usage")  # tables that are loaded at a start
_STORED = TYPES | {"done": Job, "usage": Tally, "decision": Choice}
_DECODERS = {table: msgspec.json.Decoder(kind) for table, kind in _STORED.items()}
_encode = msgspec.json.Encoder().encode


class Answered(msgspec.Struct, frozen=True):
    """What a request got: the hash of its verb and body, and the answer, to be given again."""

    hash: str
    ok: msgspec.Raw
    revision: int = 0


class Records:
    """Tables of records by id. ``_derive``: table -> what is to follow a change of one of its records."""

    def __init__(self) -> None:
        self.vms: dict[str, Vm] = {}
        self.hosts: dict[str, Host] = {}
        self.images: dict[str, Image] = {}
        self.users: dict[str, User] = {}
        self.groups: dict[str, Group] = {}
        self.keys: dict[str, Key] = {}
        self.jobs: dict[str, Job] = {}  # those that run
        self.done: dict[str, Job] = {}  # those that ended lately; all of them are in the store
        self.requests: dict[str, Answered] = {}  # those of the batch that is not durable yet
        self.decisions: dict[str, Choice] = {}  # those of the batch, and those looked up for it
        self.usage: dict[str, Tally] = {}
        self.machines: dict[str, Machine] = {}
        self.pdus: dict[str, Pdu] = {}
        self.switches: dict[str, Switch] = {}
        self.secrets: dict[str, Secret] = {}
        self.domains: dict[str, Domain] = {}
        self.reservations: dict[str, Reservation] = {}
        self.zoniagents: dict[str, ZoniAgent] = {}
        self.clocks: dict[str, Any] = {}  # how time was kept so far; not stored, but taken back by `rollback`
        self.passed: dict[str, int] = {}  # operation whose VMs wait -> who passed it, see placement; not stored
        self.meta: dict[str, Any] = {}  # counters by kind, and what else is said of the whole (META)
        self.tables: dict[str, dict[str, Any]] = {
            "vm": self.vms,
            "host": self.hosts,
            "image": self.images,
            "user": self.users,
            "group": self.groups,
            "key": self.keys,
            "job": self.jobs,
            "meta": self.meta,
            "done": self.done,
            "request": self.requests,
            "decision": self.decisions,
            "usage": self.usage,
            "clock": self.clocks,
            "passed": self.passed,
            "machine": self.machines,
            "pdu": self.pdus,
            "switch": self.switches,
            "secret": self.secrets,
            "domain": self.domains,
            "reservation": self.reservations,
            "zoniagent": self.zoniagents,
        }
        self.names: dict[str, dict[str, tuple[str, ...]]] = {table: {} for table in NAMED}
        self._ordered: dict[str, list[str]] = {}  # ids by table, of tables that did not gain or lose any since
        self._undo: list[tuple[tuple[str, str], Any]] = []  # (table, key), and the record before
        self._derive: dict[str, Callable[[str, Any, Any], None]] = {}

    # -- changing ---------------------------------------------------------------------------------------------------
    def put(self, table: str, key: str, new: Any) -> None:
        """Replace (or with None remove) a record; remembered for `rollback` and `puts_since`."""
        records = self.tables[table]
        old = records.get(key)
        if old is not new:
            self._undo.append(((table, key), old))
            self._apply(records, table, key, old, new)

    def next_number(self, kind: str) -> int:
        """The next number of a kind: never given twice, whatever is undone by hand."""
        number: int = self.meta.get(kind, 0) + 1
        self.put("meta", kind, number)
        return number

    def counted(self, kind: str) -> int:
        """The last number given of a kind."""
        return int(self.meta.get(kind, 0))

    def mark(self) -> int:
        return len(self._undo)

    def rollback(self, mark: int) -> None:
        """Be as at ``mark``."""
        undo = self._undo
        while len(undo) > mark:
            (table, key), old = undo.pop()
            records = self.tables[table]
            self._apply(records, table, key, records.get(key), old)

    def forget_undo(self) -> None:
        """What has been done is durable."""
        self._undo.clear()
        self.requests.clear()
        self.decisions.clear()
        while len(self.done) > DONE_KEPT:
            del self.done[next(iter(self.done))]

    def touched(self, mark: int) -> dict[tuple[str, str], Any]:
        """(table, key) -> record before, for all news since ``mark``, in order of first change."""
        first: dict[tuple[str, str], Any] = {}
        for where, old in self._undo[mark:]:
            if (where[0] not in UNTOLD or where in NEWS) and where not in first:
                first[where] = old
        return first

    def puts_since(self, mark: int) -> list[tuple[str, str, bytes | None]]:
        """The newest value of each key changed since ``mark``, encoded; None where it was removed."""
        puts: list[tuple[str, str, bytes | None]] = []
        tables = self.tables
        for table, key in dict.fromkeys(where for where, _ in self._undo[mark:]):
            if table not in UNSTORED:
                record = tables[table].get(key)
                puts.append((table, key, None if record is None else _encode(record)))
        return puts

    def load(self, table: str, rows: Iterable[tuple[str, bytes]]) -> None:
        """(key, value) of a table of the store, at start."""
        if table == "meta":
            known = ((key, value) for key, value in rows if key in META)
            loaded = {key: msgspec.json.decode(value, type=META[key]) for key, value in known}
        else:
            decode = _DECODERS[table].decode
            loaded = {key: decode(value) for key, value in rows}
        self.tables[table].update(loaded)
        self._ordered.pop(table, None)
        self._loaded(table, loaded)

    # -- looking ----------------------------------------------------------------------------------------------------
    @property
    def revoked(self) -> dict[str, float]:
        """Certificates that are not to be believed: number -> wall-clock instant at which they end by themselves."""
        return self.meta.get("revoked") or {}

    def ordered(self, table: str) -> list[str]:
        """The ids of a table in order of their numbers."""
        if table not in self._ordered:
            self._ordered[table] = sorted(self.tables[table], key=number_of)
        return self._ordered[table]

    # -- inside -----------------------------------------------------------------------------------------------------
    def _loaded(self, table: str, records: dict[str, Any]) -> None:
        if table in self._derive:
            for key, record in records.items():
                self._derive[table](key, None, record)

    def _apply(self, records: dict[str, Any], table: str, key: str, old: Any, new: Any) -> None:
        if new is None:
            records.pop(key, None)
        else:
            records[key] = new
        if table in self._derive:
            if old is None or new is None:
                self._ordered.pop(table, None)
            self._derive[table](key, old, new)

    def _apply_name(self, table: str, key: str, old: Any, new: Any) -> None:
        if old is not None and new is not None and old.name == new.name:
            return
        names = self.names[table]
        if old is not None:
            rest = tuple(other for other in names.get(old.name, ()) if other != key)
            if rest:
                names[old.name] = rest
            else:
                names.pop(old.name, None)
        if new is not None:
            names[new.name] = (*names[new.name], key) if new.name in names else (key,)
