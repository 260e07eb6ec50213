"""Redfish services of machines, with faults on demand: real HTTPS on real ports.

    python3 -m tashi.lab.peers.redfish PLAN

PLAN is a JSON file: {"control": SOCKET, "address": HOST, "certificate": FILE, "bmcs": {NAME: {...}}}, FILE with a
certificate and its key, a BMC being fields of `Machine`. It says "ready" when all ports are open. On the socket (see
control.py) {"bmc": NAME, "machine": {...}} changes fields and is answered with what is so. A machine is a record, or,
with ``rack`` (the socket of peers/rack.py), what stands there under its name.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import threading
import time
from base64 import b64encode
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tashi.lab.chassis import Chassis, Press
from tashi.lab.control import answer_on

SYSTEM = "/redfish/v1/Systems/1"
RESET = f"{SYSTEM}/Actions/ComputerSystem.Reset"
BUTTONS: dict[str, Press] = {"On": "on", "ForceOff": "off", "GracefulShutdown": "soft", "ForceRestart": "reset"}
HUSH_SECONDS = 0.1  # between two looks whether a silent one speaks again


@dataclass
class Machine:
    """Faults: ``lie`` is told as its PowerState, ``ignore``: says yes and does nothing, ``refuse``: an HTTP status for
    changes, ``delay``: seconds before each answer, ``lose``: so many answers to changes are never sent, ``seconds``:
    until a change is so; ``anonymous``: asks nobody who he is, ``silent``: takes requests and answers none."""

    port: int = 0
    rack: str = ""
    name: str = ""
    user: str = "admin"
    password: str = "secret"
    uuid: str = "00000000-0000-0000-0000-000000000000"
    serial: str = ""
    power: str = "Off"
    boot: dict[str, str] = field(
        default_factory=lambda: {"BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None"}
    )
    led: str = "Off"
    pressed: list[str] = field(default_factory=list)
    deaf: bool = False
    lie: str = ""
    ignore: bool = False
    refuse: int = 0
    delay: float = 0.0
    lose: int = 0
    seconds: float = 0.0
    anonymous: bool = False
    silent: bool = False
    then: str = ""
    due: float = 0.0

    def now(self) -> str:
        """Its power, with what is due by now."""
        if self.rack:
            self.power = self.chassis().power().capitalize()
        if self.then and self.due <= time.monotonic():
            self.power, self.then = self.then, ""
        return self.power

    def press(self, kind: str) -> None:
        self.pressed.append(kind)
        if self.ignore or (kind == "GracefulShutdown" and self.deaf):
            return
        if self.rack and kind in BUTTONS:
            self.chassis().press(BUTTONS[kind], self.seconds)
        elif then := {"On": "On", "ForceOff": "Off", "GracefulShutdown": "Off"}.get(kind):
            self.then, self.due = then, time.monotonic() + self.seconds

    def chassis(self) -> Chassis:
        return Chassis(self.rack, self.name)

    def dead(self) -> bool:
        """Whether it says nothing: it has no power either where the machine has none."""
        return self.silent or bool(self.rack and not self.chassis().fed())

    def resources(self) -> dict[str, dict[str, Any]]:
        """All that can be read, by path."""
        allowed = ["On", "ForceOff", "GracefulShutdown", "ForceRestart"]
        targets = {"BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe", "Hdd", "Cd"]}
        events = [
            {"@odata.id": f"{SYSTEM}/LogServices/Log/Entries/{number}", "Id": str(number), "EntryType": "Event"}
            | {"Created": f"2026-01-01T00:00:{number:02}Z", "Message": f"asked for {kind}", "Severity": "OK"}
            for number, kind in enumerate(self.pressed, 1)
        ]
        warm = {"Name": "Inlet", "ReadingCelsius": 42, "Status": {"Health": "OK", "State": "Enabled"}}
        return {
            "/redfish/v1": {
                "RedfishVersion": "1.11.0",
                "Id": "RootService",
                "Name": "Lab",
                "UUID": self.uuid,
                "Systems": link("/redfish/v1/Systems"),
            },
            "/redfish/v1/Systems": {"Name": "Systems", **members(SYSTEM)},
            SYSTEM: {
                "Id": "1",
                "Name": "Lab",
                "UUID": self.uuid,
                "SerialNumber": self.serial,
                "Manufacturer": "Lab",
                "Model": "Record",
                "PowerState": self.lie or self.now(),
                "IndicatorLED": self.led,
                "Boot": self.boot | targets,
                "Actions": {"#ComputerSystem.Reset": {"target": RESET, "ResetType@Redfish.AllowableValues": allowed}},
                "LogServices": link(f"{SYSTEM}/LogServices"),
                "Links": {"Chassis": [link("/redfish/v1/Chassis/1")], "ManagedBy": [link("/redfish/v1/Managers/1")]},
            },
            f"{SYSTEM}/LogServices": {"Name": "Logs", **members(f"{SYSTEM}/LogServices/Log")},
            f"{SYSTEM}/LogServices/Log": {"Name": "Log", "Entries": link(f"{SYSTEM}/LogServices/Log/Entries")},
            f"{SYSTEM}/LogServices/Log/Entries": {"Name": "Entries", "Members": events},
            "/redfish/v1/Chassis/1": {"Name": "Chassis", "Thermal": link("/redfish/v1/Chassis/1/Thermal")},
            "/redfish/v1/Chassis/1/Thermal": {"Name": "Thermal", "Temperatures": [warm], "Fans": []},
            "/redfish/v1/Managers/1": {"Name": "Manager", "FirmwareVersion": "1.00"},
        }


def link(path: str) -> dict[str, str]:
    return {"@odata.id": path}


def members(*paths: str) -> dict[str, Any]:
    return {"Members": [link(path) for path in paths], "Members@odata.count": len(paths)}


class Service(BaseHTTPRequestHandler):
    """One request. Only the root is for everybody (DSP0266, 13.3.4)."""

    machine: Machine
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self._unheard():
            return
        time.sleep(self.machine.delay)
        path = self.path.rstrip("/")
        found = self.machine.resources().get(path)
        if path != "/redfish/v1" and not self._may():
            self._answer(401, {})
        elif found is None:
            self._answer(404, {})
        else:
            self._answer(200, found | {"@odata.id": path})

    def do_POST(self) -> None:
        if self._allowed(RESET):
            self.machine.press(self._body.get("ResetType", ""))
            self._done()

    def do_PATCH(self) -> None:
        if self._allowed(SYSTEM):
            if not self.machine.ignore:
                self.machine.boot |= self._body.get("Boot", {})
                self.machine.led = self._body.get("IndicatorLED", self.machine.led)
            self._done()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: its tests say what they see."""

    def _allowed(self, path: str) -> bool:
        """Read the request's body, answer what is refused."""
        self._body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))) or b"{}")
        if self._unheard():
            return False
        time.sleep(self.machine.delay)
        status = 401 if not self._may() else 404 if self.path != path else self.machine.refuse
        if status:
            self._answer(status, {"error": {"code": "Base.1.0.GeneralError", "message": "not now"}})
        return not status

    def _unheard(self) -> bool:
        """Whether the request came to a dead one: that says nothing, and later it knows nothing of it."""
        was = self.machine.dead()
        while self.machine.dead():
            time.sleep(HUSH_SECONDS)
        self.close_connection = self.close_connection or was
        return was

    def _done(self) -> None:
        if self.machine.lose > 0:
            self.machine.lose -= 1
            self.close_connection = True
            return
        self._answer(204, None)

    def _may(self) -> bool:
        word = b64encode(f"{self.machine.user}:{self.machine.password}".encode()).decode()
        return self.machine.anonymous or self.headers.get("Authorization") == f"Basic {word}"

    def _answer(self, status: int, body: dict[str, Any] | None) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)


def main(plan_file: str) -> None:
    with open(plan_file, encoding="utf-8") as file:
        plan = json.load(file)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(plan["certificate"])
    machines = {name: Machine(**fields) for name, fields in plan["bmcs"].items()}
    for each in machines.values():
        server = ThreadingHTTPServer((plan["address"], each.port), type("Here", (Service,), {"machine": each}))
        each.port, server.daemon_threads = server.server_address[1], True
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def change(request: dict[str, Any]) -> dict[str, Any]:
        machine = machines[request["bmc"]]
        for name, value in request.get("machine", {}).items():
            if not hasattr(machine, name):
                raise ValueError(f"machine has no {name}")
            setattr(machine, name, value)
        machine.now()
        return asdict(machine)

    async def serve() -> None:
        async with await answer_on(plan["control"], change) as control:
            print("ready", flush=True)
            await control.serve_forever()

    asyncio.run(serve())


if __name__ == "__main__":
    main(sys.argv[1])
