"""Asking switches how they are, many at once: zoni-port list and show, zoni-switch show --ports, zoni-vlan list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tashi.cli import switch_ports
from tashi.cli.answers import answers
from tashi.cli.call import Call
from tashi.cli.change import Wish
from tashi.cli.names import read_operands
from tashi.cli.output import Failure
from tashi.cli.own_list import print_own_list
from tashi.cli.switch_ports import Known, Row
from tashi.cli.table import fields_of, pick, print_blocks, print_records
from tashi.wire.errors import Code, NotFound


def looked(call: Call, names: Iterable[str]) -> dict[str, Any]:
    """What these switches answer, in the order of their names; one that does not answer is told and left out."""
    wishes = [Wish(name, {"name": name}) for name in sorted(names)]
    found = {name: answer for batch in answers(call, "switch.look", wishes, "") for name, answer in batch}
    return {wish.name: found[wish.name] for wish in wishes if wish.name in found}


def ports_named(call: Call, records: Known, words: Sequence[str], told: dict[str, Any] | None = None) -> list[Row]:
    """The ports that words mean, as they are now, each once; what means none is told.

    ``told``, if given, gets all that their switches have said.
    """
    told = {} if told is None else told
    switches = {word: records.switches_of(word) for word in words}
    told |= looked(call, {name for each in switches.values() for name in each})
    rows = [row for name, each in told.items() for row in switch_ports.port_rows(records, name, each["ports"])]
    found, strange = switch_ports.matching(records, rows, words)
    for word in strange:
        if switches[word] <= told.keys():  # else it was told already that one does not answer
            call.fail(word, Failure(Code.NOT_FOUND, f"{word}: no such port", "zoni-port list"))
    return found


def list_ports(call: Call) -> None:
    """zoni-port list: of the switches, machines or ports named, or of all switches."""
    wanted = read_operands(call.operands, call.noun, call.null)

    def rows() -> list[Row]:
        records = switch_ports.known(call.client)
        return ports_named(call, records, wanted.names if wanted.asked else list(records.uplinks))

    print_own_list(call, wanted.where, rows)


def show_ports(call: Call) -> None:
    """zoni-port show: all that is known of each."""
    words, output, fields = call.names, call.output, fields_of(call.noun)
    pick(fields, output.fields, False)
    rows = ports_named(call, switch_ports.known(call.client), words)
    call.succeeded += len(rows)
    if output.fields or output.style == "json":
        print_records(output, fields, rows)
    else:
        print_blocks(output, fields, rows)


def print_ports_of(call: Call, switches: Sequence[str]) -> None:
    """zoni-switch show --ports: all ports of these switches, as they are now."""
    pick(fields_of("port"), call.output.fields, False)
    records = switch_ports.known(call.client)
    there = [word for word in switches if records.names.get(word, word) in records.uplinks]
    for word in switches:
        if word not in there:
            call.fail(word, NotFound(f"{word}: no such switch", "zoni-switch list"))
    print_records(call.output, fields_of("port"), ports_named(call, records, there))


def list_vlans(call: Call, switches: Sequence[str], read: Callable[[str], Iterable[int]]) -> None:
    """zoni-vlan list: those named, or all; of these switches, or of all. ``read``: what a word stands for."""
    wanted = read_operands(call.operands, call.noun, call.null)
    numbers = {word: set(read(word)) for word in wanted.names}

    def rows() -> list[Row]:
        records = switch_ports.known(call.client)
        asked = [records.names.get(each, each) for each in switches] or records.uplinks
        found = switch_ports.vlan_rows(records, looked(call, asked))
        there = {row["vlan"] for row in found}
        for word, each in numbers.items():
            if not each & there:
                call.fail(word, Failure(Code.NOT_FOUND, f"{word}: no switch that answers has it", "zoni-vlan list"))
        named = set().union(*numbers.values())
        return [row for row in found if not wanted.asked or row["vlan"] in named]

    print_own_list(call, wanted.where, rows)
