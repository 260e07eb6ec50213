"""tashi-check: findings of this machine and of the controller in one list."""

from __future__ import annotations

import json
from typing import Any

from tashi.cli.call import Call
from tashi.cli.table import print_records
from tashi.model.fields import FIELDS
from tashi.wire.errors import Code, TashiError


def print_findings(call: Call, here: list[dict[str, str]]) -> int:
    """Print them; returns how many there are. That the controller does not answer is one."""
    found: list[dict[str, Any]] = [*here]
    try:
        answer = call.client.ask("list", {"noun": "finding", "format": "json", "limit": 10_000})
        found += [json.loads(line) for line in answer.rows.splitlines()]
    except TashiError as error:
        if error.code != Code.NO_ANSWER:
            raise
        help = error.hint or "start it: systemctl start tashi-controller"
        found.append({"kind": "controller", "name": "controller", "what": error.text, "help": help})
    if found or call.output.style == "json":
        print_records(call.output, FIELDS["finding"], found)
    return len(found)
