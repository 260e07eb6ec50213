"""The machines of a laboratory in their rack: which outlet feeds them, and whether they run.

    python3 -m tashi.lab.peers.rack PLAN

PLAN is a JSON file: {"control": SOCKET, "machines": {NAME: {"argv": [...], "outlets": [...]}}}. ``argv`` starts a
machine, QEMU with its monitor (QMP) on standard input; where it is empty, the machine is nothing but a record. It says
"ready" when the socket (see control.py) is there, which takes

    {"machine": NAME, "press": "on" | "off" | "soft" | "reset" | "cycle", "after": SECONDS}
    {"outlet": OUTLET, "gives": true | false}

and is answered with what is so of the machine, or of all. Who switches is a BMC, or a PDU; what is so is the process
itself: one that ended, of whatever cause, is a machine that is off.

A machine lives as long as one of its outlets gives power. When power comes back it stays off, as its BMC says
(IPMI 2.0, table 28-3: power restore policy 00).
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from typing import Any

from tashi.lab.control import answer_on

QMP = {"soft": "system_powerdown", "reset": "system_reset"}


class Machine:
    def __init__(self, name: str, argv: list[str], outlets: list[str]) -> None:
        self.name, self.dead_outlets = name, set[str]()
        self._argv, self._outlets = argv, set(outlets)
        self._process: subprocess.Popen[bytes] | None = None
        self._on = False  # of one that is a record

    @property
    def on(self) -> bool:
        return self._process is not None and self._process.poll() is None if self._argv else self._on

    @property
    def fed(self) -> bool:
        return bool(self._outlets - self.dead_outlets)

    def press(self, button: str) -> None:
        """What its buttons do; what does not fit its state does nothing. Raises ValueError without power."""
        if not self.fed:
            raise ValueError(f"{self.name}: no outlet of it gives power")
        match button, self.on:
            case "on", False:
                self._start()
            case "off", True:
                self._end()
            case "cycle", True:
                self._end()
                self._start()
            case (("soft" | "reset"), True):
                self._ask(button)

    def switched(self, outlet: str, gives: bool) -> None:
        """An outlet gives power now, or none."""
        (self.dead_outlets.discard if gives else self.dead_outlets.add)(outlet)
        if not self.fed and self.on:
            self._end()

    def told(self) -> dict[str, Any]:
        pid = self._process.pid if self._process is not None and self.on else None
        return {"on": self.on, "fed": self.fed, "pid": pid, "outlets": sorted(self._outlets)}

    def _start(self) -> None:
        say(f"{self.name}: on")
        self._on = True
        if self._argv:
            # It ends with the rack, whatever ends that.
            argv = ["setpriv", "--pdeathsig", "KILL", *self._argv]
            self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            self._tell("qmp_capabilities")

    def _end(self) -> None:
        say(f"{self.name}: off")
        self._on = False
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _ask(self, button: str) -> None:
        """Its own software has a say in it; a record's does as it is told."""
        say(f"{self.name}: {button}")
        if self._argv:
            self._tell(QMP[button])
        elif button == "soft":
            self._on = False

    def _tell(self, command: str) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(json.dumps({"execute": command}).encode() + b"\n")
        self._process.stdin.flush()


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


async def main(plan_file: str) -> None:
    with open(plan_file, encoding="utf-8") as file:
        plan = json.load(file)
    machines = {name: Machine(name, **fields) for name, fields in plan["machines"].items()}
    loop = asyncio.get_running_loop()

    def late(machine: Machine, button: str) -> None:
        if machine.fed:
            machine.press(button)

    def change(request: dict[str, Any]) -> dict[str, Any]:
        if "outlet" in request:
            for machine in machines.values():
                machine.switched(request["outlet"], request["gives"])
        if "machine" not in request:
            return {"machines": {name: machine.told() for name, machine in machines.items()}}
        machine = machines[request["machine"]]
        if request.get("after"):
            loop.call_later(request["after"], late, machine, request["press"])
        elif "press" in request:
            machine.press(request["press"])
        return machine.told()

    async with await answer_on(plan["control"], change) as server:
        say("ready")
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
