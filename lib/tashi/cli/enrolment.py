"""thost-add and tuser-enroll: an enrolment file, whose token works once, for an hour.

`tashi-agent --enroll` takes a host's, `tashi-enroll` a user's.
"""

from __future__ import annotations

from typing import Any

import click

from tashi.cli.call import Call
from tashi.cli.change import Wish, ask_each, print_plan
from tashi.cli.output import Failure, json_line
from tashi.wire.errors import Code, TashiError

_LISTS = ("controller", "enroll")  # addresses, of which an agent tries one after the other


def print_documents(call: Call, verb: str) -> None:
    """Ask ``verb`` for each name and print its enrolment file: as TOML for one, with -j a record for each."""
    names = call.names
    if len(names) > 1 and call.output.style != "json" and not call.dry_run:
        raise click.UsageError(f"an enrolment file is one {call.noun}'s: give one NAME, or -j")
    for name, answer in ask_each(call, verb, [Wish(name, {"name": name}) for name in names]):
        if isinstance(answer, TashiError):
            call.fail(name, answer)
        elif call.dry_run:
            print_plan(call, verb, name, answer.ok)
        elif not answer.ok.get("extra", {}).get("token"):
            lost = "its token was in an answer that got lost; tokens are never told twice"
            call.fail(name, Failure(Code.CONFLICT, lost, f"{call.prog} {name}"))
        else:
            _print(call, name, document(answer.ok["extra"]))
            call.succeeded += 1


def document(extra: dict[str, str]) -> dict[str, Any]:
    """The enrolment file's content; the wire has lists as text between commas."""
    return {key: value.split(",") if key in _LISTS else value for key, value in extra.items()}


def _print(call: Call, name: str, enrolment: dict[str, Any]) -> None:
    import tomli_w

    if call.output.style == "json":
        call.output.rows(json_line({"name": name, "enrolment": enrolment}))
    else:
        call.output.text(tomli_w.dumps(enrolment))
