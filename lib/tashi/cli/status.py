"""tashi-status: one record about the whole, and an exit status."""

from __future__ import annotations

from tashi.cli.call import Call
from tashi.cli.output import json_line
from tashi.cli.table import fields_of, pick, print_blocks


def print_status(call: Call) -> None:
    """Print what the controller says of the cluster."""
    record = call.client.ask("status", {}).ok
    if call.output.fields:
        record = {field.key: record.get(field.key) for field in pick(fields_of("status"), call.output.fields, True)}
    if call.output.style == "json":
        call.output.rows(json_line(record))
    else:
        print_blocks(call.output, fields_of("status"), [record])
