"""As much of libvirt as we use, with types, and with its errors sorted in two. The only file that loads it.

An error whose code says that nothing was done is a `DriverError`; every other one is an `Unclear`, after which one has
to look. The test hypervisor (``test:///default``) lacks some calls; what it lacks is known here and nowhere else.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import libvirt

from tashi.wire.agents import GuestState
from tashid.driver.interface import DriverError
from tashid.driver.peer import Peer
from tashid.driver.settings import DriverSettings
from tashid.driver.words import plain_words

KEEPALIVE_SECONDS, KEEPALIVE_COUNT = 2, 3
OPEN_SECONDS = 3.0  # a libvirtd that is restarted is back by then
FIGURES_SECONDS = 2.0  # a migration's figures are told a little after its end
HANGS_SECONDS = 5.0  # a call to QEMU that takes longer won't come back
WATCH_SECONDS = 0.2, 5.0  # between two attempts to connect: first, longest

# Errors that say: refused, nothing was done.
_DEFINITE = frozenset(
    {
        libvirt.VIR_ERR_ACCESS_DENIED,
        libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,
        libvirt.VIR_ERR_AUTH_FAILED,
        libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
        libvirt.VIR_ERR_CPU_INCOMPATIBLE,
        libvirt.VIR_ERR_DOM_EXIST,
        libvirt.VIR_ERR_INVALID_ARG,
        libvirt.VIR_ERR_MIGRATE_UNSAFE,
        libvirt.VIR_ERR_NO_SUPPORT,
        libvirt.VIR_ERR_OPERATION_DENIED,
        libvirt.VIR_ERR_OPERATION_INVALID,
        libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
        libvirt.VIR_ERR_XML_DETAIL,
        libvirt.VIR_ERR_XML_ERROR,
    }
)

_STATES: dict[int, GuestState] = {
    libvirt.VIR_DOMAIN_NOSTATE: "running",
    libvirt.VIR_DOMAIN_RUNNING: "running",
    libvirt.VIR_DOMAIN_BLOCKED: "running",
    libvirt.VIR_DOMAIN_PAUSED: "paused",
    libvirt.VIR_DOMAIN_SHUTDOWN: "running",  # on its way, not there
    libvirt.VIR_DOMAIN_SHUTOFF: "stopped",
    libvirt.VIR_DOMAIN_CRASHED: "stopped",
    libvirt.VIR_DOMAIN_PMSUSPENDED: "paused",
}

# How it came to be off, where that is worth telling. A guest that shut down by itself is not.
_WHY_OFF = {
    libvirt.VIR_DOMAIN_SHUTOFF_CRASHED: "its QEMU crashed or was killed",
    libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED: "its power was cut on its host",
    libvirt.VIR_DOMAIN_SHUTOFF_FAILED: "its QEMU could not go on",
}
_BY_SIGNAL = (libvirt.VIR_DOMAIN_EVENT_SHUTDOWN, libvirt.VIR_DOMAIN_EVENT_SHUTDOWN_HOST)

_INCOMING = (
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP),
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION),
)

# What asking for a job's figures gives when no migration leaves from here: gone or switched off in between, incoming.
_NOT_LEAVING = (
    libvirt.VIR_ERR_NO_DOMAIN,
    libvirt.VIR_ERR_OPERATION_INVALID,
    libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
)

_UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)

_MIGRATE = (
    libvirt.VIR_MIGRATE_LIVE
    | libvirt.VIR_MIGRATE_PEER2PEER
    | libvirt.VIR_MIGRATE_PERSIST_DEST
    | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
    | libvirt.VIR_MIGRATE_CHANGE_PROTECTION
    | libvirt.VIR_MIGRATE_ABORT_ON_ERROR
    | libvirt.VIR_MIGRATE_AUTO_CONVERGE  # a guest that writes faster than the link sends is slowed, or it never moves
)

_WORDS = ("defined", "undefined", "started", "suspended", "resumed", "stopped", "shutdown", "pmsuspended", "crashed")
_EVENTS = {getattr(libvirt, f"VIR_DOMAIN_EVENT_{word.upper()}"): word for word in _WORDS}


class Unclear(Exception):
    """libvirt failed, and what it did before is not known."""


class Gone(DriverError):
    """The domain that was just here is not any more."""


class Domain:
    """One domain of a connection, as long as it is there: each call may raise `Gone`."""

    def __init__(self, raw: Any, is_test: bool) -> None:
        self._raw, self._is_test = raw, is_test
        self.name: str = raw.name()
        self.uuid: str = raw.UUIDString()

    def xml(self, kept: bool = False) -> str:
        """The definition of the running domain, or the ``kept`` one for its next start."""
        with _sorted(self.name):
            return str(self._raw.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE if kept else 0))

    def migratable_xml(self) -> str:
        """The running domain's definition in the form that a destination takes."""
        with _sorted(self.name):
            return str(self._raw.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_MIGRATABLE))

    def state(self) -> GuestState:
        """running, paused or stopped."""
        with _sorted(self.name):
            return _STATES[self._raw.state()[0]]

    def why_off(self) -> str:
        """What ended it, where that was not the guest itself; empty too while it runs, and where libvirt forgot."""
        with _sorted(self.name):
            state, reason = self._raw.state()
            return _WHY_OFF.get(reason, "") if _STATES[state] == "stopped" else ""

    def is_incoming(self) -> bool:
        """Paused because a migration comes in, and not persistent yet: it has not run an instruction here.

        libvirt makes an incoming domain persistent first and lets it run then.
        """
        with _sorted(self.name):
            return tuple(self._raw.state()) in _INCOMING and not self._raw.isPersistent()

    def is_active(self) -> bool:
        with _sorted(self.name):
            return bool(self._raw.isActive())

    def is_persistent(self) -> bool:
        with _sorted(self.name):
            return bool(self._raw.isPersistent())

    def outgoing_job(self) -> dict[str, Any] | None:
        """The figures of a migration from here, if one is under way.

        One whose QEMU has not answered a call for a long time has none: to be asked would hang as well.
        """
        if self._is_test:
            return None
        try:
            if not self._raw.isActive() or self._hangs():
                return None
            job: dict[str, Any] = self._raw.jobStats()
        except libvirt.libvirtError as error:
            if _code(error) in _NOT_LEAVING:
                return None
            raise _sort(self.name, error) from error
        outgoing = job.get("operation") == libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT
        return job if outgoing and job.get("type") != libvirt.VIR_DOMAIN_JOB_NONE else None

    def is_leaving(self) -> bool:
        """Whether a migration from here may still take it away. One that failed or was called back can't, even while
        libvirt waits for the other side to clear up."""
        job = self.outgoing_job()
        return job is not None and job.get("type") not in (
            libvirt.VIR_DOMAIN_JOB_FAILED,
            libvirt.VIR_DOMAIN_JOB_CANCELLED,
        )

    def _hangs(self) -> bool:
        """Whether its QEMU leaves another caller waiting. libvirt would let us wait behind it for half a minute."""
        while True:
            control, _, since_ms = self._raw.controlInfo()
            if control == libvirt.VIR_DOMAIN_CONTROL_OK:
                return False
            if since_ms > HANGS_SECONDS * 1000:
                return True
            time.sleep(0.1)

    def metadata(self, namespace: str) -> str | None:
        """Our element as XML, without its namespace, or None."""
        try:
            return str(self._raw.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, namespace))
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
                return None
            raise _sort(self.name, error) from error

    def set_metadata(self, xml: str, prefix: str, namespace: str) -> None:
        """Write our element, into the running domain and the kept definition alike."""
        with _sorted(self.name):
            flags = libvirt.VIR_DOMAIN_AFFECT_LIVE if self._raw.isActive() else 0
            flags |= libvirt.VIR_DOMAIN_AFFECT_CONFIG if self._raw.isPersistent() else 0
            self._raw.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, xml, prefix, namespace, flags)

    def create(self) -> None:
        """Power on. DriverError when libvirt's error left it off."""
        try:
            self._raw.create()
        except libvirt.libvirtError as error:
            if self.is_active():
                raise Unclear(plain_words(error)) from error
            raise DriverError(f"did not start: {plain_words(error)}") from error

    def resume(self) -> None:
        with _sorted(self.name):
            self._raw.resume()

    def destroy(self) -> None:
        """Power off; off already is success."""
        try:
            if self._raw.isActive():
                self._raw.destroy()
        except libvirt.libvirtError as error:
            if _code(error) != libvirt.VIR_ERR_NO_DOMAIN and self.is_active():  # else it ended by itself meanwhile
                raise _sort(self.name, error) from error

    def undefine(self) -> None:
        with _sorted(self.name):
            self._raw.undefineFlags(0 if self._is_test else _UNDEFINE)

    def press_power_button(self) -> None:
        with _sorted(self.name):
            self._raw.shutdownFlags(0 if self._is_test else libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)

    def abort_job(self) -> None:
        with _sorted(self.name):
            self._raw.abortJob()

    def migrate(self, there: Peer, live: str, kept: str, settings: DriverSettings) -> dict[str, Any]:
        """Live-migrate; ``live`` and ``kept`` are the definitions over there.

        Returns libvirt's figures, none when it tells them too late. Errors prove nothing: `Unclear`.
        """
        told: dict[str, Any] = {}
        over = threading.Event()

        def take(_connection: Any, _domain: Any, figures: dict[str, Any], _opaque: None) -> None:
            told.update(figures)
            over.set()

        flags = _MIGRATE | (libvirt.VIR_MIGRATE_UNSAFE if settings.lab else 0)
        flags |= libvirt.VIR_MIGRATE_TLS if there.encrypted else 0
        parameters = {
            libvirt.VIR_MIGRATE_PARAM_URI: f"tcp://{there.address}",
            libvirt.VIR_MIGRATE_PARAM_DEST_XML: live,
            libvirt.VIR_MIGRATE_PARAM_PERSIST_XML: kept,
        }
        connection = self._raw.connect()
        try:
            ticket = connection.domainEventRegisterAny(self._raw, libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, take, None)
            try:
                self._raw.migrateSetMaxDowntime(round(settings.max_downtime_seconds * 1000))
                self._raw.migrateToURI3(there.uri, parameters, flags)
                over.wait(FIGURES_SECONDS)
            finally:
                connection.domainEventDeregisterAny(ticket)
        except libvirt.libvirtError as error:
            raise Unclear(plain_words(error)) from error
        return told


class Connection:
    """A connection that is opened when it is needed, and again when it was lost."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self.is_test = uri.startswith("test:")
        self._opened: Any = None

    def domains(self) -> list[Domain]:
        """All that are defined or active."""
        raw = self._raw()
        with _sorted(self._uri):
            return [Domain(each, self.is_test) for each in raw.listAllDomains()]

    def find(self, name: str) -> Domain | None:
        try:
            return Domain(self._raw().lookupByName(name), self.is_test)
        except libvirt.libvirtError as error:
            if _code(error) == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise _sort(name, error) from error

    def define(self, xml: str) -> Domain:
        raw = self._raw()
        with _sorted("definition"):
            return Domain(raw.defineXML(xml), self.is_test)

    def versions(self) -> dict[str, str]:
        raw = self._raw()
        with _sorted(self._uri):
            return {"libvirt": _version(raw.getLibVersion()), "hypervisor": _version(raw.getVersion())}

    def capabilities(self, *of: str) -> str:
        """What libvirt says of the host, or of guests of this (architecture, machine, domain type), as XML."""
        raw = self._raw()
        with _sorted(self._uri):
            return str(raw.getDomainCapabilities(None, *of) if of else raw.getCapabilities())

    def _raw(self) -> Any:
        if self._opened is not None and self._opened.isAlive():
            return self._opened
        _run_event_loop()
        end = time.monotonic() + OPEN_SECONDS
        while True:
            try:
                self._opened = _open(self._uri)
                return self._opened
            except libvirt.libvirtError as error:
                if time.monotonic() > end:
                    raise DriverError(f"hypervisor {self._uri} can't be reached: {plain_words(error)}") from error
                time.sleep(0.2)


def watch(uri: str, say: Callable[[dict[str, object]], None]) -> None:
    """Tell every domain's life-cycle events, and whether there is a connection, for ever."""

    def heard(_connection: Any, domain: Any, event: int, detail: int, _opaque: None) -> None:
        why = {"why": "a signal ended its QEMU"} if (event, detail) == _BY_SIGNAL else {}
        say({"vm": domain.name(), "event": _EVENTS.get(event, "other"), "detail": detail} | why)

    def lost(_connection: Any, _reason: int, closed: threading.Event) -> None:
        closed.set()

    _run_event_loop()
    pause, longest = WATCH_SECONDS
    while True:
        closed = threading.Event()
        try:
            connection = _open(uri)
            connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, heard, None)
            connection.registerCloseCallback(lost, closed)
        except libvirt.libvirtError as error:
            say({"connected": False, "why": plain_words(error)})
            time.sleep(pause)
            pause = min(pause * 2, longest)
            continue
        say({"connected": True})
        pause = WATCH_SECONDS[0]
        closed.wait()
        say({"connected": False, "why": "the connection was closed"})


def _open(uri: str) -> Any:
    connection = libvirt.open(uri)
    if not uri.startswith("test:"):
        connection.setKeepAlive(KEEPALIVE_SECONDS, KEEPALIVE_COUNT)
    return connection


@contextmanager
def _sorted(what: str) -> Iterator[None]:
    try:
        yield
    except libvirt.libvirtError as error:
        raise _sort(what, error) from error


def _sort(what: str, error: Any) -> Exception:
    if _code(error) == libvirt.VIR_ERR_NO_DOMAIN:
        return Gone(f"{what}: {plain_words(error)}")
    kind = DriverError if _code(error) in _DEFINITE else Unclear
    return kind(f"{what}: {plain_words(error)}")


def _code(error: Any) -> int:
    return int(error.get_error_code())


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


_loop_taken = threading.Lock()


def _run_event_loop() -> None:
    """libvirt's own event loop in a thread: keepalive and events need one that runs. Once a process, for ever."""
    if not _loop_taken.acquire(blocking=False):
        return
    libvirt.registerErrorHandler(lambda _context, _error: None, None)  # errors are raised, not printed as well
    libvirt.virEventRegisterDefaultImpl()

    def run() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    threading.Thread(target=run, name="libvirt-events", daemon=True).start()
