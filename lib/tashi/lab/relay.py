"""A cable for datagrams: a port in front of a device's, where packets are lost, late, doubled or forged at will."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

Address = tuple[str, int]

CLIENTS = 8  # of a device at a time: each takes a descriptor, and comes from a port of its own


@dataclass
class Weather:
    """``drop``: so many of the next requests vanish, ``lose``: so many answers. ``late``: before each answer the one
    before comes again; ``forge``: one with its last byte changed does, ``stranger``: the same from another port."""

    silent: bool = False
    delay: float = 0.0
    drop: int = 0
    lose: int = 0
    late: bool = False
    forge: bool = False
    stranger: bool = False


class Relay(asyncio.DatagramProtocol):
    """Between clients and one device at ``device``. ``passes``: which requests get through at all; ``forgeable``: which
    answers are forged when any are; ``returns``: which answers come back."""

    def __init__(
        self,
        device: Address,
        passes: Callable[[bytes], bool] = lambda _: True,
        forgeable: Callable[[bytes], bool] = lambda _: True,
        returns: Callable[[bytes], bool] = lambda _: True,
    ) -> None:
        self.weather, self.requests = Weather(), 0
        self._device, self._passes, self._forgeable, self._returns = device, passes, forgeable, returns
        self._clients: dict[Address, _Line] = {}
        self._stranger: asyncio.DatagramTransport | None = None
        self._door: asyncio.DatagramTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self, address: Address) -> int:
        """Take requests at ``address``; returns the port."""
        loop = asyncio.get_running_loop()
        self._door, _ = await loop.create_datagram_endpoint(lambda: self, address)
        self._stranger, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, (address[0], 0))
        port: int = self._door.get_extra_info("sockname")[1]
        return port

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.requests += 1
        weather = self.weather
        if weather.silent or not self._passes(data):
            return
        if weather.drop > 0:
            weather.drop -= 1
            return
        task = asyncio.create_task(self._forward(data, addr, weather.delay))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, data: bytes, client: Address, delay: float) -> None:
        await asyncio.sleep(delay)
        line = self._clients.pop(client, None)
        if line is not None:
            self._clients[client] = line  # the one that asked last is the last
        else:
            line = self._clients[client] = _Line(self, client)
            self._hang_up()
            loop = asyncio.get_running_loop()
            line.upstream, _ = await loop.create_datagram_endpoint(lambda: line, remote_addr=self._device)
            line.ready.set()
        await line.ready.wait()
        assert line.upstream is not None
        line.upstream.sendto(data)

    def _hang_up(self) -> None:
        """On those that have not asked for longest, when there are too many."""
        for client in list(self._clients)[:-CLIENTS]:
            former = self._clients.pop(client).upstream
            if former is not None:
                former.close()

    def answer(self, data: bytes, line: _Line) -> None:
        """An answer of the device on its way to the client of ``line``."""
        assert self._door is not None and self._stranger is not None
        weather = self.weather
        if weather.silent or not self._returns(data):
            return
        if weather.lose > 0:
            weather.lose -= 1
            return
        if weather.late and line.last:
            self._door.sendto(line.last, line.client)
        if weather.forge and self._forgeable(data):
            self._door.sendto(_other(data), line.client)
        if weather.stranger:
            self._stranger.sendto(_other(data), line.client)
        line.last = data
        self._door.sendto(data, line.client)


def _other(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 0x03])


class _Line(asyncio.DatagramProtocol):
    """One client's way to the device."""

    def __init__(self, relay: Relay, client: Address) -> None:
        self.relay, self.client, self.last = relay, client, b""
        self.upstream: asyncio.DatagramTransport | None = None
        self.ready = asyncio.Event()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.relay.answer(data, self)
