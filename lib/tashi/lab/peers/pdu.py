"""A PDU with faults on demand: real SNMP, v3 and v2c, on a real port.

    python3 -m tashi.lab.peers.pdu PLAN

PLAN is a JSON file: {"control": SOCKET, "address": HOST, "port": PORT, "pdu": {...}}, with fields of `Pdu`. It says
"ready PORT" when the port is open. On the socket (see control.py) {"pdu": {...}, "weather": {...}} changes fields of
the PDU or of its cable (see relay.py) and is answered with what is so. With ``rack`` (the socket of peers/rack.py) its
outlets feed what stands there.

It has the objects of APC's rPDU (PowerNet-MIB) and of Raritan's PX (PDU2-MIB), both for the same outlets.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pysnmp.proto import rfc1902

from tashi.lab.chassis import feed
from tashi.lab.control import answer_on
from tashi.lab.peers.snmp_agent import Oid, Pair, Refusal, Right, serve
from tashi.lab.relay import Relay

APC_STATE: Oid = (1, 3, 6, 1, 4, 1, 318, 1, 1, 12, 3, 5, 1, 1, 4)
APC_CONTROL: Oid = (1, 3, 6, 1, 4, 1, 318, 1, 1, 12, 3, 3, 1, 1, 4)
RARITAN_STATE: Oid = (1, 3, 6, 1, 4, 1, 13742, 6, 4, 1, 2, 1, 3, 1)
RARITAN_CONTROL: Oid = (1, 3, 6, 1, 4, 1, 13742, 6, 4, 1, 2, 1, 2, 1)
# object -> what it says of an outlet that is off, and of one that is on
STATES: dict[Oid, tuple[int, int]] = {APC_STATE: (2, 1), APC_CONTROL: (2, 1), RARITAN_STATE: (8, 7)}
# object -> value that is set -> whether the outlet is on then
CONTROLS: dict[Oid, dict[int, bool]] = {APC_CONTROL: {1: True, 2: False}, RARITAN_CONTROL: {0: False, 1: True}}
FACTORY = "public"


@dataclass
class Pdu:
    """Faults: ``ignore``: says yes and does nothing, ``seconds``: until a change is so, ``odd``: is told as the state,
    ``read_only``: refuses every change, ``lose``: so many answers to changes are never sent, ``factory``: its makers'
    community "public" may read. ``community`` may do all, by v2c; empty: none."""

    outlets: dict[str, bool] = field(default_factory=dict)
    rack: str = ""
    user: str = "zoni"
    auth_password: str = "authpass123"
    privacy_password: str = "privpass123"
    community: str = ""
    asked: list[str] = field(default_factory=list)
    ignore: bool = False
    read_only: bool = False
    lose: int = 0
    lost: int = 0  # answers that are not to be sent
    factory: bool = False
    seconds: float = 0.0
    odd: int = 0
    coming: dict[str, tuple[float, bool]] = field(default_factory=dict)

    def settle(self) -> None:
        """What is due by now is so."""
        due = [name for name, (when, _) in self.coming.items() if when <= time.monotonic()]
        for name in due:
            self.outlets[name] = self.coming.pop(name)[1]
            self.feed(name)

    def feed(self, name: str) -> None:
        if self.rack:
            feed(self.rack, name, self.outlets[name])

    def swallows(self) -> bool:
        """Whether the answer that is on its way now is lost."""
        self.lost, before = max(0, self.lost - 1), self.lost
        return before > 0

    def read(self, oid: Oid) -> Any | None:
        self.settle()
        says, name = STATES.get(oid[:-1]), str(oid[-1])
        if says is None or name not in self.outlets:
            return None
        return rfc1902.Integer32(self.odd or says[self.outlets[name]])

    def after(self, oid: Oid) -> Pair | None:
        there = sorted((*state, int(name)) for state in STATES for name in self.outlets)
        found = next((each for each in there if each > oid), None)
        return (found, self.read(found)) if found else None

    def write(self, pairs: Sequence[Pair]) -> None:
        for index, (oid, value) in enumerate(pairs):
            values, name = CONTROLS.get(oid[:-1]), str(oid[-1])
            if values is None or name not in self.outlets:
                raise Refusal("noCreation", index)
            if self.read_only:
                raise Refusal("notWritable", index)
            if int(value) not in values:
                raise Refusal("wrongValue", index)
            self._press(name, values[int(value)])

    def _press(self, name: str, on: bool) -> None:
        self.asked.append("on" if on else "off")
        self.lost, self.lose = self.lost + min(1, self.lose), max(0, self.lose - 1)
        if not self.ignore:
            self.coming[name] = (time.monotonic() + self.seconds, on)
            self.settle()
            if self.seconds:
                asyncio.get_running_loop().call_later(self.seconds, self.settle)


async def main(plan_file: str) -> None:
    with open(plan_file, encoding="utf-8") as file:
        plan = json.load(file)
    pdu = Pdu(**plan["pdu"])
    rights = [Right(FACTORY, False), *([Right(pdu.community, True)] if pdu.community else [])]
    user = (pdu.user, pdu.auth_password, pdu.privacy_password)
    agent = await serve(pdu, plan["address"], "lab-pdu", user, rights)
    known = bytes([4, len(FACTORY)]) + FACTORY.encode()  # as it stands in a message of v2c
    relay = Relay(
        agent,
        lambda data: pdu.factory or known not in data,
        returns=lambda _: not pdu.swallows(),
    )
    port = await relay.listen((plan["address"], plan["port"]))

    def change(request: dict[str, Any]) -> dict[str, Any]:
        for target, changes in ((pdu, "pdu"), (relay.weather, "weather")):
            for name, value in request.get(changes, {}).items():
                if not hasattr(target, name):
                    raise ValueError(f"{changes} has no {name}")
                setattr(target, name, value)
        pdu.settle()
        for name in request.get("pdu", {}).get("outlets", {}):
            pdu.feed(name)
        return asdict(pdu) | {"requests": relay.requests, "weather": asdict(relay.weather)}

    async with await answer_on(plan["control"], change) as server:
        print(f"ready {port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
