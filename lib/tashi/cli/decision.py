"""tashi-explain --decision: what was decided, from what and why, as the controller has kept it."""

from __future__ import annotations

from typing import Any

import click

from tashi.cli.call import Call
from tashi.cli.table import fields_of, print_blocks, print_records


def print_decision(call: Call, ref: str, others: dict[str, Any]) -> None:
    """One record, and for people a line for each host that it tells of. No when nothing was placed.

    Raises click.UsageError when something else was asked for too.
    """
    if call.operands or any(value not in (None, "", ()) for value in others.values()):
        raise click.UsageError("--decision shows what was decided; nothing else can be asked with it")
    told = call.client.ask("decision", {"name": ref}).ok
    if told["outcome"] != "placed":
        call.untrue()
    verdicts = told["verdicts"]
    record = told | {
        "score": next((each["score"] for each in verdicts if each["verdict"] == "chosen"), None),
        "terms": next((each["terms"] for each in verdicts if each["verdict"] == "chosen"), None),
        "fits": {each["host"]: each["score"] for each in verdicts if each["verdict"] == "fits"},
        "unfit": {each["host"]: each["reason"] for each in verdicts if each["verdict"] == "no"},
    }
    record |= {key: None for key, value in record.items() if value in ("", [], {}) and key != "kept_out"}
    fields = fields_of("decision")
    if call.output.style != "table" or call.output.fields:
        print_records(call.output, fields, [record])
        return
    below = ("score", "terms", "fits", "unfit")
    head = {field.key: record.get(field.key) for field in fields if field.key not in below}
    print_blocks(call.output, fields, [{key: value for key, value in head.items() if value is not None}])
    if verdicts:
        call.output.text("\n")
        shown = ("host", "verdict", "score", "terms", "filter", "reason")
        columns = {field.key: field for field in fields_of("verdict")}
        print_records(call.output, [columns[key]._replace(shown=True) for key in shown], verdicts)
