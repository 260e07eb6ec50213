"""The life cycles as tables: VM, host, operation.

``{state: {event: next}}``. What a row does not name is illegal and raises. The tables are what the manual shows
(`draw`) and what a test walks pair by pair; the core asks them before it changes anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap

from tashi.wire.errors import Code, Refused

Table = Mapping[str, Mapping[str, str]]

VM: Table = {
    "pending": {
        "place": "starting",
        "found": "running",
        "refuse": "failed",
        "cancel": "stopped",
        "withdraw": "gone",
        "differ": "unknown",
        "destroy": "destroying",
    },
    "held": {
        "place": "starting",
        "found": "running",
        "expire": "failed",
        "cancel": "stopped",
        "withdraw": "gone",
        "differ": "unknown",
        "destroy": "destroying",
    },
    "starting": {
        "runs": "running",
        "fails": "failed",
        "stops": "stopped",
        "cancel": "shutting-down",
        "differ": "unknown",
        "silence": "unknown",
        "destroy": "destroying",
    },
    "running": {
        "shutdown": "shutting-down",
        "cut": "shutting-down",
        "migrate": "migrating",
        "stops": "stopped",
        "differ": "unknown",
        "silence": "unknown",
        "destroy": "destroying",
    },
    "shutting-down": {
        "cut": "shutting-down",
        "stops": "stopped",
        "ignores": "running",
        "differ": "unknown",
        "silence": "unknown",
        "destroy": "destroying",
    },
    "stopped": {
        "start": "starting",
        "hold": "held",
        "found": "running",
        "differ": "unknown",
        "destroy": "destroying",
    },
    "failed": {
        "start": "starting",
        "hold": "held",
        "found": "running",
        "differ": "unknown",
        "destroy": "destroying",
    },
    "migrating": {
        "arrives": "running",
        "stays": "running",
        "stops": "stopped",
        "differ": "unknown",
        "silence": "unknown",
        "destroy": "destroying",
    },
    "unknown": {
        "runs": "running",
        "stops": "stopped",
        "forget": "gone",
        "destroy": "destroying",
    },
    "destroying": {"gone": "gone"},
}

HOST: Table = {
    "normal": {"drain": "draining", "remove": "gone"},
    "draining": {"empty": "drained", "resume": "normal", "drain": "draining", "remove": "gone"},
    "drained": {"resume": "normal", "drain": "draining", "remove": "gone"},
}

JOB: Table = {
    "running": {"succeed": "done", "fail": "failed", "cancel": "cancelled"},
    "done": {},
    "failed": {},
    "cancelled": {},
}

TABLES: Mapping[str, Table] = {"vm": VM, "host": HOST, "job": JOB}

_WAY_OUT = {
    ("vm", "migrate"): "only a running VM migrates",
    ("vm", "shutdown"): "only a running VM can be asked to shut down; tvm-destroy removes it",
    ("vm", "cut"): "only what runs has power to be cut; tjob-cancel calls back what has not started yet",
    ("vm", "start"): "only a stopped or failed VM can be started",
}


def step(kind: str, state: str, event: str, name: str) -> str:
    """The state that follows; raises Refused (wrong-state) naming object, state and event when there is none."""
    try:
        return TABLES[kind][state][event]
    except KeyError:
        raise Refused(
            Code.WRONG_STATE, f"can't {event} {name}: it is {state}", _WAY_OUT.get((kind, event), "")
        ) from None


def events(kind: str) -> list[str]:
    """All events that a table knows, in order of first mention."""
    return list(dict.fromkeys(event for row in TABLES[kind].values() for event in row))


def draw(kind: str) -> str:
    """The table as text for 80 columns: each state, then ``event -> next`` for all that may happen to it."""
    lines = []
    for state, row in TABLES[kind].items():
        moves = ", ".join(f"{event} -> {after}" for event, after in row.items())
        lines += wrap(f"{state:<14} {moves or '(the end)'}", 76, subsequent_indent=" " * 15, break_on_hyphens=False)
    return "\n".join(lines) + "\n"
