"""The redfish driver: a BMC by Redfish (DMTF DSP0266), through sushy; the only file of zoni that loads it.

Requests carry user and password each time (HTTP basic authentication), so that no session is left open at a BMC that
has few. A question that is not answered is asked once more, a change never: it is read back instead. Proxies and
settings of this machine's other programs are not looked at.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import sushy
from requests.adapters import HTTPAdapter
from sushy import exceptions
from sushy.auth import BasicAuth
from sushy.connector import Connector
from urllib3.util import Retry

from tashi.wire.errors import Code
from zoni.outcome import Unproven
from zoni.power.interface import (
    NO_PASSWORD,
    Action,
    Boot,
    Capability,
    DeviceSeen,
    Entry,
    Health,
    Identity,
    Power,
    PowerError,
    Sensor,
)
from zoni.power.lacking import Lacking
from zoni.power.paths import Redfish

SYSTEMS = "/redfish/v1/Systems"
RESETS: dict[Action, sushy.ResetType] = {
    "on": sushy.ResetType.ON,
    "off": sushy.ResetType.FORCE_OFF,
    "soft": sushy.ResetType.GRACEFUL_SHUTDOWN,
    "reset": sushy.ResetType.FORCE_RESTART,
}
POWERS: dict[str, Power] = {"On": "on", "Off": "off"}
DEVICES: dict[str, DeviceSeen] = {"Pxe": "network", "Hdd": "disk", "Cd": "cdrom", "None": "none"}
TARGETS = {"network": sushy.BootSource.PXE, "disk": sushy.BootSource.HDD, "cdrom": sushy.BootSource.CD}
HEALTH: dict[str, Health] = {"OK": "ok", "Warning": "warning", "Critical": "critical"}

Value = TypeVar("Value")


class RedfishDriver(Lacking):
    """Implements `zoni.power.interface.Driver`."""

    capabilities = frozenset(Capability) - {Capability.CONSOLE}

    def __init__(self, path: Redfish, seconds: float) -> None:
        self.where, self._path, self._seconds = path.where, path, seconds
        self._connector = self._connect()
        self._opened: Any = None

    # -- power -------------------------------------------------------------------------------------------------------

    def power(self) -> Power:
        return POWERS.get(str(self._fresh().get("PowerState")), "unknown")

    def press(self, action: Action) -> None:
        system = self._system()
        try:
            system.reset_system(RESETS[action])
        except exceptions.ServerSideError as error:
            raise Unproven(Code.UNAVAILABLE, f"{self.where}: {action}: {_words(error)}") from error
        except exceptions.HTTPError as error:
            raise self._refusal(error, action) from error
        except exceptions.ConnectionError as error:
            raise Unproven(Code.UNAVAILABLE, f"{self.where}: {action}: no answer") from error
        except exceptions.SushyError as error:
            raise PowerError(Code.IMPOSSIBLE, f"{self.where}: {action}: {_words(error)}") from error

    # -- identity ----------------------------------------------------------------------------------------------------

    def identity(self) -> Identity:
        told = self._fresh()
        managers = told.get("Links", {}).get("ManagedBy") or [{}]
        manager = self._get(managers[0].get("@odata.id", "")) if managers[0] else {}
        return Identity(
            uuid=str(told.get("UUID") or "").lower(),
            serial=str(told.get("SerialNumber") or ""),
            maker=str(told.get("Manufacturer") or ""),
            model=str(told.get("Model") or ""),
            firmware=str(manager.get("FirmwareVersion") or ""),
        )

    # -- boot device -------------------------------------------------------------------------------------------------

    def boot(self) -> Boot:
        boot = self._fresh().get("Boot") or {}
        enabled, mode = boot.get("BootSourceOverrideEnabled"), boot.get("BootSourceOverrideMode")
        uefi = None if mode is None else mode == "UEFI"
        if enabled not in ("Once", "Continuous"):
            return Boot("none", uefi=uefi)
        device = DEVICES.get(str(boot.get("BootSourceOverrideTarget")), "other")
        return Boot(device, once=enabled == "Once", uefi=uefi)

    def set_boot(self, boot: Boot) -> None:
        enabled = sushy.BootSourceOverrideEnabled.ONCE if boot.once else sushy.BootSourceOverrideEnabled.CONTINUOUS
        modes = {None: None, True: sushy.BootSourceOverrideMode.UEFI, False: sushy.BootSourceOverrideMode.LEGACY}
        target, system = TARGETS[boot.device], self._system()
        self._do(lambda: system.set_system_boot_options(target, enabled, modes[boot.uefi]), "boot device", Unproven)

    # -- what it tells -----------------------------------------------------------------------------------------------

    def sensors(self) -> list[Sensor]:
        """Temperatures and fans of each chassis (Thermal)."""
        found = []
        for chassis in self._fresh().get("Links", {}).get("Chassis") or []:
            link = self._get(chassis["@odata.id"]).get("Thermal")
            thermal = self._get(link["@odata.id"]) if link else {}
            found += [_sensor(each, "temperature", "ReadingCelsius", "C") for each in thermal.get("Temperatures", [])]
            found += [
                _sensor(each, "fan", "Reading", str(each.get("ReadingUnits"))) for each in thermal.get("Fans", [])
            ]
        return found

    def log(self, limit: int) -> list[Entry]:
        """The entries of all logs of the system, in the order of their times."""
        entries = [
            Entry(
                id=str(each.get("Id", "")),
                at=str(each.get("Created") or ""),
                source=str(each.get("SensorType") or each.get("EntryType") or ""),
                text=str(each.get("Message") or ""),
                severity=HEALTH.get(str(each.get("Severity")), "unknown"),
            )
            for each in self._log_entries()
        ]
        return sorted(entries, key=lambda entry: entry.at)[-limit:]

    def _log_entries(self) -> Iterator[dict[str, Any]]:
        services = self._fresh().get("LogServices")
        for service in self._members(services["@odata.id"]) if services else []:
            if entries := service.get("Entries"):
                yield from self._members(entries["@odata.id"])

    # -- light -------------------------------------------------------------------------------------------------------

    def light(self) -> bool | None:
        state = self._fresh().get("IndicatorLED")
        return None if state in (None, "Unknown") else state != "Off"

    def set_light(self, on: bool) -> None:
        system = self._system()
        self._do(lambda: system.set_indicator_led("Lit" if on else "Off"), "light", Unproven)

    # -- session -----------------------------------------------------------------------------------------------------

    def weaknesses(self) -> list[str]:
        found = [] if self._path.login.password else [NO_PASSWORD]
        if self._lets_in(None):
            found.append("shows its systems to everybody")
        elif self._path.login.password and self._lets_in(BasicAuth(self._path.login.user, "")):
            found.append(f"takes an empty password for {self._path.login.user}")
        return found

    def close(self) -> None:
        self._connector.close()

    def _lets_in(self, auth: BasicAuth | None) -> bool:
        connector = self._connect()
        try:
            if auth is not None:
                connector.set_auth(auth)
                connector.set_http_basic_auth(auth._username, auth._password)
            connector.get(SYSTEMS)
        except exceptions.SushyError:
            return False
        finally:
            connector.close()
        return True

    def _connect(self) -> Any:
        trust = self._path.trust
        verify: bool | str = trust if trust.startswith("/") else trust == "system"
        # one try: 0 would be three, of everything, and a reset whose answer is lost would happen again
        connector = Connector(
            self._path.url, verify=verify, default_request_timeout=self._seconds / 2, server_side_retries=1
        )
        connector._session.trust_env = False
        pinned = trust.removeprefix("sha256:") if trust.startswith("sha256:") else ""
        for scheme in ("http://", "https://"):
            connector._session.mount(scheme, _Adapter(pinned))
        return connector

    def _system(self) -> Any:
        if self._opened is None:
            login = self._path.login
            self._opened = self._do(
                lambda: sushy.Sushy(
                    self._path.url, connector=self._connector, auth=BasicAuth(login.user, login.password)
                ).get_system(self._path.system or None),
                "system",
            )
        return self._opened

    def _fresh(self) -> dict[str, Any]:
        """The system as it is now."""
        known, system = self._opened, self._system()
        if known is not None:
            self._do(lambda: system.refresh(force=True), "system")
        told: dict[str, Any] = system.json
        return told

    def _members(self, path: str) -> Iterator[dict[str, Any]]:
        for member in self._get(path).get("Members", []):
            yield member if len(member) > 1 else self._get(member["@odata.id"])

    def _get(self, path: str) -> dict[str, Any]:
        self._system()
        told: dict[str, Any] = self._do(lambda: self._connector.get(path).json(), path)
        return told

    def _do(self, call: Callable[[], Value], what: str, lost: type[PowerError | Unproven] = PowerError) -> Value:
        """Raises PowerError for a refusal, and ``lost`` when no answer came."""
        try:
            return call()
        except exceptions.HTTPError as error:
            raise self._refusal(error, what) from error
        except exceptions.ConnectionError as error:
            raise lost(Code.UNAVAILABLE, f"{self.where}: {_silence(error)}") from error
        except (exceptions.SushyError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise PowerError(Code.UNAVAILABLE, f"{self.where}: {what}: {_words(error)}") from error

    def _refusal(self, error: exceptions.HTTPError, what: str) -> PowerError:
        if isinstance(error, exceptions.AccessError):
            return PowerError(Code.DENIED, f"{self.where}: user, password or rights are wrong")
        codes = {404: Code.NOT_FOUND, 405: Code.IMPOSSIBLE, 501: Code.IMPOSSIBLE, 409: Code.WRONG_STATE}
        kind = codes.get(error.status_code, Code.UNAVAILABLE if error.status_code >= 500 else Code.IMPOSSIBLE)
        return PowerError(kind, f"{self.where}: {what}: {error.status_code} {error.detail or ''}".rstrip())


class _Adapter(HTTPAdapter):
    """Asks once more, but never for a change. With ``pinned`` it believes one certificate, whoever it is made out
    to."""

    def __init__(self, pinned: str) -> None:
        self._pinned: dict[str, Any] = {}
        if pinned:  # a context of our own: urllib3 would load all authorities of this machine for each connection
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self._pinned = {"assert_fingerprint": pinned, "ssl_context": context}
        super().__init__(max_retries=Retry(total=1, connect=0, status=0, redirect=0, allowed_methods={"GET"}))

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **more: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, **self._pinned, **more)


def _sensor(told: dict[str, Any], kind: str, reading: str, unit: str) -> Sensor:
    value = told.get(reading)
    status = told.get("Status") or {}
    return Sensor(
        name=str(told.get("Name") or told.get("MemberId") or ""),
        kind=kind,
        value=None if value is None else float(value),
        unit={"None": "", "Percent": "%"}.get(unit, unit),
        health=HEALTH.get(str(status.get("Health")), "unknown"),
        state=str(status.get("State") or ""),
    )


def _silence(error: exceptions.SushyError) -> str:
    words = str(error)
    if "ertificate" in words or "ingerprint" in words or "SSL" in words:
        return "its certificate is not believed"
    return "no answer"


def _words(error: BaseException) -> str:
    return f"an answer that can't be read ({type(error).__name__})"
