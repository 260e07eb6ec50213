"""What a path has not that has power and little else: all of it is impossible, and says so."""

from __future__ import annotations

from tashi.wire.errors import Code
from zoni.power.interface import Boot, Console, Entry, Identity, PowerError, Sensor


class Lacking:
    """For drivers to inherit; what they have they override, and name among their capabilities."""

    where: str

    def identity(self) -> Identity:
        raise self.lacks("identity")

    def boot(self) -> Boot:
        raise self.lacks("boot")

    def set_boot(self, boot: Boot) -> None:
        raise self.lacks("boot")

    def sensors(self) -> list[Sensor]:
        raise self.lacks("sensors")

    def log(self, limit: int) -> list[Entry]:
        raise self.lacks("log")

    def light(self) -> bool | None:
        raise self.lacks("light")

    def set_light(self, on: bool) -> None:
        raise self.lacks("light")

    def console(self, force: bool) -> Console:
        raise self.lacks("console")

    def lacks(self, what: str) -> PowerError:
        """To raise for what can't be done."""
        return PowerError(Code.IMPOSSIBLE, f"{self.where}: can't do {what}")
