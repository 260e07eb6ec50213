"""zoni-discover: what switches heard against what the records say, and findings that are taken into the records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import click

from tashi.cli.answers import answers
from tashi.cli.call import Call
from tashi.cli.change import Wish, print_plan
from tashi.cli.cluster import read_from
from tashi.cli.listing import PAGE, pages, print_objects, rows_of
from tashi.cli.names import read_operands
from tashi.cli.output import Failure, complain
from tashi.cli.table import fields_of, print_records
from tashi.cli.wiring_lines import Line, plug_text, plugged, read_lines, record
from tashi.model.wiring import Machine, Neighbour, Nic, Plug, Told, compare
from tashi.wire.envelope import Ask
from tashi.wire.errors import Code, NotFound, TashiError

OF_DEVICES = ("snmp", "fake")  # drivers of what speaks LLDP, and tells who it is
AT_ONCE = 2000  # machines in one request
Row = dict[str, Any]


def discover(call: Call, only: Sequence[str]) -> None:
    """Print a finding for each NIC of the machines that the operands ask for; ``only``: ask these switches alone."""
    call.dry_run = False  # that is about what is taken over: to ask changes nothing
    every = list(rows_of(call.client, "switch", ""))
    switches = _chosen(call, every, only)
    wanted = read_operands(call.operands, call.noun, call.null)
    asked = _names(call, wanted.names, wanted.where) if wanted.asked or wanted.where else None
    told = hear(call, switches, ask(call, "switch.look", [each["name"] for each in switches]))
    if not told:  # why not was told
        return
    ours = {each["name"]: each["base_mac"] or "" for each in every}
    found = compare([machine_of(row) for row in rows_of(call.client, "machine", "name,nics,ports")], told, ours)
    rows = [record(each) for each in found if asked is None or each.machine in asked]
    call.succeeded += 1
    print_records(call.output, fields_of("wiring"), rows)


def apply(call: Call, source: str) -> None:
    """Take the findings in a file, or standard input, into the records: each, if it still holds."""
    lines = read_from(call, source, read_lines)
    empty = sum(not line.port for line in lines)
    if empty:
        complain(call.prog, f"{empty} of {len(lines)} lines propose no port and are passed over")
    by_machine: dict[str, list[Line]] = {}
    for line in lines:
        if line.port:
            by_machine.setdefault(line.machine, []).append(line)
    known = {
        row["name"]: machine_of(row) for row in rows_of(call.client, "machine", "name,nics,ports", list(by_machine))
    }
    wishes = []
    for name, own in by_machine.items():
        try:
            if name not in known:
                raise NotFound(f"{name}: no such machine")
            after = plugged(known[name], own)
        except ValueError as error:
            call.fail(name, Failure(Code.CONFLICT, f"{name}: {error}", "zoni-discover"))
        except NotFound as error:
            call.fail(name, error)
        else:
            if after != list(known[name].plugs):
                was = [plug_text(plug) for plug in known[name].plugs]
                wishes.append({"name": name, "was": was, "ports": [plug_text(plug) for plug in after]})
            call.succeeded += 1
    for start in range(0, len(wishes), AT_ONCE):
        _plug(call, wishes[start : start + AT_ONCE])


def _plug(call: Call, machines: list[Row]) -> None:
    body = {"machines": machines} | ({"dry_run": True} if call.dry_run else {})
    for _, answer in call.client.ask_many([Ask("machine.plug", body)], call.reason):
        if isinstance(answer, TashiError):
            raise answer
        for number, why in answer.ok.get("missing", {}).items():
            call.succeeded -= 1
            call.fail(machines[int(number)]["name"], Failure(Code.CONFLICT, why))
        if not answer.ok.get("objects"):
            continue
        if call.dry_run:
            print_plan(call, "machine.plug", "", answer.ok)
        else:
            print_objects(call, "machine", answer.ok["objects"], "name,id,ports")


def hear(call: Call, switches: Sequence[Row], looked: Mapping[str, Any]) -> list[Told]:
    """Ask those that told of their ports for stations and neighbours, too; one without stations is left out."""
    stations = ask(call, "switch.macs", list(looked))
    speaking = [each["name"] for each in switches if each["driver"] in OF_DEVICES and each["name"] in stations]
    near = ask(call, "switch.neighbours", speaking)
    return [
        Told(
            switch=each["name"],
            ports={name: _deaf(port) for name, port in looked[each["name"]]["ports"].items()},
            stations=list(_heard(stations[each["name"]])),
            neighbours=[_neighbour(one) for one in near.get(each["name"], ())],
            uplinks=frozenset(each["uplinks"] or ()),
        )
        for each in switches
        if each["name"] in stations
    ]


def machine_of(row: Mapping[str, Any]) -> Machine:
    """A machine of its record's row."""
    nics = [text.rpartition("=") for text in row["nics"] or ()]
    plugs = []
    for text in row["ports"] or ():
        where, _, nic = text.partition(",nic=")
        switch, _, port = where.partition(":")
        plugs.append(Plug(switch, port, nic))
    return Machine(row["name"], tuple(Nic(mac, name) for name, _, mac in nics), tuple(plugs))


def _heard(told: Mapping[str, Mapping[str, Sequence[str]]]) -> Iterator[tuple[str, str]]:
    """MAC address and port of each station."""
    for port, vlans in told.items():
        for digits in chain.from_iterable(vlans.values()):
            yield ":".join(digits[at : at + 2] for at in range(0, 12, 2)), port


def _neighbour(told: Mapping[str, str]) -> Neighbour:
    return Neighbour(told["port"], told["chassis"].lower(), told["their_port"].lower(), told.get("name", ""))


def _deaf(port: Mapping[str, Any]) -> str:
    if not port.get("on", True):
        return "is closed"
    return "has no link" if port.get("up") is False else ""


def ask(call: Call, verb: str, names: Sequence[str]) -> dict[str, Any]:
    """What each of these answers; one that does not is told and left out."""
    return dict(each for batch in answers(call, verb, [Wish(name, {"name": name}) for name in names]) for each in batch)


def _chosen(call: Call, every: Sequence[Row], only: Sequence[str]) -> list[Row]:
    """The switches named, or all. Raises NotFound for one that is not there."""
    if not every and not only:
        complain(call.prog, "there is no switch in the records that you may see", "zoni-switch list")
    for name in only:
        if not any(name in (each["name"], each["id"]) for each in every):
            raise NotFound(f"{name}: no such switch", "zoni-switch list")
    return [each for each in every if not only or each["name"] in only or each["id"] in only]


def _names(call: Call, names: Sequence[str], where: Sequence[str]) -> set[str]:
    """The machines that operands ask for; one that is not there is told."""
    found = set()
    body = {"noun": "machine", "where": list(where), "format": "json", "fields": "name"}
    for page in pages(call.client, body, list(names) or None, PAGE):
        found |= {json.loads(line)["name"] for line in page.rows.splitlines()}
        for name in page.ok.get("missing", {}):
            call.fail(name, NotFound(f"{name}: no such machine"))
    return found


def check_usage(call: Call, source: str | None, only: Sequence[str]) -> None:
    """Raise click.UsageError for operands and switches with --apply, which asks no switch."""
    if source is not None and (call.operands or only):
        raise click.UsageError("--apply takes what FILE says: no machines and no --switch with it")
