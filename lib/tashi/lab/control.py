"""How a laboratory's peer is told what to do: one JSON object a connection on a unix socket, one back."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from contextlib import closing
from typing import Any

REQUEST_MAX = 64 * 2**10
Answer = Callable[[dict[str, Any]], dict[str, Any]]


async def answer_on(path: str, answer: Answer) -> asyncio.Server:
    """Answer requests at ``path``; what ``answer`` raises is told."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            told = answer(json.loads(await asyncio.wait_for(reader.readline(), 5.0)))
        except Exception as error:
            told = {"error": f"{type(error).__name__}: {error}"}
        writer.write(json.dumps(told).encode() + b"\n")
        await writer.drain()
        writer.close()

    return await asyncio.start_unix_server(serve, path, limit=REQUEST_MAX)


def ask(path: str, request: dict[str, Any]) -> dict[str, Any]:
    """One request and its answer. Raises OSError where nobody listens, ValueError for what was refused."""
    with closing(socket.socket(socket.AF_UNIX)) as line:
        line.settimeout(10.0)
        line.connect(path)
        line.sendall(json.dumps(request).encode() + b"\n")
        with line.makefile("rb") as answers:
            told: dict[str, Any] = json.loads(answers.readline())
    if "error" in told:
        raise ValueError(told["error"])
    return told
