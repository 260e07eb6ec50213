"""The fake hosts' cables: every agent reaches the controller through a port here, which can be cut and slowed.

    python3 -m tashi.lab.proxy PLAN

A cut cable closes nothing: connections stay open and silent, new ones are taken and lead nowhere, and what was under
way arrives after the heal, as with a real cable and TCP. PLAN is a JSON file (`Plan`). One JSON line per connection on
the unix socket ``control`` changes a cable: {"host": NAME, "cut": BOOL, "rate_bits": N, "drop": BOOL}, each optional;
``drop`` forgets all connections without a word to the agent's side being forwarded, as the power cut of a host does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from functools import partial
from pathlib import Path
from typing import TypedDict

CHUNK = 16_384
REQUEST_MAX = 4096


class Plan(TypedDict):
    """``routes``: host -> pairs of (port to listen on, port to lead to), all on ``address``."""

    address: str
    control: str
    routes: dict[str, list[tuple[int, int]]]


class Lane:
    """One direction of a cable: what goes through takes its time, one after the other."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.rate_bits = 0

    async def carry(self, size: int) -> None:
        async with self.turn:
            if self.rate_bits:
                await asyncio.sleep(size * 8 / self.rate_bits)


class Cable:
    """One host's connections to the controller."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.whole = asyncio.Event()
        self.whole.set()
        self.up, self.down = Lane(), Lane()
        self.connections: set[asyncio.Task[None]] = set()

    def change(self, request: dict[str, object]) -> None:
        """Raises ValueError for what is no change of a cable."""
        unknown = request.keys() - {"host", "cut", "rate_bits", "drop"}
        if unknown:
            raise ValueError(f"{', '.join(sorted(unknown))}: not known")
        if request.get("drop"):
            for connection in self.connections:
                connection.cancel()
        if request.get("cut", not self.whole.is_set()):
            self.whole.clear()
        else:
            self.whole.set()
        if "rate_bits" in request:
            rate = request["rate_bits"]
            if not isinstance(rate, int):
                raise ValueError(f"rate_bits: {rate!r} is not a whole number")
            self.up.rate_bits = self.down.rate_bits = rate

    async def connect(self, target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Lead one connection to ``target`` until either side ends it, or the cable is dropped."""
        this = asyncio.current_task()
        assert this is not None
        self.connections.add(this)
        ends, pumps = [writer], []
        try:
            await self.whole.wait()
            far_reader, far_writer = await asyncio.open_connection(self.address, target)
            ends.append(far_writer)
            ways = ((reader, far_writer, self.up), (far_reader, writer, self.down))
            pumps = [asyncio.create_task(self.pump(*way)) for way in ways]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        except OSError:
            print(f"port {target}: no controller listens, the agent's connection ends too", file=sys.stderr, flush=True)
        except asyncio.CancelledError:
            for end in ends:
                end.transport.abort()  # nothing of what was under way is sent
        finally:
            self.connections.discard(this)
            for task in pumps:
                task.cancel()
            for end in ends:
                end.close()

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lane: Lane) -> None:
        try:
            while data := await reader.read(CHUNK):
                await self.whole.wait()  # what was read when the cable was cut is in it still
                await lane.carry(len(data))
                writer.write(data)
                await writer.drain()
            await self.whole.wait()  # nor does the other side hear of the end
        except OSError:
            await self.whole.wait()


async def serve(plan: Plan) -> None:
    cables = {name: Cable(plan["address"]) for name in plan["routes"]}

    async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = json.loads(await asyncio.wait_for(reader.read(REQUEST_MAX), 1.0))
            cables[request["host"]].change(request)
            answer: dict[str, object] = {"ok": True}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, TimeoutError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
        writer.close()

    servers = [
        await asyncio.start_server(partial(cables[name].connect, target), plan["address"], port)
        for name, routes in plan["routes"].items()
        for port, target in routes
    ]
    servers.append(await asyncio.start_unix_server(control, plan["control"]))
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(serve(json.loads(Path(sys.argv[1]).read_text())))
