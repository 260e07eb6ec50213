"""What a power path can do, and what each call promises.

A power path is one way to a machine's power: its BMC, an outlet of a PDU, the hypervisor of a machine that is virtual.
A driver speaks to one path and is opened for one call, in a worker process that may be killed at the call's deadline.
It does what can be done in one exchange; how a change is made and proven is the same for all (change.py).

Errors are `PowerError` (definite: nothing was changed) or `Unproven` (it may have been, or may be yet: look again),
each with a code of tashi.wire.errors; both name the path and the reason, in our own words. Anything else that is raised
is unknown, too. One contract suite, tests/contract/test_power.py, is the definition; what a driver can't do it says by
its capabilities.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Protocol

from msgspec import Struct

from zoni.outcome import DeviceError

Power = Literal["on", "off", "unknown"]
Action = Literal["on", "off", "soft", "reset"]
Device = Literal["disk", "network", "cdrom"]
DeviceSeen = Literal["disk", "network", "cdrom", "none", "other"]
Health = Literal["ok", "warning", "critical", "failed", "unknown"]


class Capability(StrEnum):
    """Power itself (its state, on, off) every driver can."""

    MACHINE = "machine"  # "on" is said of the machine; without it, of the outlet that feeds it
    SOFT = "soft"
    RESET = "reset"
    IDENTITY = "identity"
    BOOT = "boot"
    ONCE = "once"  # a boot device for the next boot alone
    SENSORS = "sensors"
    LOG = "log"
    LIGHT = "light"
    CONSOLE = "console"


NO_PASSWORD = "is to be asked with an empty password: give it another with zoni-set --password-file"


class PowerError(DeviceError):
    """Nothing was changed."""


class Identity(Struct, frozen=True, omit_defaults=True):
    """Which machine it is, as far as the path can tell; an empty string is not known."""

    uuid: str = ""
    serial: str = ""
    maker: str = ""
    model: str = ""
    firmware: str = ""  # of the BMC


class Boot(Struct, frozen=True):
    """What a machine will boot from: ``device`` "none" is the firmware's own order, "other" what we have no word for.

    ``uefi`` is None where the path doesn't tell.
    """

    device: DeviceSeen
    once: bool = False
    uefi: bool | None = None


class Sensor(Struct, frozen=True):
    """A reading; ``value`` is None for what has no number, ``state`` is the BMC's own word."""

    name: str
    kind: str
    value: float | None
    unit: str
    health: Health
    state: str = ""


class Entry(Struct, frozen=True):
    """A line of the system event log. ``at`` is what the BMC's clock said, ISO 8601, empty when it had none."""

    id: str
    at: str
    source: str
    text: str
    severity: Health


class Console(Protocol):
    """A machine's serial line, open. ``note``: what people should know of how it came to be; mostly empty.

    Bytes are as the machine has them. Each call may raise `PowerError`: the line has ended, and why.
    """

    note: str

    def read(self, seconds: float) -> bytes:
        """What the machine has written; waits for the first of it, ``seconds`` at most."""

    def write(self, data: bytes) -> int:
        """Write to the machine; how many bytes were taken, none while it is not ready for more."""

    def send_break(self) -> bool:
        """Have a break on the line; False while it is not ready for that."""

    def close(self) -> None:
        """Let go of the line. Raises nothing."""


class Driver(Protocol):
    """``where``: the path in a few words, for errors: ``ipmi 10.0.0.7``.

    Every call may raise `PowerError`: unavailable (no answer, nonsense), denied (user, password, rights), not-found (no
    such system, outlet, domain), impossible (not a thing that this path can do).
    """

    where: str
    capabilities: frozenset[Capability]

    def power(self) -> Power:
        """On or off, as the path says now; ``unknown`` when it says neither. Never what was last asked for."""

    def press(self, action: Action) -> None:
        """Ask for it, once; to return is no proof. Raises `Unproven` when it was sent and no answer came."""

    def identity(self) -> Identity:
        """Which machine this path leads to."""

    def boot(self) -> Boot:
        """What was asked to be booted from."""

    def set_boot(self, boot: Boot) -> None:
        """Ask for it, as `press` does. ``uefi`` None asks for BIOS where the path has to say one."""

    def sensors(self) -> list[Sensor]:
        """All readings."""

    def log(self, limit: int) -> list[Entry]:
        """The last ``limit`` entries, the oldest first."""

    def light(self) -> bool | None:
        """Whether the identify light is lit; None where it can't be asked."""

    def set_light(self, on: bool) -> None:
        """Switch the identify light, as `press` does; lit, it stays lit."""

    def console(self, force: bool) -> Console:
        """Its serial line. Raises PowerError (locked) while somebody else has it, unless ``force`` takes it away."""

    def weaknesses(self) -> list[str]:
        """Ways into the device that should not be there: no password, an empty one, no cipher, a factory's own word.

        Looks from outside, as somebody without rights, and changes nothing.
        """

    def close(self) -> None:
        """End the session: a BMC has few. Raises nothing."""
