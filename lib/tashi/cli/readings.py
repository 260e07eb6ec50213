"""What BMCs answer, as records: zoni-sensors, zoni-log, zoni-boot."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tashi.cli.answers import answers
from tashi.cli.call import Call
from tashi.cli.change import Wish
from tashi.cli.complete import Printed
from tashi.cli.table import fields_of, print_records

Records = Callable[[Any], Iterable[dict[str, Any]]]


def prints(noun: str) -> Printed:
    """What -o picks from."""
    return lambda typed: "plan" if typed.get("dry_run") else "job" if typed.get("submit") else noun


def print_answers(call: Call, verb: str, body: dict[str, Any], noun: str, records: Records) -> None:
    """Ask ``verb`` of each machine named, wait, and print what each BMC answered: the ``records`` in its answer."""
    for batch in answers(call, verb, [Wish(name, {"name": name} | body) for name in call.names]):
        found = [{"name": name} | record for name, answer in batch for record in records(answer)]
        print_records(call.output, fields_of(noun), found)
        call.output.flush()


def booting(answer: Any) -> Iterable[dict[str, Any]]:
    """From what a machine boots."""
    return [{"device": answer["device"], "once": answer.get("once", False), "uefi": answer.get("uefi")}]


def sensors(answer: Any) -> Iterable[dict[str, Any]]:
    """All readings."""
    keys = ("kind", "unit", "health", "state")
    return [
        {"sensor": each["name"], "value": each["value"]} | {key: each.get(key) or None for key in keys}
        for each in answer
    ]


def entries(answer: Any) -> Iterable[dict[str, Any]]:
    """Lines of an event log."""
    keys = ("at", "source", "severity", "text")
    return [{"entry": each["id"]} | {key: each.get(key) or None for key in keys} for each in answer]
