"""A snapshot as text: one JSON object a line, first the cluster, then hosts, then VMs, then the end.

::

    {"kind":"cluster","revision":40,"wall":1795000000.0,"policy":{"order":"spread"}}
    {"kind":"host","id":"h-1","name":"h1","cores":64,"memory_bytes":274877906944,"labels":["rack=r1"]}
    {"kind":"vm","id":"v-1","name":"web","host":"h-1","generation":2,"cores":2,"memory_bytes":4294967296}
    {"kind":"end","hosts":1,"vms":1}

What is as usual is left out. Reading what was written gives the same snapshot. A line that is wrong is refused with its
number, the object and the key; so is a text without its last line, because half a cluster makes a wrong plan.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tashi.sched.demand import Demand
from tashi.sched.plan.snapshot import Guest, Place, Snapshot
from tashi.sched.plan.values import (
    COUNT,
    FLAG,
    HOST_ID,
    HOST_OR_NONE,
    HOST_SET,
    HOSTS,
    ORDER,
    PAIR_SET,
    PAIRS,
    POLICY,
    RATIO,
    RESERVATION,
    RULES,
    SET,
    SIZES,
    SOME,
    TEXT,
    VM_ID,
    WALL,
    values_of,
    written,
)
from tashi.sched.policy import Policy
from tashi.sched.supply import Supply


def write(snapshot: Snapshot) -> Iterator[str]:
    """The lines of a snapshot, without their newlines."""
    yield write_cluster(snapshot.revision, snapshot.wall, snapshot.policy)
    for place in snapshot.hosts.values():
        yield write_host(place)
    for guest in snapshot.guests.values():
        yield write_guest(guest)
    yield write_end(len(snapshot.hosts), len(snapshot.guests))


def write_cluster(revision: int, wall: float, policy: Policy) -> str:
    """The first line."""
    return _line({"kind": "cluster", "revision": revision, "wall": wall, "policy": POLICY.write(policy)})


def write_end(hosts: int, vms: int) -> str:
    """The last line, with what was written between."""
    return _line({"kind": "end", "hosts": hosts, "vms": vms})


def write_host(place: Place) -> str:
    """The line of one host."""
    more = {"link_bytes_per_second": place.link_bytes_per_second} if place.link_bytes_per_second else {}
    head = {"kind": "host", "id": place.supply.host, "name": place.name}
    return _line(head | more | written(place.supply, _SUPPLY, Supply._field_defaults))


def write_guest(guest: Guest) -> str:
    """The line of one VM."""
    own = written(guest, _GUEST, Guest._field_defaults)
    return _line({"kind": "vm"} | own | written(guest.demand, _DEMAND, Demand._field_defaults))


def read(lines: Iterable[str]) -> Snapshot:
    """The snapshot that these lines are. Raises ValueError that names the line, the object and what is wrong there."""
    reader = _Reader()
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                reader.take(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
    return reader.done()


class _Reader:
    def __init__(self) -> None:
        self.cluster: dict[str, Any] | None = None
        self.hosts: dict[str, Place] = {}
        self.guests: dict[str, Guest] = {}
        self.ended = False
        self._takers: dict[str, Callable[[dict[str, Any]], None]] = {
            "cluster": self._cluster,
            "host": self._host,
            "vm": self._vm,
            "end": self._end,
        }

    def take(self, line: str) -> None:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            raise ValueError("not JSON") from None
        if not isinstance(record, dict):
            raise ValueError("not a JSON object")
        kind = record.pop("kind", None)
        if kind not in self._takers:
            raise ValueError(f"kind is {kind!r}, not {', '.join(self._takers)}")
        if self.ended:
            raise ValueError(f"a {kind} after the end")
        if (self.cluster is None) != (kind == "cluster"):
            raise ValueError("a second cluster" if kind == "cluster" else "the first line is not the cluster's")
        try:
            self._takers[kind](record)
        except ValueError as error:
            raise ValueError(f"{kind} {record['id']}: {error}" if "id" in record else f"{kind}: {error}") from None

    def done(self) -> Snapshot:
        if self.cluster is None:
            raise ValueError("there is nothing: the first line is the cluster's")
        if not self.ended:
            raise ValueError("it breaks off: the last line is not the end's")
        return Snapshot(hosts=self.hosts, guests=self.guests, **self.cluster)

    def _cluster(self, record: dict[str, Any]) -> None:
        self.cluster = values_of(record, _CLUSTER, {"revision": 0, "wall": 0.0, "policy": Policy()})

    def _host(self, record: dict[str, Any]) -> None:
        values = values_of(record, _HOST, {"link_bytes_per_second": 0} | Supply._field_defaults)
        name, link = values.pop("name"), values.pop("link_bytes_per_second")
        host = values.pop("id")
        if host in self.hosts:
            raise ValueError("twice")
        self.hosts[host] = Place(name, Supply(host, **values), link)

    def _vm(self, record: dict[str, Any]) -> None:
        values = values_of(record, _GUEST | _DEMAND, Guest._field_defaults | Demand._field_defaults)
        demand = Demand(**{key: values.pop(key) for key in _DEMAND})
        guest = Guest(demand=demand, **values)
        if guest.id in self.guests:
            raise ValueError("twice")
        for host in (*([guest.host] if guest.host else []), *guest.also):
            if host not in self.hosts:
                raise ValueError(f"it is on {host}, and there is no such host before it")
        self.guests[guest.id] = guest

    def _end(self, record: dict[str, Any]) -> None:
        told = values_of(record, {"hosts": COUNT, "vms": COUNT}, {})
        for what, there in (("hosts", len(self.hosts)), ("vms", len(self.guests))):
            if told[what] != there:
                raise ValueError(f"{told[what]} {what}, but there were {there}")
        self.ended = True


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False)


_CLUSTER = {"revision": COUNT, "wall": WALL, "policy": POLICY}
_SUPPLY = {
    **dict.fromkeys(("cores", "memory_bytes", "kept_cores", "kept_memory_bytes"), COUNT),
    **dict.fromkeys(("cores_ratio", "memory_ratio"), RATIO),
    **dict.fromkeys(("foreign_cores", "foreign_memory_bytes"), COUNT),
    "disk": SIZES,
    **dict.fromkeys(("closed", "unwell"), TEXT),
    **dict.fromkeys(("features", "networks"), SET),
    "labels": PAIR_SET,
    "versions": PAIRS,
    "reservation": RESERVATION,
    "failures": COUNT,
}
_HOST = {"id": HOST_ID, "name": TEXT, "link_bytes_per_second": COUNT, **_SUPPLY}
_GUEST = {
    "id": VM_ID,
    "name": TEXT,
    "host": HOST_OR_NONE,
    "generation": COUNT,
    "also": HOSTS,
    "stays": TEXT,
    "moved_wall": WALL,
    "asked": COUNT,
}
_DEMAND = {
    **dict.fromkeys(("cores", "memory_bytes"), SOME),
    "disk": SIZES,
    **dict.fromkeys(("features", "networks"), SET),
    "labels": PAIR_SET,
    "versions": PAIRS,
    "owner": TEXT,
    "groups": SET,
    "rules": RULES,
    "pin": HOST_OR_NONE,
    "fallback": FLAG,
    "exclude": HOST_SET,
    "kept": HOST_SET,
    "order": ORDER,
    "local": SIZES,
}
