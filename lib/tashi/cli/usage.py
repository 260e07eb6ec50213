"""tashi-usage: a row for each user, group or host, from one day to another."""

from __future__ import annotations

from tashi.cli.call import Call
from tashi.cli.output import complain
from tashi.cli.table import fields_of, print_records


def print_usage(call: Call, by: str, begin: int | None, end: int | None) -> None:
    """Print what was used, by user, group or host, from ``begin`` to ``end``: seconds since 1970, or as usual."""
    span = {"from_wall": begin, "to_wall": end}
    body = {"by": by} | {key: value for key, value in span.items() if value is not None}
    told = call.client.ask("usage", body).ok
    ends = {"from_at": told["from_at"], "to_at": told["to_at"]}
    print_records(call.output, fields_of("usage"), [row | ends | {"name": row["name"] or None} for row in told["rows"]])
    if begin is not None and told["since"] > told["from_at"]:
        complain(call.prog, f"there are no accounts of before {told['since']}")
