"""Changing VLANs and ports of switches: one operation for all that one command asks, and how it is then.

With -n the switches are asked by which steps they would be changed, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import click

from tashi.cli import switch_ports
from tashi.cli.answers import answers
from tashi.cli.call import Call
from tashi.cli.change import Wish
from tashi.cli.complete import Printed
from tashi.cli.names import read_names
from tashi.cli.options import vlan_set
from tashi.cli.output import Failure
from tashi.cli.switch_asks import ports_named
from tashi.cli.switch_ports import Row
from tashi.cli.table import fields_of, print_ended, print_records
from tashi.wire.errors import Code

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", re.ASCII)  # dot1qVlanStaticName, without what needs quotes
LABEL_MAX = 64  # ifAlias


def prints(noun: str) -> Printed:
    """What -o picks from."""
    return lambda typed: "job" if typed.get("submit") else "planned" if typed.get("dry_run") else noun


def first_and_ports(call: Call, what: str) -> tuple[str, list[str]]:
    """The first operand, which is ``what``, and the ports after it."""
    if not call.operands:
        raise click.UsageError(f"which {what}, and which ports?")
    if len(call.operands) == 1:
        raise click.UsageError("which port? Give SWITCH:PORT, MACHINE or MACHINE:NIC, or - to read them")
    return call.operands[0], read_names(call.operands[1:], "port", call.null)


def vlans_named(call: Call) -> list[int]:
    """The VLANs that all operands stand for. Raises click.UsageError for more than one operation takes."""
    from tashi.model.vlan import SET_MAX

    found = list(dict.fromkeys(vlan for word in call.names for vlan in vlan_set(word)))
    if len(found) > SET_MAX:
        raise click.UsageError(f"{len(found)} VLANs, the limit is {SET_MAX} at once")
    return found


# -- VLANs -----------------------------------------------------------------------------------------------------------
def create_vlans(call: Call, name: str, switches: Sequence[str]) -> None:
    """On these switches, or on all, and tagged on their uplinks."""
    vlans = vlans_named(call)
    if name and len(vlans) > 1:
        raise click.UsageError(f"--name {name}: of one VLAN, not of {len(vlans)}")
    if name and not _NAME.fullmatch(name):
        rule = "up to 32 letters, digits, dots, dashes and underscores, a letter or digit first"
        raise click.UsageError(f"--name {name[:40]!r}: {rule}")
    names = {str(vlan): name or f"vlan{vlan}" for vlan in vlans}
    for told in _changed(call, "vlan.create", ",".join(names), {"vlans": names, "switches": list(switches)}):
        looks = {switch: each | {"vlans": names} for switch, each in told.items()}
        rows = switch_ports.vlan_rows(switch_ports.known(call.client), looks)
        print_records(call.output, fields_of("vlan"), [row for row in rows if row["vlan"] in vlans])


def destroy_vlans(call: Call, switches: Sequence[str]) -> None:
    """From these switches, or from all, and from their uplinks."""
    vlans = vlans_named(call)
    named = [str(vlan) for vlan in vlans]
    if not call.confirm("destroy", named):
        return
    for told in _changed(call, "vlan.destroy", ",".join(named), {"vlans": vlans, "switches": list(switches)}):
        print_ended(call.output, "vlan", [{"vlan": vlan, "switches": list(told)} for vlan in vlans])


# -- ports -----------------------------------------------------------------------------------------------------------
def set_ports(call: Call, names: Sequence[str], want: Mapping[str, Any], force: bool = False) -> None:
    """Have all of them be so, and print how they are. ``force``: although a VM host is cut off by it."""
    body = {"changes": [{"ports": list(names), "want": want}]} | ({"force": True} if force else {})
    _change_ports(call, "port.set", names, body)


def label_ports(call: Call) -> None:
    """Have switches call them so."""
    text, names = first_and_ports(call, "label")
    if not (text.isascii() and text.isprintable() and len(text) <= LABEL_MAX):
        raise click.UsageError(f"{text[:40]!r}: a label is up to {LABEL_MAX} printable characters of ASCII")
    set_ports(call, names, {"label": text})


def restore_ports(call: Call) -> None:
    """Have them be as the records want them."""
    names = call.names
    _change_ports(call, "port.restore", names, {"ports": names})


def put_into(call: Call, tagged: bool) -> None:
    """zoni-vlan add: into VLANs, with a tag besides all others, or without one in place of the former."""
    word, names = first_and_ports(call, "VLAN")
    vlans = list(vlan_set(word))
    if tagged:
        set_ports(call, names, {"join": vlans})
    elif len(vlans) > 1:
        raise click.UsageError(f"{word}: a port is without a tag in one VLAN")
    else:
        set_ports(call, names, {"native": vlans[0], "leave": vlans})


def take_out(call: Call) -> None:
    """zoni-vlan remove: out of VLANs, with a tag or without."""
    word, names = first_and_ports(call, "VLAN")
    set_ports(call, names, {"leave": list(vlan_set(word))})


def set_mode(call: Call, mode: str, names: Sequence[str]) -> None:
    """In one VLAN without a tag and in no other; or with a tag in all that its switch has."""
    records = switch_ports.known(call.client)
    looks: dict[str, Any] = {}
    changes: list[dict[str, Any]] = []
    for row in ports_named(call, records, names, looks):
        there = looks[row["switch"]]["vlans"]
        want = _access(call, row) if mode == "access" else _trunk(row, there, records.domains)
        if want is not None:
            changes.append({"ports": [row["name"]], "want": want})
    if changes and not call.status():
        _change_ports(call, "port.set", [each["ports"][0] for each in changes], {"changes": changes})


def _access(call: Call, row: Row) -> dict[str, Any] | None:
    """Only in its native VLAN, or the only one that it is untagged in."""
    untagged = set(row["untagged"])
    vlan = row["native"] or (untagged.pop() if len(untagged) == 1 else None)
    if vlan is None:
        text = f"{row['name']}: is untagged in {'no VLAN' if not untagged else 'several VLANs'}: which shall it be?"
        call.fail(row["name"], Failure(Code.WRONG_STATE, text, f"zoni-vlan native VLAN {row['name']}"))
        return None
    return {"native": vlan, "tagged": []}


def _trunk(row: Row, vlans: Mapping[str, str], domains: Mapping[int, str]) -> dict[str, Any]:
    """In all that are no domain's; an uplink in those, too."""
    from tashi.model.vlan import DEFAULT, RESERVED

    there = {int(vlan) for vlan in vlans} - {DEFAULT, *RESERVED, *row["untagged"], row["native"]}
    return {"join": sorted(there if row["uplink"] else there - domains.keys())}


def _change_ports(call: Call, verb: str, names: Sequence[str], body: dict[str, Any]) -> None:
    named = f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else "".join(names)
    for told in _changed(call, verb, named, body):
        records = switch_ports.known(call.client)
        rows = [row for name, each in told.items() for row in switch_ports.port_rows(records, name, each["ports"])]
        print_records(call.output, fields_of("port"), rows)


def _changed(call: Call, verb: str, name: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """What the switches answer, by their names, when all is done. A plan is printed, and is no answer.

    Of nothing nothing is asked: a name that is empty stands for that.
    """
    found = list[dict[str, Any]]()
    if not name:
        return found
    for batch in answers(call, verb, [Wish(name, body)], "plan"):
        for _, told in batch:
            if call.dry_run:
                steps = [(switch, each) for switch, several in told.items() for each in several]
                rows = [{"name": switch, "step": each["step"], "undo": each["undo"] or None} for switch, each in steps]
                print_records(call.output, fields_of("planned"), rows)
            else:
                found.append(told)
    return found
