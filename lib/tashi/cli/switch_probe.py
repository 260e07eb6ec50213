"""zoni-switch discover: what switches say that they are, held against their records, and taken into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tashi.cli.call import Call
from tashi.cli.change import Wish, change
from tashi.cli.listing import rows_of
from tashi.cli.output import Failure
from tashi.cli.table import fields_of, print_records
from tashi.cli.wiring import OF_DEVICES, Row, ask, hear, machine_of
from tashi.model.wiring import Place, Told, uplinks
from tashi.wire.errors import Code, NotFound


def discover(call: Call, keep: bool) -> None:
    """Print what each switch named is, by its name, id or address; with ``keep`` write what is new into its record."""
    every = list(rows_of(call.client, "switch", ""))
    chosen = _chosen(call, every)
    dry_run, call.dry_run = call.dry_run, False  # that is about the records: to ask changes nothing
    probed = ask(call, "switch.probe", [each["name"] for each in chosen])
    looked = ask(call, "switch.look", list(probed))
    told = hear(call, chosen, looked)
    call.dry_run = dry_run
    macs = {each["name"]: each["base_mac"] or "" for each in every}
    macs |= {name: mac for name, each in probed.items() if (mac := each["identity"].get("base_mac"))}
    links = uplinks(told, macs)
    nics = {nic.mac for row in rows_of(call.client, "machine", "name,nics,ports") for nic in machine_of(row).nics}
    near = {each.switch: _others(each, links, nics) for each in told}
    rows, wishes = [], []
    for known in (each for each in chosen if each["name"] in looked):
        name = known["name"]
        led = {port: other for (switch, port), other in links.items() if switch == name and other}
        row = _row(known, probed[name], looked[name], led) | {"neighbours": near.get(name, {})}
        news = _news(known, row)
        rows.append(row | {"differs": list(news) + (["another"] if _is_another(known, row) else [])})
        if _is_another(known, row):
            text = f"{name}: is another switch ({row['base_mac']}) than in the records ({known['base_mac']})"
            call.fail(name, Failure(Code.CONFLICT, text, f"zoni-switch set {name} --base-mac {row['base_mac']}"))
        elif news:
            wishes.append(Wish(name, {"name": name} | news))
    if keep:
        change(call, "switch.set", wishes)
    else:
        print_records(call.output, fields_of("probe"), rows)


def _chosen(call: Call, every: Sequence[Row]) -> list[Row]:
    """Records of the switches that operands name, each once; one that is not there is told."""
    found: dict[str, Row] = {}
    for word in call.names:
        those = [each for each in every if word in (each["name"], each["id"], each["address"])]
        found |= {each["name"]: each for each in those}
        if not those:
            call.fail(word, NotFound(f"{word}: no such switch", "zoni-switch add NAME --address ADDRESS"))
    return list(found.values())


def _row(known: Row, probed: Mapping[str, Any], looked: Mapping[str, Any], led: Mapping[str, str]) -> Row:
    identity, ports = probed["identity"], looked["ports"]
    return {
        "name": known["name"],
        "called": identity.get("name") or None,
        "base_mac": identity.get("base_mac") or None,
        "models": identity.get("models", []),
        "ports": len(ports),
        "up": sum(port.get("up") is True for port in ports.values()),
        "uplinks": dict(sorted(led.items())),
        "doors": probed["doors"],
        "description": identity.get("description") or None,
        "address": known["address"],
        "vlans": [int(number) for number in looked["vlans"]],
        "capabilities": probed["capabilities"],
    }


def _others(told: Told, links: Mapping[Place, str], nics: set[str]) -> dict[str, str]:
    """Port -> who says by LLDP that he is there, where that is neither a switch of ours nor a machine's NIC."""
    strange = [each for each in told.neighbours if not {each.chassis, each.their_port} & nics]
    return {each.port: each.name or each.chassis for each in strange if not links.get((told.switch, each.port))}


def _is_another(known: Row, row: Row) -> bool:
    return bool(known["base_mac"] and row["base_mac"] and known["base_mac"] != row["base_mac"])


def _news(known: Row, row: Row) -> Row:
    """What a record does not have yet, as switch.set has it. A model that somebody chose is left to him."""
    found: Row = {}
    if row["base_mac"] and not known["base_mac"] and known["driver"] in OF_DEVICES:
        found["base_mac"] = row["base_mac"]
    if len(row["models"]) == 1 and not known["model"]:
        found["model"] = row["models"][0]
    if new := [port for port in row["uplinks"] if port not in (known["uplinks"] or ())]:
        found["uplinks"] = [*(known["uplinks"] or ()), *new]
    return found
