"""BMCs of machines, with faults on demand: real IPMI 2.0 on real ports.

    python3 -m tashi.lab.peers.bmc PLAN

PLAN is a JSON file: {"control": SOCKET, "address": HOST, "bmcs": {NAME: {...}}}, a BMC being fields of `Machine`. It
says "ready" when all ports are open. On the socket (see control.py) {"bmc": NAME, "machine": {...}, "weather": {...}}
changes fields of a machine or of its cable (see relay.py) and is answered with what is so; all are optional but the
name. A machine is a record, or, with ``rack`` (the socket of peers/rack.py), what stands there under its name. Its
serial line is whoever connects to the socket ``line``.

It stands on pyghmi's server side, with what that lacks: several BMCs in a process, answers to users that it does not
know, the cipher suites that a BMC has, identity (GUID, FRU), sensors (SDR), the event log (SEL) and serial over LAN
that bears losses (see sol.py).
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from pyghmi.ipmi.bmc import Bmc
from pyghmi.ipmi.private import constants
from pyghmi.ipmi.private.serversession import ServerSession

from tashi.lab.chassis import Chassis, Press
from tashi.lab.control import answer_on
from tashi.lab.peers.sol import ACTIVATE, INSTANCE, Sol
from tashi.lab.relay import Relay

RAKP = range(0x12, 0x16)
TICK_SECONDS = 0.1
CLOSE = (6, 0x3C)
OPENS = {(6, 0x3B): True, CLOSE: False}  # setting the privilege is the first that a session does
NO_SUITE, NO_NAME = 0x11, 0x0D  # IPMI 2.0, table 13-15
BUTTONS: dict[int, Press] = {0: "off", 1: "on", 2: "cycle", 3: "reset", 5: "soft"}  # chassis control, 28.3


@dataclass
class Machine:
    """A machine and its BMC. Faults: ``lie`` is told instead of its power, ``ignore``: acknowledges and does nothing,
    ``refuse``: a completion code for chassis control, ``lose``: so many answers to it are never sent, ``seconds``:
    until a change is so, ``mute_strangers``: a user that is not known gets no answer, ``drop_rakp``: logging in gets
    none; ``cipher_0`` and ``anonymous`` are open doors."""

    port: int = 0
    line: str = ""
    rack: str = ""
    name: str = ""
    user: str = "admin"
    password: str = "secret"
    uuid: str = "00000000-0000-0000-0000-000000000000"
    serial: str = ""
    power: str = "off"
    boot: list[int] = field(default_factory=lambda: [0, 0])
    lit: bool = False
    pressed: list[int] = field(default_factory=list)
    sessions: int = 0
    deaf: bool = False
    lie: str = ""
    ignore: bool = False
    refuse: int = 0
    lose: int = 0
    seconds: float = 0.0
    mute_strangers: bool = False
    drop_rakp: bool = False
    sol_off: bool = False
    sol_taken: bool = False
    breaks: int = 0
    one_suite: bool = False
    cipher_0: bool = False
    anonymous: bool = False
    then: str = ""
    due: float = 0.0

    def now(self) -> str:
        """Its power, with what is due by now."""
        if self.rack:
            self.power = self.chassis().power()
        if self.then and self.due <= time.monotonic():
            self.power, self.then = self.then, ""
        return self.power

    def press(self, control: int) -> int:
        """Chassis control (28.3); a completion code."""
        if self.refuse:
            return self.refuse
        self.pressed.append(control)
        if self.ignore or (control == 5 and self.deaf):
            return 0
        if self.rack and control in BUTTONS:
            self.chassis().press(BUTTONS[control], self.seconds)
        elif not self.rack:
            then = {0: "off", 1: "on", 5: "off"}.get(control)
            if then:
                self.then, self.due = then, time.monotonic() + self.seconds
        return 0

    def chassis(self) -> Chassis:
        return Chassis(self.rack, self.name)

    def fed(self) -> bool:
        """Whether its BMC has power: that comes from the same supply."""
        return not self.rack or self.chassis().fed()


class Session(ServerSession):  # type: ignore[misc]
    """A client's session; the stock one takes any proposal of ciphers and answers another."""

    k1 = None  # a packet may come before there is a key
    last_payload_type = None
    opened = False

    def sol_handler(self, payload: bytearray) -> None:
        self.bmc.sol.packet(self, bytes(payload))

    def send_payload(self, *args: Any, **more: Any) -> None:
        """Out of one thread at a time: the sequence number and the packet are the session's."""
        with self.bmc.lock:
            super().send_payload(*args, **more)

    def create_open_session_response(self, request: bytearray) -> bytearray:
        chosen = 1 if self.bmc.machine.one_suite else request[12]
        if chosen == 1 or (chosen == 0 and self.bmc.machine.cipher_0):
            answer = bytearray(super().create_open_session_response(request))
            answer[16] = chosen
            return answer
        self.clientsessionid = request[4:8]
        return bytearray([request[0], NO_SUITE, 0, 0]) + self.clientsessionid

    def _got_rakp1(self, data: bytearray) -> None:
        name = bytes(data[28:]).decode(errors="replace")
        if self.authdata.get(name) is None and not self.bmc.machine.mute_strangers:
            refusal = bytearray([data[0], NO_NAME, 0, 0]) + self.clientsessionid
            self.send_payload(refusal, constants.payload_types["rakp2"], retry=False)
            return
        super()._got_rakp1(data)

    def handle_client_request(self, request: dict[str, Any]) -> None:
        what, machine = (request["netfn"], request["command"]), self.bmc.machine
        if what in OPENS and self.opened != OPENS[what]:
            self.opened = OPENS[what]
            machine.sessions += 1 if self.opened else -1
        if what == CLOSE:
            self.bmc.sol.leave(self)
        self.bmc.sol.heard(self)
        super().handle_client_request(request)


class LabBmc(Bmc):  # type: ignore[misc]
    """One BMC. It listens behind the relay, which has the port that others know."""

    def __init__(self, name: str, machine: Machine, address: str) -> None:
        self.name, self.machine = name, machine
        self.lock = threading.RLock()
        self.sol, self._line = Sol(self.lock, machine, self._write), set[asyncio.StreamWriter]()
        super().__init__({machine.user: machine.password}, 0, UUID(machine.uuid), address)
        self.port = self.serversocket.getsockname()[1]
        self.relay = Relay((address, self.port), self._passes, _in_session)

    def _passes(self, data: bytes) -> bool:
        if not self.machine.fed():
            return False
        return not (self.machine.drop_rakp and len(data) > 5 and data[4] == 6 and data[5] & 0x3F in RAKP)

    def sessionless_data(self, data: bytes, sockaddr: Any) -> None:
        self.authdata = {self.machine.user: self.machine.password}
        status = 0b00000100 | self.machine.anonymous
        self.authcap = struct.pack("9B", 0, 1, 0b10000000, status, 0b00000010, 0, 0, 0, 0)
        if len(data) > 16 and data[4:6] == b"\x06\x10":
            Session(self.authdata, self.kg, sockaddr, self.serversocket, bytearray(data[16:]), self.uuid, bmc=self)
            return
        super().sessionless_data(data, sockaddr)

    def handle_raw_request(self, request: dict[str, Any], session: Any) -> None:
        function, command, data = request["netfn"], request["command"], bytes(request["data"])
        if function == 6 and ACTIVATE <= command <= INSTANCE:
            code, answer = self.sol.command(command, self.machine.port, session)
        else:
            code, answer = self._answer(function, command, data)
        if (request["netfn"], request["command"]) == (0, 0x02) and self.machine.lose > 0:
            self.machine.lose -= 1
            return
        session.send_ipmi_response(code=code, data=list(answer))

    # -- the serial line -----------------------------------------------------------------------------------------------
    async def begin(self) -> None:
        """Have a line, and time pass for what goes over it."""
        self._loop = asyncio.get_running_loop()
        self._ticking = self._loop.create_task(self._tick())
        if self.machine.line:
            Path(self.machine.line).unlink(missing_ok=True)
            await asyncio.start_unix_server(self._attach, self.machine.line)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.sol.tick()

    async def _attach(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A machine is at the other end of its line, until it ends."""
        self._line.add(writer)
        try:
            while data := await reader.read(4096):
                self.sol.spoken(data)
        except ConnectionError:
            return
        finally:
            self._line.discard(writer)
            writer.close()

    def _write(self, data: bytes) -> None:
        """Called in the thread of packets."""
        self._loop.call_soon_threadsafe(self._put, data)

    def _put(self, data: bytes) -> None:
        for writer in self._line:
            writer.write(data)

    # -- commands ------------------------------------------------------------------------------------------------------
    def _answer(self, function: int, command: int, data: bytes) -> tuple[int, bytes]:
        """Completion code and data."""
        machine = self.machine
        match function, command:
            case (0, 0x01):
                on = (machine.lie or machine.now()) == "on"
                return 0, bytes([on, 0, 0x40 | (0x20 if machine.lit else 0)])
            case (0, 0x02):
                return machine.press(data[0]), b""
            case (0, 0x04):
                machine.lit = bool(data[0] or data[1:2] == b"\x01")
                return 0, b""
            case (0, 0x08):
                if data[0] == 5 and not machine.ignore:
                    machine.boot = [data[1], data[2]]
                return 0, b""
            case (0, 0x09):
                return 0, bytes([1, 5, *machine.boot, 0, 0, 0])
            case (6, 0x01):
                return 0, bytes([0x20, 1, 1, 0, 2, 0x8F, 0xFF, 0xFF, 0, 1, 0])
            case (6, 0x37):
                return 0, UUID(machine.uuid).bytes_le
            case (0x0C, 0x22):
                return self.sol.parameter(data[1], machine.port)
        return self._tell(function, command, data)

    def _tell(self, function: int, command: int, data: bytes) -> tuple[int, bytes]:
        """FRU (34), SDR (33), sensor (35) and SEL (31) of the specification, as much as one reads."""
        match function, command:
            case (0x0A, 0x10):
                return 0, struct.pack("<HB", len(fru(self.machine)), 0)
            case (0x0A, 0x11):
                at = int.from_bytes(data[1:3], "little")
                piece = fru(self.machine)[at : at + data[3]]
                return 0, bytes([len(piece)]) + piece
            case (0x0A, 0x20):
                return 0, struct.pack("<BHHIIB", 0x51, 1, 0xFFFF, 1, 1, 2)
            case (0x0A, 0x22):
                return 0, b"\x01\x00"
            case (0x0A, 0x23):
                return 0, b"\xff\xff" + SDR[data[4] : data[4] + data[5]]
            case (0x04, 0x2D):
                return 0, bytes([42, 0xC0, 0xC0])
            case (0x0A, 0x40):
                return 0, struct.pack("<BHHIIB", 0x51, len(self.machine.pressed), 0xFFFF, 1, 1, 0)
            case (0x0A, 0x43):
                pressed = self.machine.pressed
                number = int.from_bytes(data[2:4], "little") or 1
                if number > len(pressed):
                    return 0xCB, b""
                after = number + 1 if number < len(pressed) else 0xFFFF
                return 0, struct.pack("<H", after) + event(number, pressed[number - 1])
            case (0x0A, 0x48):
                return 0, struct.pack("<I", int(time.time()))
        return 0xC1, b""


def _in_session(data: bytes) -> bool:
    """Whether it is a message of a session, not of a login."""
    return len(data) > 6 and data[4] == 6 and data[5] & 0x3F == 0


def fru(machine: Machine) -> bytes:
    """A FRU inventory area (FRU 1.0, chapters 8 and 12) with a product area alone."""
    texts = ["Lab", "Record", "L-1", "1", machine.serial, "", ""]
    fields = b"".join(bytes([0xC0 | len(text)]) + text.encode() for text in texts) + b"\xc1"
    area = bytearray(bytes([1, 0, 25]) + fields)
    area += bytes(-(len(area) + 1) % 8)
    area[1] = (len(area) + 1) // 8
    head = bytes([1, 0, 0, 0, 1, 0, 0])
    return head + bytes([-sum(head) & 0xFF]) + bytes(area) + bytes([-sum(area) & 0xFF])


def full_sensor_record(number: int, name: str) -> bytes:
    """A temperature in degrees Celsius as it is (43.1): M = 1, all else 0."""
    body = bytearray(43)  # after the header of 5
    body[0], body[2], body[3], body[4] = 0x20, number, 0x03, 0x01
    body[5], body[6], body[7], body[8] = 0x7F, 0x68, 0x01, 0x01
    body[16] = 1  # units: degrees C
    body[19] = 1  # M
    body[42] = 0xC0 | len(name)
    body += name.encode()
    return struct.pack("<HBBB", 1, 0x51, 1, len(body)) + bytes(body)


def event(number: int, control: int) -> bytes:
    """A SEL record (32.1): system event, by what was pressed."""
    return struct.pack("<HBIHBBBBBBB", number, 2, int(time.time()), 0x20, 4, 0x12, 1, 0x6F, 0xA0 | 1, control, 0xFF)


SDR = full_sensor_record(1, "Inlet")


def main(plan_file: str) -> None:
    with open(plan_file, encoding="utf-8") as file:
        plan = json.load(file)
    bmcs = {name: LabBmc(name, Machine(**fields), plan["address"]) for name, fields in plan["bmcs"].items()}

    def change(request: dict[str, Any]) -> dict[str, Any]:
        bmc = bmcs[request["bmc"]]
        for target, changes in ((bmc.machine, "machine"), (bmc.relay.weather, "weather")):
            for name, value in request.get(changes, {}).items():
                if not hasattr(target, name):
                    raise ValueError(f"{changes} has no {name}")
                setattr(target, name, value)
        bmc.machine.now()
        return asdict(bmc.machine) | {"requests": bmc.relay.requests, "weather": asdict(bmc.relay.weather)}

    async def serve() -> None:
        for bmc in bmcs.values():
            await bmc.begin()
            bmc.machine.port = await bmc.relay.listen((plan["address"], bmc.machine.port))
        async with await answer_on(plan["control"], change) as server:
            print("ready", flush=True)
            await server.serve_forever()

    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
    Bmc.listen()


if __name__ == "__main__":
    main(sys.argv[1])
