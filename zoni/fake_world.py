"""A fake world of devices: rows that processes share, and what goes wrong with the exchanges, counted.

Theory of operation. Nothing happens in the stack of a caller: what is to happen late is in a row with its instant, and
whoever looks first lets it happen (`_settled`). So a change goes on when its caller was killed, as with a real device;
and time is the world's clock, which may be a test's.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, Self, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from tashi.run.clock import Clock, RealClock
from tashi.run.shelf import FolderShelf, MemoryShelf, Shelf


class DeviceFault(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What may go wrong with an exchange of any device. ``call`` is one of the driver's; empty ``device`` or ``call``:
    any. The first that fits, from its ``after`` next one on, ``times`` times.

    ``delay`` seconds pass; ``drop``: nothing arrives; ``refuse``: refused with this text; ``ignore``: acknowledged, and
    nothing done; ``lose``: the answer is lost.
    """

    device: str = ""
    call: str = ""
    after: int = 0
    times: int = 2**31
    delay: float = 0.0
    drop: bool = False
    refuse: str = ""
    ignore: bool = False
    lose: bool = False

    def fits(self, device: str, calls: tuple[str, ...]) -> bool:
        return self.times > 0 and self.device in ("", device) and self.call in ("", *calls)


Row = TypeVar("Row", bound=Struct)
AnyFault = TypeVar("AnyFault", bound=DeviceFault)


class FakeWorld(ABC, Generic[Row, AnyFault]):
    """``World(folder)`` for processes that share it; `in_memory` for one process with a clock of its own.

    ``ROOM`` is where its rows lie, ``ROW`` and ``FAULT`` what they and the faults are.
    """

    ROOM: ClassVar[str]
    ROW: ClassVar[Any]
    FAULT: ClassVar[Any]

    def __init__(self, path: str | os.PathLike[str], clock: Clock | None = None) -> None:
        self.clock: Clock = clock or RealClock()
        self._shelf: Shelf = FolderShelf(path)

    @classmethod
    def in_memory(cls, clock: Clock) -> Self:
        world = cls.__new__(cls)
        world.clock, world._shelf = clock, MemoryShelf()
        return world

    def put(self, name: str, row: Row) -> None:
        """Have this device, or have it so."""
        with self._shelf.locked():
            self._shelf.put(self.ROOM, name, row)

    def device(self, name: str) -> Row | None:
        """How it is by now."""
        with self._shelf.locked():
            return self._settled(name)

    def set_faults(self, faults: list[AnyFault]) -> None:
        """These instead of all that were."""
        with self._shelf.locked():
            for former in self._shelf.rows("faults", self.FAULT):
                self._shelf.drop("faults", former)
            for number, fault in enumerate(faults):
                self._shelf.put("faults", _key(number), fault)

    def faults(self) -> list[AnyFault]:
        """What is left of them, in their order."""
        with self._shelf.locked():
            return self._faults()

    def take_fault(self, device: str, *calls: str) -> AnyFault:
        """What an exchange has coming, counted; an empty one if nothing."""
        with self._shelf.locked():
            for number, fault in enumerate(self._faults()):
                if not fault.fits(device, calls):
                    continue
                waits = fault.after > 0
                left = replace(fault, after=fault.after - 1) if waits else replace(fault, times=fault.times - 1)
                self._shelf.put("faults", _key(number), left)
                if not waits:
                    return fault
        empty: AnyFault = self.FAULT()
        return empty

    def _faults(self) -> list[AnyFault]:
        there: dict[str, AnyFault] = self._shelf.rows("faults", self.FAULT)
        return [there[number] for number in sorted(there)]

    def _row(self, name: str) -> Row | None:
        found: Row | None = self._shelf.row(self.ROOM, name, self.ROW)
        return found

    @abstractmethod
    def _settled(self, name: str) -> Row | None:
        """A row, with all that was due. The lock is held."""


def _key(number: int) -> str:
    return f"{number:04d}"
