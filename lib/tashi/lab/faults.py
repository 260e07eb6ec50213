"""What can be made wrong with the devices around a lab's machines, by a word each: a table of what the peer is told.

A fault comes on top of those that are there already; ``ok`` ends them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OK = "ok"
SLOW_SECONDS = 0.5  # for each answer; to log in takes some eight
ANOTHER = "not the password"

# word -> part of the peer -> field -> value while it is so; when all is well a field is empty
Table = Mapping[str, Mapping[str, Mapping[str, Any]]]
BMC: Table = {
    "silent": {"weather": {"silent": True}, "redfish": {"silent": True}},
    "slow": {"weather": {"delay": SLOW_SECONDS}, "redfish": {"delay": SLOW_SECONDS}},
    "wrong-password": {"machine": {"password": ANOTHER}, "redfish": {"password": ANOTHER}},
    "says-off": {"machine": {"lie": "off"}, "redfish": {"lie": "Off"}},
    "says-on": {"machine": {"lie": "on"}, "redfish": {"lie": "On"}},
    "ignores": {"machine": {"ignore": True}, "redfish": {"ignore": True}},
    "drops-rakp": {"machine": {"drop_rakp": True}},
    "sol-off": {"machine": {"sol_off": True}},
    "sol-taken": {"machine": {"sol_taken": True}},
    "one-suite": {"machine": {"one_suite": True}},
}
PDU: Table = {
    "silent": {"weather": {"silent": True}},
    "slow": {"weather": {"delay": SLOW_SECONDS}},
    "ignores": {"pdu": {"ignore": True}},
    "read-only": {"pdu": {"read_only": True}},
}

SWITCH: Table = {
    "silent": {"weather": {"silent": True}},
    "slow": {"weather": {"delay": SLOW_SECONDS}},
}


def request(table: Table, word: str, healthy: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What the peer is asked for ``word``; ``healthy``: the fields that are not empty when all is well."""
    if word != OK:
        return {part: dict(fields) for part, fields in table[word].items()}
    asked: dict[str, dict[str, Any]] = {}
    for parts in table.values():
        for part, fields in parts.items():
            well = {name: healthy.get(name, type(value)()) for name, value in fields.items()}
            asked[part] = asked.get(part, {}) | well
    return asked


def present(table: Table, told: Mapping[str, Any]) -> list[str]:
    """The faults that a peer has by its own word, an answer on its control socket."""
    return [
        word
        for word, parts in table.items()
        if all(told.get(part, told)[name] == value for part, fields in parts.items() for name, value in fields.items())
    ]


def health(table: Table, told: Mapping[str, Any]) -> str:
    """The same in one word for status; ``told`` is empty when nobody answered."""
    return (",".join(present(table, told)) or OK) if told else "gone"
