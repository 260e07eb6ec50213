"""The ipmi driver: a BMC by IPMI 2.0 over LAN, through pyghmi; the only file of zoni that loads it.

Power and boot device go as plain commands of the specification (IPMI 2.0, 28.2 to 28.13): what pyghmi adds for some
makers asks more than was asked for. What asks a machine to change is sent once: pyghmi would repeat it when an answer
is lost, and a reset would happen twice. Whatever is raised while a session is made is the BMC's fault: pyghmi meets
answers that it did not expect with exceptions of all kinds.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import Any

from pyghmi.exceptions import IpmiException
from pyghmi.ipmi.command import Command
from pyghmi.ipmi.fru import FRU
from pyghmi.ipmi.private import session as pyghmi_session
from pyghmi.ipmi.private.util import decode_wireformat_uuid

from tashi.wire.errors import Code
from zoni.outcome import Unproven
from zoni.power import ipmi_doors, sol
from zoni.power.interface import (
    NO_PASSWORD,
    Action,
    Boot,
    Capability,
    Console,
    DeviceSeen,
    Entry,
    Health,
    Identity,
    Power,
    PowerError,
    Sensor,
)
from zoni.power.ipmi_console import SolConsole
from zoni.power.paths import Ipmi

CHASSIS, SENSOR, APP = 0x00, 0x04, 0x06  # network functions
STATUS, CONTROL, LIGHT, SET_BOOT, GET_BOOT = 0x01, 0x02, 0x04, 0x08, 0x09
DEVICE_ID, GUID = 0x01, 0x37
READING = 0x2D
CONTROLS: dict[Action, int] = {"off": 0, "on": 1, "reset": 3, "soft": 5}
BOOT_FLAGS = 5  # the parameter of the boot options
DEVICES: dict[int, DeviceSeen] = {0: "none", 1: "network", 2: "disk", 5: "cdrom"}
NUMBERS = {word: number for number, word in DEVICES.items()}
HEALTH: list[tuple[int, Health]] = [(4, "failed"), (2, "critical"), (1, "warning")]  # pyghmi's bits, the worst first

# Parts of what pyghmi says -> what it means. Everything else while logging in is a BMC that does not answer as it
# should.
DENIED = ("password", "Unauthorized", "Invalid role", "privilege", "privelege", "name length", "user")

LOOK_AGAIN = 0.02  # seconds


def _in_slices(wait: Callable[..., None]) -> Callable[..., None]:
    """pyghmi's wait for a packet, a slice at a time; who waits looks what has come after each.

    One that comes between sending and waiting wakes nobody: a BMC that answers at once, which many do on a busy
    machine, was heard only when it should have been asked again, half a second to two later.
    """

    def wait_a_slice(seconds: float, *more: Any) -> None:
        wait(min(seconds, LOOK_AGAIN), *more)

    return wait_a_slice


pyghmi_session._io_wait = _in_slices(pyghmi_session._io_wait)


class IpmiDriver:
    """Implements `zoni.power.interface.Driver`."""

    capabilities = frozenset(Capability)

    def __init__(self, path: Ipmi, seconds: float) -> None:
        self.where, self._path, self._seconds = path.where, path, seconds
        self._command: Any = None

    # -- power -------------------------------------------------------------------------------------------------------

    def power(self) -> Power:
        return "on" if self._ask(CHASSIS, STATUS)[0] & 1 else "off"

    def press(self, action: Action) -> None:
        session = self._session().ipmi_session
        answers: list[dict[str, Any]] = []
        end = time.monotonic() + self._seconds
        try:
            session.raw_command(CHASSIS, CONTROL, data=[CONTROLS[action]], retry=False, callback=answers.append)
            while not answers and time.monotonic() < end:
                session.wait_for_rsp(timeout=end - time.monotonic())
        except Exception as error:
            raise Unproven(Code.UNAVAILABLE, f"{self.where}: {action}: {_words(error)}") from error
        session.incommand = False
        if not answers:
            raise Unproven(Code.UNAVAILABLE, f"{self.where}: {action}: no answer")
        self._check(answers[0], action)

    # -- identity ----------------------------------------------------------------------------------------------------

    def identity(self) -> Identity:
        """From the BMC's GUID and the first FRU, as far as it has them."""
        found = self._library(_first_fru, "FRU")
        guid = self._library(lambda session: session.raw_command(APP, GUID), "GUID")
        uuid = "" if guid.get("code") else decode_wireformat_uuid(guid["data"])
        told = {name: str(value).strip() for name, value in found.items() if value}
        about = self._ask(APP, DEVICE_ID)
        return Identity(
            uuid=uuid.lower(),
            serial=told.get("Serial Number", ""),
            maker=told.get("Manufacturer", ""),
            model=told.get("Product name", ""),
            firmware=f"{about[2] & 0x7F}.{about[3]:02x}",
        )

    # -- boot device -------------------------------------------------------------------------------------------------

    def boot(self) -> Boot:
        """Get System Boot Options (28.13): flags that are not marked valid are none."""
        data = self._ask(CHASSIS, GET_BOOT, (BOOT_FLAGS, 0, 0))
        if data[1] & 0x80 or not data[2] & 0x80:
            return Boot("none")
        device = DEVICES.get(data[3] >> 2 & 0xF, "other")
        return Boot(device, once=not data[2] & 0x40, uefi=bool(data[2] & 0x20))

    def set_boot(self, boot: Boot) -> None:
        """Set System Boot Options (28.12). They end after a minute unless the BMC is told not to count (parameter
        3)."""
        flags = 0x80 | (0 if boot.once else 0x40) | (0x20 if boot.uefi else 0)
        self._ask(CHASSIS, SET_BOOT, (3, 8), ignore=0x80)  # one that has no such timer says so
        self._ask(CHASSIS, SET_BOOT, (BOOT_FLAGS, flags, NUMBERS[boot.device] << 2, 0, 0, 0), lost=Unproven)

    # -- what it tells -----------------------------------------------------------------------------------------------

    def sensors(self) -> list[Sensor]:
        """One that can't be read, as those of cards that are not there, is told as unknown, and is no reason to miss
        the others."""
        found: list[Sensor] = self._library(_read_sensors, "sensors")
        return found

    def log(self, limit: int) -> list[Entry]:
        found = self._library(lambda session: list(session.get_event_log()), "event log")
        return [
            Entry(
                id=str(each.get("record_id", "")),
                at=str(each.get("timestamp", "")),
                source=str(each.get("component") or each.get("component_type") or ""),
                text=str(each.get("event") or ""),
                severity=_health(int(each.get("severity", 0))),
            )
            for each in found[-limit:]
        ]

    # -- light -------------------------------------------------------------------------------------------------------

    def light(self) -> bool | None:
        """The third byte of the chassis status (28.2), where a BMC says that it tells."""
        status = self._ask(CHASSIS, STATUS)
        if len(status) < 3 or not status[2] & 0x40:
            return None
        return bool(status[2] & 0x30)

    def set_light(self, on: bool) -> None:
        self._ask(CHASSIS, LIGHT, (0, 1 if on else 0), lost=Unproven)

    # -- console -----------------------------------------------------------------------------------------------------

    def console(self, force: bool) -> Console:
        """Serial over LAN. ipmitool's where pyghmi can't make sense of the BMC."""
        try:
            session = self._session()
        except PowerError as error:
            if isinstance(error.__cause__, IpmiException):
                raise
            from zoni.power.ipmitool import Ipmitool

            return Ipmitool(self._path, error.text, force)
        if force:
            self._activate(session, sol.DEACTIVATE)
        answer = self._activate(session, sol.ACTIVATE)
        if answer.get("code") == sol.TAKEN:
            text = f"{self.where}: somebody else has serial over LAN, or a former session that is not over yet"
            raise PowerError(Code.LOCKED, text, "--force takes it away")
        if answer.get("code") in sol.REFUSALS:
            raise PowerError(Code.IMPOSSIBLE, f"{self.where}: {sol.REFUSALS[answer['code']]}")
        self._check(answer, "serial over LAN")
        # The port that it names for the payload is left alone: a BMC behind a forwarded port names its own.
        size = int.from_bytes(answer["data"][4:6], "little")
        return SolConsole(self.where, session.ipmi_session, size)

    def _activate(self, session: Any, command: int) -> dict[str, Any]:
        answer: dict[str, Any] = self._library(lambda each: each.raw_command(APP, command, data=sol.WANTED), "console")
        return answer

    # -- session -----------------------------------------------------------------------------------------------------

    def weaknesses(self) -> list[str]:
        found = ipmi_doors.look(self._path.address, self._path.port)
        if self._path.login.password and self._lets_in(""):
            found.append(f"takes an empty password for {self._path.login.user or 'the user without a name'}")
        return found if self._path.login.password else [*found, NO_PASSWORD]

    def close(self) -> None:
        """Log out: a BMC has four sessions or so, and keeps each for a minute."""
        session, self._command = self._command, None
        if session is not None:
            _log_out(session)

    def _lets_in(self, password: str) -> bool:
        self.close()  # two sessions of one user at a time are more than some BMCs have
        try:
            session = self._log_in(password)
        except PowerError:
            return False
        _log_out(session)
        return True

    def _session(self) -> Any:
        if self._command is None:
            self._command = self._log_in(self._path.login.password)
        return self._command

    def _log_in(self, password: str) -> Any:
        login = self._path.login
        try:
            return Command(
                self._path.address,
                login.user.encode(),  # as bytes: given text, pyghmi would hand out its ended sessions again
                password.encode(),
                port=self._path.port,
                kg=login.kg.encode() or None,
            )
        except Exception as error:
            words = _words(error)
            if any(part in words for part in DENIED):
                raise PowerError(Code.DENIED, f"{self.where}: user, password or rights are wrong: {words}") from error
            raise PowerError(Code.UNAVAILABLE, f"{self.where}: no session: {words}") from error

    def _ask(
        self,
        function: int,
        command: int,
        data: tuple[int, ...] = (),
        lost: type[PowerError | Unproven] = PowerError,
        ignore: int = 0,
    ) -> bytes:
        """One command that may be sent twice. Raises PowerError for a completion code but ``ignore``, and ``lost`` when
        no answer came."""
        session = self._session()
        try:
            answer = session.raw_command(function, command, data=data)
        except Exception as error:
            raise lost(Code.UNAVAILABLE, f"{self.where}: {_words(error)}") from error
        if answer.get("code") == 0xFFFF:
            raise lost(Code.UNAVAILABLE, f"{self.where}: no answer")
        if not ignore or answer.get("code") != ignore:
            self._check(answer, f"command {function:#x} {command:#x}")
        return bytes(answer["data"])

    def _check(self, answer: dict[str, Any], what: str) -> None:
        """Raises PowerError for a completion code that is not 0 (5.2)."""
        code = answer.get("code", 0)
        if "error" in answer or code:
            kind = {0xD4: Code.DENIED, 0xC1: Code.IMPOSSIBLE, 0xC0: Code.BUSY}
            raise PowerError(
                kind.get(code, Code.WRONG_STATE), f"{self.where}: {what}: {answer.get('error', f'code {code:#x}')}"
            )

    def _library(self, read: Any, what: str) -> Any:
        """What pyghmi puts together of many commands. Raises PowerError."""
        session = self._session()
        try:
            return read(session)
        except (IpmiException, struct.error, KeyError, IndexError, TypeError, ValueError) as error:
            raise PowerError(Code.UNAVAILABLE, f"{self.where}: {what}: {_words(error)}") from error


def _first_fru(session: Any) -> dict[str, Any]:
    """The machine's own; one that a BMC has not is empty. pyghmi knows only some of the ways to say so."""
    try:
        return FRU(ipmicmd=session).info or {}
    except IpmiException as error:
        if error.ipmicode in (None, 0xFFFF):
            raise
        return {}


def _read_sensors(session: Any) -> list[Sensor]:
    records, found = session.init_sdr(), []
    for number in records.get_sensor_numbers():
        record = records.sensors[number]
        answer = session.raw_command(SENSOR, READING, rslun=record.sensor_lun, data=(record.sensor_number,))
        if answer.get("code"):
            found.append(
                Sensor(str(record.name), str(record.sensor_type), None, "", "unknown", str(answer.get("error")))
            )
            continue
        told = record.decode_sensor_reading(session, answer["data"])
        found.append(
            Sensor(
                name=str(told.name),
                kind=str(told.type or ""),
                value=None if told.value is None else float(told.value),
                unit=str(told.units or "").removeprefix("°").strip(),
                health="unknown" if told.unavailable else _health(int(told.health)),
                state=", ".join(map(str, told.states or [])),
            )
        )
    return found


def _health(bits: int) -> Health:
    return next((word for bit, word in HEALTH if bits & bit), "ok")


def _log_out(session: Any) -> None:
    """A BMC that does not answer is left: the session ends with its time."""
    try:
        session.ipmi_session.logout()
    except Exception as error:
        del error  # nothing was asked for any more


def _words(error: BaseException) -> str:
    words = str(error)
    if isinstance(error, IpmiException):
        return "no answer" if words in ("", "None", "timeout") else words
    return f"an answer that can't be read ({type(error).__name__})"
