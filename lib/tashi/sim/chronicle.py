"""A scene's log: what a person would want to see of it. Records' states and reasons, answers, guests, faults.

Three sources: what the controller's records became (its change log, as it is committed), where guests run and how
machines are in truth (hypervisors and devices, after every event), and what befell programs and people. Times are
seconds since the scene began.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from msgspec.json import decode

from tashi.sim.devices import Devices
from tashi.sim.domain import Domain
from tashi.sim.hypervisor import Site
from tashi.sim.world import WALL_START, World

ENDED = ("done", "failed", "cancelled")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


class Chronicle:
    """``on_line`` sees each line as it is written: who, and what."""

    def __init__(self, world: World, site: Site, devices: Devices) -> None:
        self.world, self.site, self.devices = world, site, devices
        self.lines: list[str] = []
        self.on_line: Callable[[str], None] = lambda line: None
        self.began: float | None = None
        self._shown: dict[str, str] = {}  # object: what was said of it last
        self._there: dict[tuple[str, str], str] = {}  # (host, VM): how it is there
        self._machines: dict[str, str] = {}  # machine: how it is

    def begin(self) -> None:
        """The scene begins now; what was before is not told."""
        self.began = self.world.seconds

    def end(self) -> None:
        self.began = None

    def note(self, who: str, text: str) -> None:
        """A line."""
        if self.began is not None:
            text = _STAMP.sub(self._since, text)
            self.lines.append(f"{self.world.seconds - self.began:7.1f}  {who:<11} {text}")
            self.on_line(f"{who} {text}")

    def committed(self, entries: list[bytes]) -> None:
        """The change log has grown."""
        for entry in entries:
            self._record(decode(entry))

    def look(self) -> None:
        """Where guests are, and how machines are, after an event."""
        for machine in self.devices.plugs:
            vlans = ", ".join(map(str, sorted(self.devices.vlans(machine))))
            how = f"{'runs' if self.devices.is_on(machine) else 'is off'}, its ports pass {vlans or 'nothing'}"
            if self._machines.setdefault(machine, how) != how:
                self._machines[machine] = how
                self.note(machine, how)
        self._look_at_guests()

    def _look_at_guests(self) -> None:
        there = {}
        for host in self.site.hosts.values():
            for domain in host.domains.values():
                there[host.name, domain.vm] = f"{_how(domain)} {domain.guest.name}"
        if there == self._there:
            return
        before, self._there = self._there, there
        for at, vm in sorted(before.keys() | there.keys()):
            how = there.get((at, vm)) or f"has nothing more of {before[at, vm].rpartition(' ')[2]}"
            if how != before.get((at, vm)):
                self.note(at, how)

    def _record(self, entry: dict[str, Any]) -> None:
        kind, ident, state, reason = entry["kind"], entry["id"], entry["state"], entry.get("reason")
        if kind == "decision":
            return  # who asked is told what came of it
        if kind == "job":
            if state not in ENDED:
                return
            what = f"{entry['verb']} {entry['name']} by {entry['by']}: {state}"
        else:
            what = f"{state} on {entry['host']}" if entry.get("host") else str(state)
        what += f": {reason}" if reason else ""
        if self._shown.get(ident) != what:
            self._shown[ident] = what
            self.note(ident if kind == "job" else entry["name"], what)

    def _since(self, stamp: re.Match[str]) -> str:
        """A wall-clock instant as seconds of the scene."""
        assert self.began is not None
        return f"{datetime.fromisoformat(stamp[0]).timestamp() - WALL_START - self.began:.1f}"


def _how(domain: Domain) -> str:
    if domain.state == "paused":
        return "receives" if domain.never_ran else "has paused"
    return "runs" if domain.state == "running" else "defines"
