"""What a lab can do to a host, whatever the host is made of."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any, Literal, NoReturn, Protocol

import msgspec

from tashi.wire.errors import Code, Refused

Service = Literal["agent", "libvirtd"]


class HostStatus(msgspec.Struct):
    """One host as `tashi-lab status` tells it. Pids are those seen from outside; absent is null.

    ``rate_bits_per_second``: the limit that `slow` set.
    """

    name: str
    state: Literal["up", "off"]
    pid: int | None
    agent: int | None
    libvirtd: int | None
    network: Literal["ok", "cut"]
    rate_bits_per_second: int | None
    address: str
    boot_id: str | None


class Host(Protocol):
    name: str

    def power_on(self) -> None:
        """Boot it, with a new boot id, up to its hypervisor; running already is success. Cable as it was left."""

    def power_off(self) -> None:
        """Cut its power: every process in it ends at once, in no order. Off already is success."""

    def enroll(self, document: dict[str, Any]) -> None:
        """Hand it the enrolment document that the controller made for it."""

    def start(self, service: Service) -> None:
        """Start one of its daemons and wait until it listens, as far as it does; running already is success."""

    def stop(self, service: Service, number: signal.Signals) -> None:
        """Send a daemon this signal and wait for its end; ended already is success."""

    def set_cable(self, is_cut: bool) -> None:
        """Let nothing through its network, in both directions, or everything again."""

    def set_rate(self, bits: int) -> None:
        """Limit its network to so many bits a second in each direction; 0: as fast as it goes."""

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs ``argv`` inside it."""

    def status(self) -> HostStatus: ...

    def remove(self) -> None:
        """Power off, and leave nothing outside its folder."""


def refuse_off(name: str) -> NoReturn:
    raise Refused(Code.WRONG_STATE, f"{name}: is off", f"tashi-lab start {name}")
