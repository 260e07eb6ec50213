"""A VLAN switch, with faults on demand: real SNMP, v3 and v2c, on a real port, with what Q-BRIDGE-MIB means behind it.

    python3 -m tashi.lab.peers.switch PLAN

PLAN is a JSON file: {"control": SOCKET, "address": HOST, "port": PORT, "name": NAME, "ports": COUNT}, and optional
"settings" (in the form of `switch_records.told`), "community", "user", and "ovs": {"run": FOLDER, "bridge": BRIDGE} for
one that carries frames (see switch_flows.py); else there is nothing but records. It says "ready PORT" when the port is
open.

On the socket (see control.py) {"settings": {...}} sets it up, {"faults": [{...}]}, {"tables": {...}} and {"weather":
{...}} make it wrong, {"restart": SECONDS} lets it be dark so long and start with what it saved. It is answered with
what is so.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from typing import Any

from tashi.lab.control import answer_on
from tashi.lab.peers.snmp_agent import Right, serve
from tashi.lab.peers.switch_records import Fault, NoPlane, Plane, Settings, Switch, read_settings, told
from tashi.lab.relay import Relay

USER = ("zoni", "authpass123", "privpass123")


class Peer:
    """The switch, its cable, and what is said on the socket."""

    def __init__(self, switch: Switch, relay: Relay) -> None:
        self._switch, self._relay = switch, relay

    def change(self, request: dict[str, Any]) -> dict[str, Any]:
        switch, weather = self._switch, self._relay.weather
        for name, value in request.get("weather", {}).items():
            if not hasattr(weather, name):
                raise ValueError(f"weather has no {name}")
            setattr(weather, name, value)
        if "settings" in request:
            switch.set_up(read_settings(request["settings"]))
            switch.asked.clear()
        if "faults" in request:
            switch.faults = [Fault(**each) for each in request["faults"]]
            switch.lost = 0
        if "tables" in request:
            switch.tables = request["tables"]
        if "neighbours" in request:
            switch.neighbours = {int(port): each for port, each in request["neighbours"].items()}
        if "heard" in request and isinstance(switch.plane, NoPlane):
            switch.plane.heard = [(vlan, mac, port) for vlan, mac, port in request["heard"]]
        if "restart" in request:
            self._restart(float(request["restart"]))
        switch.forget_view()
        return {
            "running": told(switch.running),
            "startup": told(switch.startup),
            "asked": switch.asked,
            "weather": asdict(weather),
            "requests": self._relay.requests,
        }

    def _restart(self, seconds: float) -> None:
        if not seconds:
            self._switch.restart()
            return
        self._relay.weather.silent = True
        dark = Settings(dict(self._switch.startup.ports), {})
        self._switch.plane.apply(dark)
        asyncio.get_running_loop().call_later(seconds, self._up)

    def _up(self) -> None:
        self._switch.restart()
        self._relay.weather.silent = False


def open_plane(plan: dict[str, Any]) -> Plane:
    if "ovs" not in plan:
        return NoPlane(plan["ports"])
    from tashi.lab.peers.switch_flows import Flows

    return Flows(plan["ovs"]["run"], plan["ovs"]["bridge"])


async def main(plan_file: str) -> None:
    with open(plan_file, encoding="utf-8") as file:
        plan = json.load(file)
    switch = Switch(plan["name"], plan["ports"], open_plane(plan))
    switch.set_up(read_settings(plan["settings"]) if "settings" in plan else switch.running)
    rights = [Right(plan["community"], True)] if plan.get("community") else []
    agent = await serve(switch, plan["address"], plan["name"], tuple(plan.get("user", USER)), rights)
    relay = Relay(agent, returns=lambda _: not switch.swallows())
    port = await relay.listen((plan["address"], plan["port"]))
    async with await answer_on(plan["control"], Peer(switch, relay).change) as server:
        print(f"ready {port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
