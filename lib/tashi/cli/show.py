"""``-show``: every field of each object named, a line a field."""

from __future__ import annotations

import json
from typing import Any

from tashi.cli.call import Call
from tashi.cli.listing import PAGE, pages, print_page
from tashi.cli.table import fields_of, print_blocks


def print_shown(call: Call) -> None:
    """What a ``-show`` command does: every field of each object named."""
    output = call.output
    style = "json" if output.style == "table" or (output.style == "tabs" and not output.fields) else output.style
    body = {"noun": call.noun, "format": style, "fields": output.fields, "full": not output.fields}
    records: list[dict[str, Any]] = []
    for page in pages(call.client, body, call.names, PAGE):
        if style == "json" and output.style != "json":
            records += [json.loads(line) for line in page.rows.splitlines()]
            page = page._replace(rows=b"")
        call.succeeded += print_page(call, page)
    print_blocks(output, fields_of(call.noun), records)
