"""Children that behave, and children that don't: what the worker tests start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from tashi.run import child
from tashi.wire.errors import Code, Refused


class NothingDone(Exception):
    """Definite: the call had no effect."""


def refuse(args: dict[str, Any]) -> object:
    raise NothingDone(f"{args['what']}: no")


def have_no_room(args: dict[str, Any]) -> object:
    raise Refused(Code.NO_ROOM, "no room")


def break_down(args: dict[str, Any]) -> object:
    raise RuntimeError("half done")


def hang(args: dict[str, Any]) -> object:
    time.sleep(1000)
    return None


def leave_a_grandchild(args: dict[str, Any]) -> object:
    """Starts what outlives a plain kill, says its pid in a file, hangs."""
    process = subprocess.Popen(["sleep", "1000"])
    with open(args["file"] + ".tmp", "w", encoding="ascii") as file:
        file.write(str(process.pid))
    os.rename(args["file"] + ".tmp", args["file"])
    return hang(args)


def end(args: dict[str, Any]) -> object:
    os.kill(os.getpid(), args["signal"])
    return hang(args)


VERBS: dict[str, Callable[[dict[str, Any]], object]] = {
    "echo": lambda args: {"pid": os.getpid(), "got": args},
    "environment": lambda args: dict(os.environ),
    "print": lambda args: print("this goes to the log, not to the channel"),
    "refuse": refuse,
    "no room": have_no_room,
    "break": break_down,
    "hang": hang,
    "grandchild": leave_a_grandchild,
    "end": end,
}


def main() -> None:
    mode = sys.argv[1] if len(sys.argv) > 1 else "serve"
    channel = child.take_channel()
    if mode == "serve":
        child.serve(channel, VERBS, (NothingDone,))
    elif mode == "garbage":
        channel.recv(10)
        channel.sendall(b"\x00\xff not json\n")
        time.sleep(1000)
    elif mode == "wrong-id":
        channel.recv(10)
        channel.sendall(b'{"id": 99, "outcome": "ok", "value": null, "text": "", "code": ""}\n')
        time.sleep(1000)
    elif mode == "endless-line":
        channel.recv(10)
        while True:
            channel.sendall(b"x" * 2**16)
    elif mode == "silent-end":
        sys.exit(3)
    elif mode == "events":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        child.say(channel, {"vm": "v-1", "what": "stopped"})
        if len(sys.argv) > 2:
            sys.exit(0)
        time.sleep(1000)


if __name__ == "__main__":
    main()
