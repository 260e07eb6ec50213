"""The machines of a laboratory in their rack: which outlets feed them, and whether they run.

    python3 -m tashi.lab.peers.rack PLAN

PLAN is a JSON file: {"control": SOCKET, "machines": {NAME: {"kind": KIND, "outlets": [...], ...}}}. A machine of the
kind "qemu" is started by its "argv", with its monitor (QMP) on standard input; a "host" is the host of that name in the
"lab", switched as people do it; a "record" is nothing more. It says "ready" when the socket (see
control.py) is there, which takes

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
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from tashi.lab.control import answer_on
from tashi.lab.programs import program
from tashi.lab.record import Folders

WITH_US = ("setpriv", "--pdeathsig", "KILL")
NIC = "eth0"


class Machine:
    """What all have in common. This one is nothing but a record."""

    def __init__(self, name: str, outlets: Sequence[str]) -> None:
        self.name, self._outlets, self._dead_outlets = name, set(outlets), set[str]()
        self._on = False

    # -- what it is made of --------------------------------------------------------------------------------------------
    @property
    def on(self) -> bool:
        return self._on

    @property
    def pid(self) -> int | None:
        return None

    def start(self) -> None:
        self._on = True

    def end(self) -> None:
        self._on = False

    def soft(self) -> None:
        """Its power button: its own software has a say in what follows."""
        self.end()

    def reset(self) -> None:
        """Its reset button."""

    # -- what can be done to it ----------------------------------------------------------------------------------------
    @property
    def fed(self) -> bool:
        return bool(self._outlets - self._dead_outlets)

    def press(self, button: str) -> None:
        """What its buttons do; what does not fit its state does nothing. Raises ValueError without power."""
        if not self.fed:
            raise ValueError(f"{self.name}: no outlet of it gives power")
        say(f"{self.name}: {button}, and is {'on' if self.on else 'off'}")
        match button, self.on:
            case "on", False:
                self.start()
            case "off", True:
                self.end()
            case "cycle", True:
                self.end()
                self.start()
            case "soft", True:
                self.soft()
            case "reset", True:
                self.reset()

    def press_late(self, button: str) -> None:
        if self.fed:
            self.press(button)

    def switched(self, outlet: str, gives: bool) -> None:
        """An outlet gives power now, or none."""
        (self._dead_outlets.discard if gives else self._dead_outlets.add)(outlet)
        if not self.fed and self.on:
            say(f"{self.name}: outlet {outlet} is off")
            self.end()

    def told(self) -> dict[str, Any]:
        return {"on": self.on, "fed": self.fed, "pid": self.pid}


class Qemu(Machine):
    """A QEMU process, and a network namespace whose one link is up while that lives. Both end with the rack, whatever
    ends that."""

    def __init__(self, name: str, outlets: Sequence[str], argv: Sequence[str]) -> None:
        super().__init__(name, outlets)
        self._argv = [*WITH_US, *argv]
        self._process: subprocess.Popen[bytes] | None = None
        self._namespace = subprocess.Popen([*WITH_US, "unshare", "--net", "sleep", "infinity"])

    @property
    def on(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self.on else None

    def start(self) -> None:
        self._process = subprocess.Popen(self._argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self._tell("qmp_capabilities")
        self._set_link("up")
        handle = os.pidfd_open(self._process.pid)
        asyncio.get_running_loop().add_reader(handle, self._ended, handle)

    def end(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._set_link("down")

    def soft(self) -> None:
        self._tell("system_powerdown")

    def reset(self) -> None:
        self._tell("system_reset")

    def told(self) -> dict[str, Any]:
        return super().told() | {"namespace": self._namespace.pid}

    def _ended(self, handle: int) -> None:
        """Of whatever cause; it may have been started again meanwhile."""
        asyncio.get_running_loop().remove_reader(handle)
        os.close(handle)
        if not self.on:
            self._set_link("down")

    def _set_link(self, state: str) -> None:
        inside = ["nsenter", "--target", str(self._namespace.pid), "--net", "--"]
        subprocess.run([*inside, "ip", "link", "set", NIC, state], check=True, timeout=10)

    def _tell(self, command: str) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(json.dumps({"execute": command}).encode() + b"\n")
        self._process.stdin.flush()


class Host(Machine):
    """A host of the lab, which `tashi-lab` switches; that takes a while, and this is not waited for."""

    def __init__(self, name: str, outlets: Sequence[str], lab: str) -> None:
        super().__init__(name, outlets)
        self._lab, self._verbs = lab, list[str]()
        self._at_work: asyncio.Task[None] | None = None

    @property
    def on(self) -> bool:
        record = Folders(self._lab).load()
        return record.hosts[self.name].runs(record.kind)

    def start(self) -> None:
        self._then("start")

    def end(self) -> None:
        self._then("crash")

    def reset(self) -> None:
        self.end()
        self.start()

    def _then(self, verb: str) -> None:
        self._verbs.append(verb)
        if self._at_work is None:
            self._at_work = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while self._verbs:
            argv = [*program("tashi-lab"), "--name", self._lab, self._verbs.pop(0), self.name]
            await (await asyncio.create_subprocess_exec(*argv)).wait()
        self._at_work = None


KINDS = {"record": Machine, "qemu": Qemu, "host": Host}


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


async def main(plan_file: str) -> None:
    with open(plan_file, encoding="utf-8") as file:
        plan = json.load(file)
    machines: dict[str, Machine] = {
        name: KINDS[fields.pop("kind")](name, **fields) for name, fields in plan["machines"].items()
    }
    loop = asyncio.get_running_loop()

    def change(request: dict[str, Any]) -> dict[str, Any]:
        if "outlet" in request:
            for machine in machines.values():
                machine.switched(request["outlet"], request["gives"])
        if "machine" not in request:
            return {"machines": {name: machine.told() for name, machine in machines.items()}}
        machine = machines[request["machine"]]
        if request.get("after"):
            loop.call_later(request["after"], machine.press_late, request["press"])
        elif "press" in request:
            machine.press(request["press"])
        return machine.told()

    async with await answer_on(plan["control"], change) as server:
        say("ready")
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
