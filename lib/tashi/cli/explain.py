"""tashi-explain and tashi-slots: what the controller says of a demand."""

from __future__ import annotations

from typing import Any

from tashi.cli.call import Call
from tashi.cli.table import fields_of, pick, print_blocks, print_records

_RANK = {"chosen": 0, "fits": 1, "here": 2, "no": 3}
_FITS = ("chosen", "fits")


def print_explained(call: Call, body: dict[str, Any], only: str | None) -> None:
    """A line for each host, the best first; of ``only`` one host all that is known, a line a field.

    When none of them fits, the answer is no.
    """
    if only is not None:
        (verdict,) = call.client.ask("explain", body | {"only": only}).ok["verdicts"]
        if verdict["verdict"] not in _FITS:
            call.untrue()
        if call.output.style == "table" and not call.output.fields:
            keys = [field.key for field in fields_of("verdict")]
            print_blocks(call.output, fields_of("verdict"), [{key: verdict.get(key) or None for key in keys}])
        else:
            print_records(call.output, fields_of("verdict"), [verdict])
        return
    verdicts: list[dict[str, Any]] = []
    after = 0
    while True:
        page = call.client.ask("explain", body | {"after": after}).ok
        verdicts += page["verdicts"]
        after = page.get("after", 0)
        if not after:
            break
    if not any(each["verdict"] in _FITS for each in verdicts):
        call.untrue()
    verdicts.sort(key=lambda each: (_RANK[each["verdict"]], -(each.get("score") or 0.0)))
    print_records(call.output, fields_of("verdict"), verdicts)


def print_slots(call: Call, body: dict[str, Any], each: bool) -> None:
    """How many fit: in all, or on each host by itself."""
    told = call.client.ask("slots", body | ({"each": True} if each else {})).ok
    demand = told["demand"]
    if each:
        hosts = told.get("hosts", {}).items()
        records = [{"host": host, "slots": count, "demand": demand} for host, count in hosts]
        usual = "host,slots"
    else:
        records, usual = [{"host": None, "slots": told["total"], "demand": demand}], "slots,demand"
    fields = fields_of("slots")
    if not call.output.fields and call.output.style != "json":
        fields = tuple(field._replace(shown=True) for field in pick(fields, usual, False))
    print_records(call.output, fields, records)
