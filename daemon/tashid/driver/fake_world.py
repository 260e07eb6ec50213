"""A world of fake hosts: their guests, what is about to happen to them, and what is to go wrong.

Theory of operation. Nothing happens in the stack of a caller: starting, moving and switching off are rows with an
instant at which their next step is due, and whoever looks at the world first lets all happen that is due by then
(`settle`). So a guest starts, a migration goes on and a power button works also when the caller was killed, as with a
real hypervisor; and a simulator with its own clock can look, cut and kill between any two steps.

A migration's steps: the incoming guest appears, paused (copy) -> the source is paused (switch) -> the destination runs
with its generation (confirm) -> the source is gone (done). What a cut between the two hosts leaves behind is the worst
that a real one can: an incoming guest that never ran, two paused ones, or a running and a paused one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from msgspec.structs import replace

from tashi.model.guest import Disk
from tashi.run.clock import Clock, RealClock
from tashi.run.shelf import FolderShelf, MemoryShelf, Shelf
from tashi.wire.agents import GuestState
from tashid.driver.fake_rows import FakeGuest, Fault, Faults, Mark, Move, Turn
from tashid.driver.interface import DriverError, missing

SWITCH_SECONDS = 0.05  # the guest stands still
CONFIRM_SECONDS = 0.02
NEVER = 1e12


class World:
    """``World(folder)`` for processes that share it; `World.in_memory` for one process with a clock of its own."""

    def __init__(self, path: str | os.PathLike[str], clock: Clock | None = None) -> None:
        self.clock: Clock = clock or RealClock()
        self._shelf: Shelf = FolderShelf(path)

    @classmethod
    def in_memory(cls, clock: Clock) -> World:
        world = cls.__new__(cls)
        world.clock, world._shelf = clock, MemoryShelf()
        return world

    # -- hosts and what is between them ------------------------------------------------------------------------------

    def power_on(self, host: str) -> None:
        """The host is there, its guests as they were left; a new host has none."""
        with self._shelf.locked():
            self._shelf.put("powered", host, Mark())

    def power_cut(self, host: str) -> None:
        """All that runs there ends at once; what is defined stays defined."""
        with self._present():
            self._shelf.drop("powered", host)
            for vm, guest in self._guests(host).items():
                self._shelf.drop("turns", f"{host}+{vm}")
                self._shelf.drop("moves", f"{host}+{vm}")
                if guest.never_ran:
                    self._shelf.drop(f"hosts/{host}", vm)
                else:
                    self._put(host, replace(guest, state="stopped"))

    def cut(self, one: str, other: str) -> None:
        """The hypervisors of two hosts don't reach each other."""
        with self._present():
            self._shelf.put("cuts", _between(one, other), Mark())

    def heal(self, one: str, other: str) -> None:
        with self._present():
            self._shelf.drop("cuts", _between(one, other))

    def running(self) -> dict[str, list[str]]:
        """Hosts where each guest runs: more than one is what must never be. In memory and in folders alike."""
        found: dict[str, list[str]] = {}
        with self._present():
            for host in self._shelf.rooms("hosts"):
                for vm, guest in self._guests(host).items():
                    if guest.state == "running" and not guest.foreign:
                        found.setdefault(vm, []).append(host)
        return found

    # -- guests ------------------------------------------------------------------------------------------------------

    def guests(self, host: str) -> dict[str, FakeGuest]:
        with self._present():
            return self._guests(host)

    def guest(self, host: str, vm: str) -> FakeGuest | None:
        with self._present():
            return self._guest(host, vm)

    def put(self, host: str, guest: FakeGuest, then: GuestState | None = None, seconds: float = 0.0) -> None:
        """Set a guest as it is now; ``then`` it will be in another state, after ``seconds``."""
        with self._present():
            self._put(host, guest)
            self._later(host, guest.vm, then, seconds)

    def change(
        self, host: str, vm: str, state: GuestState | None = None, generation: int | None = None, cluster: str = ""
    ) -> None:
        """Set what is given, of a guest that is there; ``cluster`` only where there is none.

        With a state, nothing else will happen to it by itself.
        """
        with self._present():
            guest = self._guest(host, vm)
            if guest is not None and generation is not None:
                guest = replace(guest, generation=generation, cluster=guest.cluster or cluster)
            if guest is not None and state is not None:
                guest = replace(guest, state=state)
                self._later(host, vm, None, 0.0)
            if guest is not None:
                self._put(host, guest)

    def later(self, host: str, vm: str, state: GuestState, seconds: float) -> None:
        """A guest will be in another state after ``seconds``, whoever looks."""
        with self._present():
            self._later(host, vm, state, seconds)

    def drop(self, host: str, vm: str) -> None:
        with self._present():
            self._shelf.drop(f"hosts/{host}", vm)
            self._later(host, vm, None, 0.0)

    def end_guest(self, host: str, vm: str) -> None:
        """It ends by itself, as when its system crashes."""
        with self._present():
            guest = self._guest(host, vm)
            if guest is not None:
                self._put(host, replace(guest, state="stopped"))
                self._later(host, vm, None, 0.0)

    # -- disks: one pool for all hosts --------------------------------------------------------------------------------

    def make_disks(self, disks: list[Disk]) -> None:
        """Make those that are missing. Raises DriverError, and makes none, when one of them was made once."""
        with self._present():
            lost = [disk for disk in disks if self._shelf.row("disks", _flat(disk.path), Mark) is None]
            for disk in lost:
                if disk.made:
                    raise missing(disk.path)
            for disk in lost:
                self._shelf.put("disks", _flat(disk.path), Mark())

    def delete_disks(self, paths: list[str]) -> None:
        """Delete disks; one that isn't there is success."""
        with self._present():
            for path in paths:
                self._shelf.drop("disks", _flat(path))

    # -- migrations --------------------------------------------------------------------------------------------------

    def begin_move(self, host: str, vm: str, destination: str, generation: int, copy_seconds: float) -> None:
        """Begin to migrate. Raises DriverError when it can't begin."""
        with self._present():
            guest, there = self._guest(host, vm), self._guest(destination, vm)
            if guest is None or guest.state != "running":
                raise DriverError(f"{vm}: not running here")
            if self._shelf.row("moves", f"{host}+{vm}", Move) is not None:
                raise DriverError(f"{vm}: a migration of it is under way")
            if not self._linked(host, destination):
                raise DriverError(f"{vm}: not migrated, it goes on here: {destination} can't be reached")
            if there is not None and there.state != "stopped":
                raise DriverError(f"{vm}: not migrated, it goes on here: it is {there.state} on {destination}")
            self._put(destination, replace(guest, generation=generation, state="paused", never_ran=True))
            self._shelf.drop("over", f"{host}+{vm}")
            now = self.clock.now()
            move = Move(vm, host, destination, generation, guest.memory_bytes, "copy", now, now)
            self._enter(move, "copy", copy_seconds)

    def move(self, host: str, vm: str) -> Move | None:
        """The migration of a guest from here that is under way."""
        with self._present():
            return self._shelf.row("moves", f"{host}+{vm}", Move)

    def moves(self, host: str) -> set[str]:
        """The guests that migrate from here."""
        with self._present():
            return {move.vm for move in self._shelf.rows("moves", Move).values() if move.source == host}

    def ended_move(self, host: str, vm: str) -> Move | None:
        """The last migration of a guest from here that is over."""
        with self._present():
            return self._shelf.row("over", f"{host}+{vm}", Move)

    def abort_move(self, host: str, vm: str) -> bool:
        """Ask for its end; while the guest stands still or runs there already it is too late. Whether there was one."""
        with self._present():
            move = self._shelf.row("moves", f"{host}+{vm}", Move)
            if move is not None and move.phase == "copy":
                self._fail(move, "aborted")
            return move is not None

    # -- faults ------------------------------------------------------------------------------------------------------

    def set_faults(self, faults: list[Fault]) -> None:
        """Replace the whole table, which is faults.json in a folder."""
        with self._present():
            self._shelf.put("", "faults", Faults(faults))

    def take_fault(self, host: str, call: str, vm: str) -> Fault:
        """What is to go wrong with this call; a fault that does nothing when nothing is."""
        with self._present():
            return self._take_fault(host, call, vm)

    # -- inside the lock ---------------------------------------------------------------------------------------------

    @contextmanager
    def _present(self) -> Iterator[None]:
        """Locked, and all that is due has happened."""
        with self._shelf.locked():
            self._settle()
            yield

    def _settle(self) -> None:
        now = self.clock.now()
        while True:
            turns = [turn for turn in self._shelf.rows("turns", Turn).values() if turn.due <= now]
            moves = [move for move in self._shelf.rows("moves", Move).values() if move.due <= now]
            if not turns and not moves:
                return
            rows: list[Turn | Move] = [*turns, *moves]
            first = min(rows, key=lambda row: row.due)
            if isinstance(first, Turn):
                self._take_turn(first)
            else:
                self._step(first)

    def _later(self, host: str, vm: str, state: GuestState | None, seconds: float) -> None:
        self._shelf.drop("turns", f"{host}+{vm}")
        if state is not None:
            self._shelf.put("turns", f"{host}+{vm}", Turn(host, vm, state, self.clock.now() + seconds))

    def _take_turn(self, turn: Turn) -> None:
        self._shelf.drop("turns", f"{turn.host}+{turn.vm}")
        guest = self._guest(turn.host, turn.vm)
        if guest is not None:
            self._put(turn.host, replace(guest, state=turn.state))

    def _step(self, move: Move) -> None:
        """The end of a migration's phase."""
        source, incoming = self._guest(move.source, move.vm), self._guest(move.destination, move.vm)
        broken = move.text or ("" if self._linked(move.source, move.destination) else "the connection broke")
        if source is None:
            self._finish(move, "failed", "the guest is gone")
        elif move.phase == "copy":
            if broken or incoming is None or source.state != "running":
                self._fail(move, broken or "the guest ended on one side")
            else:
                self._put(move.source, replace(source, state="paused"))
                self._enter(replace(move, paused=move.due), "switch", SWITCH_SECONDS)
        elif move.phase == "switch":
            if broken:
                self._finish(move, "unknown", broken)
            elif incoming is None:
                self._put(move.source, replace(source, state="running"))
                self._finish(move, "failed", "the destination dropped the guest")
            else:
                self._put(move.destination, replace(incoming, state="running", never_ran=False))
                self._enter(replace(move, ran=move.due), "confirm", CONFIRM_SECONDS)
        elif broken:
            self._finish(move, "unknown", broken)
        else:
            self._shelf.drop(f"hosts/{move.source}", move.vm)
            self._finish(move, "done", "")

    def _enter(self, move: Move, phase: Literal["copy", "switch", "confirm"], seconds: float) -> None:
        fault = self._take_fault(move.source, phase, move.vm)
        due = NEVER if fault.hang else move.due + seconds + fault.delay
        self._shelf.put("moves", f"{move.source}+{move.vm}", replace(move, phase=phase, due=due, text=fault.fail))

    def _fail(self, move: Move, text: str) -> None:
        """The source goes on; the other side is cleaned up if it can be reached."""
        if self._linked(move.source, move.destination):
            incoming = self._guest(move.destination, move.vm)
            if incoming is not None and incoming.never_ran:
                self._shelf.drop(f"hosts/{move.destination}", move.vm)
        self._finish(move, "failed", text)

    def _finish(self, move: Move, phase: Literal["done", "failed", "unknown"], text: str) -> None:
        self._shelf.drop("moves", f"{move.source}+{move.vm}")
        self._shelf.put("over", f"{move.source}+{move.vm}", replace(move, phase=phase, text=text))

    def _take_fault(self, host: str, call: str, vm: str) -> Fault:
        faults = (self._shelf.row("", "faults", Faults) or Faults()).faults
        for number, fault in enumerate(faults):
            if fault.fits(host, call, vm):
                used = replace(fault, times=fault.times - 1)
                self._shelf.put("", "faults", Faults([*faults[:number], used, *faults[number + 1 :]]))
                return fault
        return Fault()

    def _linked(self, one: str, other: str) -> bool:
        cut = self._shelf.row("cuts", _between(one, other), Mark)
        return cut is None and all(self._shelf.row("powered", host, Mark) is not None for host in (one, other))

    def _guests(self, host: str) -> dict[str, FakeGuest]:
        return self._shelf.rows(f"hosts/{host}", FakeGuest)

    def _guest(self, host: str, vm: str) -> FakeGuest | None:
        return self._shelf.row(f"hosts/{host}", vm, FakeGuest)

    def _put(self, host: str, guest: FakeGuest) -> None:
        self._shelf.put(f"hosts/{host}", guest.vm, guest)


def _flat(path: str) -> str:
    """A path as the name of one row."""
    return path.replace("/", "+")


def _between(one: str, other: str) -> str:
    return "+".join(sorted((one, other)))
