"""Records that the command itself has: events, plans, what is gone. Lists come ready from the controller instead."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from tashi.cli.output import CONTROL, Output, json_line
from tashi.model.fields import FIELDS, Field, joined
from tashi.model.name import kind_of_id
from tashi.model.units import format_seconds, format_size
from tashi.wire.errors import Code, Refused

_RIGHT = ("size", "seconds", "hours", "count")

PLAN = (
    Field("name", "NAME", "the object", shown=True, width=12),
    Field("verb", "WOULD", "what would be asked", shown=True, width=10),
    Field("host", "HOST", "where it would be", shown=True),
    Field("held", "HELD", "whether it would have to wait for room", "flag"),
    Field("note", "NOTE", "what else there is to say", shown=True),
)
_STATE = Field("state", "STATE", "gone", shown=True)  # for what is gone and had none
KINDS = (  # of what the change log tells
    "vm", "host", "image", "user", "group", "key", "job", "machine", "pdu", "switch", "domain", "reservation",
    "zoniagent", "decision", "policy", "denied",
)  # fmt: skip
_OWN: dict[str, tuple[Field, ...]] = {
    "plan": PLAN,
    "event": (
        Field("revision", "REVISION", "number in the change log", "count", shown=True, width=8),
        Field("at", "AT", "when", shown=True, width=24),
        Field(
            "kind",
            "KIND",
            f"{', '.join(KINDS[:-1])} or {KINDS[-1]}",
            shown=True,
            width=5,
        ),
        Field("name", "NAME", "name of the object", shown=True, width=12),
        Field("state", "STATE", "its state from then on, gone or denied", shown=True, width=13),
        Field("verb", "VERB", "what was asked", shown=True, width=12),
        Field("by", "BY", "who asked", shown=True, width=8),
        Field("host", "HOST", "host that it is on", shown=True),
        Field("reason", "REASON", "why", shown=True),
        Field("id", "ID", "id of the object"),
        Field("owner", "OWNER", "user that it belongs to"),
        Field("job", "JOB", "operation that did it"),
        Field("decision", "DECISION", "decision of placement made with it"),
        Field("generation", "GENERATION", "of the VM", "count"),
        Field("parent", "PARENT", "operation that it is a part of"),
        Field("target", "TARGET", "id of the operation's object"),
        Field("phase", "PHASE", "what the operation is doing"),
        Field("result", "RESULT", "what came of the operation", "map"),
        Field("why", "WHY", "the reason given with --reason"),
    ),
    "sensor": (
        Field("name", "NAME", "the machine", shown=True, width=10),
        Field("sensor", "SENSOR", "what its BMC calls it", shown=True, width=16),
        Field("kind", "KIND", "temperature, voltage, fan and the like", shown=True, width=11),
        Field("value", "VALUE", "the reading; null for what has no number", "count", shown=True),
        Field("unit", "UNIT", "of that number", shown=True, width=4),
        Field("health", "HEALTH", "ok, warning, critical, failed or unknown", shown=True, width=8),
        Field("state", "STATE", "the BMC's own word", shown=True),
    ),
    "entry": (
        Field("name", "NAME", "the machine", shown=True, width=10),
        Field("at", "AT", "when, by the BMC's own clock", shown=True, width=20),
        Field("source", "SOURCE", "what it is about", shown=True, width=12),
        Field("severity", "SEVERITY", "ok, warning, critical, failed or unknown", shown=True, width=8),
        Field("text", "TEXT", "what happened", shown=True),
        Field("entry", "ENTRY", "its number in the BMC's log"),
    ),
    "booting": (
        Field("name", "NAME", "the machine", shown=True, width=10),
        Field("device", "DEVICE", "disk, network, cdrom, none for the firmware's own order, or other", shown=True),
        Field("once", "ONCE", "whether for the next boot alone", "flag", shown=True),
        Field("uefi", "UEFI", "whether by UEFI; null where that is not told", "flag", shown=True),
    ),
    "port": (
        Field("name", "NAME", "SWITCH:PORT", shown=True, width=10),
        Field("on", "ON", "whether it was switched on", "flag", shown=True, width=3),
        Field("up", "UP", "whether there is a link; null where that is not told", "flag", shown=True, width=3),
        Field("speed_mbps", "MBIT/S", "speed of the link, in Mbit/s", "count", shown=True),
        Field("mode", "MODE", "access, trunk, none: in no VLAN, or odd: untagged in two", shown=True),
        Field("native", "NATIVE", "VLAN that frames without a tag get into", "count", shown=True),
        Field("untagged", "UNTAGGED", "VLANs whose frames leave by it without a tag", "list", shown=True),
        Field("tagged", "TAGGED", "VLANs whose frames leave by it with one", "list", shown=True),
        Field("label", "LABEL", "what it is called on the switch", shown=True),
        Field("machine", "MACHINE", "machine that the records have there", shown=True),
        Field("nic", "NIC", "its NIC, where the records say which"),
        Field("domain", "DOMAIN", "domain that the machine is in"),
        Field("uplink", "UPLINK", "whether the records have it as one to another switch", "flag"),
        Field("switch", "SWITCH", "name of the switch"),
        Field("port", "PORT", "what the switch calls it"),
    ),
    "vlan": (
        Field("vlan", "VLAN", "its number", "count", shown=True, width=4),
        Field("name", "NAME", "what switches call it; several where they don't agree", shown=True, width=10),
        Field("domain", "DOMAIN", "domain that it is in", shown=True),
        Field("switches", "SWITCHES", "switches that have it", "list", shown=True),
        Field("untagged", "UNTAGGED", "ports that are in it without a tag, SWITCH:PORT", "list", shown=True),
        Field("tagged", "TAGGED", "ports that are in it with one", "list", shown=True),
    ),
    "wiring": (
        Field("name", "NAME", "the machine", shown=True, width=10),
        Field("mac", "MAC", "MAC address of its NIC; null for a port that no NIC of it accounts for", "text", True, 17),
        Field("verdict", "VERDICT", "agrees, new, contradicts, ambiguous or unheard", shown=True, width=11),
        Field("port", "PORT", "where it is, SWITCH:PORT; null where nothing is proposed", shown=True, width=10),
        Field("was", "WAS", "where the records have it", shown=True, width=10),
        Field("by", "BY", "how that is known: mac, lldp or both", shown=True, width=8),
        Field("nic", "NIC", "name of the NIC", shown=True, width=4),
        Field("why", "WHY", "what speaks against it, or why nothing is proposed", shown=True),
    ),
    "probe": (
        Field("name", "NAME", "the switch", shown=True, width=10),
        Field("called", "CALLED", "what it calls itself", shown=True, width=10),
        Field("base_mac", "BASE MAC", "its own address, by which it is known", shown=True, width=17),
        Field("models", "MODELS", "tables of zoni-driver(7) that are for it", "list", shown=True),
        Field("ports", "PORTS", "how many it has", "count", shown=True),
        Field("up", "UP", "how many have a link", "count", shown=True),
        Field("uplinks", "UPLINKS", "ports that lead to other switches of ours", "map", shown=True),
        Field("differs", "DIFFERS", "what of this its record has otherwise, or not yet", "list", shown=True),
        Field("doors", "DOORS", "ways into it that should not be there", "list", shown=True),
        Field("description", "DESCRIPTION", "what it says that it is", shown=True),
        Field("neighbours", "NEIGHBOURS", "who else says by LLDP that he is at a port", "map"),
        Field("address", "ADDRESS", "where it is"),
        Field("vlans", "VLANS", "the VLANs that it has", "list"),
        Field("capabilities", "CAPABILITIES", "what zoni can do with it", "list"),
    ),
    "planned": (
        Field("name", "NAME", "the switch", shown=True, width=10),
        Field("step", "STEP", "what would be done", shown=True, width=30),
        Field("undo", "UNDO", "what takes it back; null where nothing is changed", shown=True),
    ),
    "status": (
        Field("epoch", "EPOCH", "how often a controller has taken over the records", "count"),
        Field("revision", "REVISION", "newest entry of the change log", "count"),
        Field("hosts", "HOSTS", "hosts by health", "map"),
        Field("hosts_unknown", "UNKNOWN", "hosts that can't be heard", "list"),
        Field("zoni_unknown", "ZONI", "zoni agents that can't be heard", "list"),
        Field("vms", "VMS", "VMs that you may see, by state", "map"),
        Field("machines", "MACHINES", "physical machines by state", "map"),
        Field("jobs_running", "JOBS", "operations that run", "count"),
        Field("waiting", "WAITING", "VMs that wait for room", "count"),
        Field("pool_bytes", "POOL", "the shared pool", "size"),
        Field("pool_used_bytes", "USED", "promised of the shared pool", "size"),
        Field("differences", "DIFFERENCES", "hosts and VMs for tashi-divergence", "count"),
        Field("restored_at", "RESTORED", "when the store was put back, while that is not settled"),
        Field("uncompared", "UNCOMPARED", "hosts not compared with it since", "list"),
        Field("server_keys", "KEYS", "public keys of the controller, the newest first", "list"),
        Field(
            "with_old_key",
            "OLD KEY",
            "hosts, zoni agents and keys of users that have not come with the newest",
            "count",
        ),
        Field("grace", "GRACE", "whether the controller has just started and judges no silence yet", "flag"),
        Field("policy", "POLICY", "where new VMs go: pack or spread"),
        Field("policy_version", "VERSION", "version of [placement], one more with each change", "count"),
        Field("settings_refused", "REFUSED", "what was wrong with the settings when they were read again"),
        Field("you", "YOU", "who you are here"),
        Field("role", "ROLE", "what you may here"),
    ),
    "history": (
        Field("at", "AT", "when it was asked for, or happened", shown=True, width=24),
        Field("by", "BY", "who asked; an agent or the controller where nobody did", shown=True, width=8),
        Field("verb", "VERB", "what was asked; null where it just happened", shown=True, width=12),
        Field("name", "NAME", "name of the object", shown=True, width=12),
        Field(
            "outcome",
            "OUTCOME",
            "running, done, failed, cancelled, refused, denied, or its state then",
            shown=True,
        ),
        Field("why", "WHY", "the reason given with --reason", shown=True),
        Field("reason", "REASON", "why it ended so", shown=True),
        Field("ended_at", "ENDED", "when it ended", width=24),
        Field("kind", "KIND", "kind of the object"),
        Field("id", "ID", "id of the object"),
        Field("job", "JOB", "operation that did it"),
        Field("decision", "DECISION", "decision of placement that it led to"),
        Field("revision", "REVISION", "where it begins in the change log", "count"),
    ),
    "why": (
        Field("at", "AT", "when; null for how it is now", shown=True, width=24),
        Field("machine", "MACHINE", "name of the machine", shown=True, width=8),
        Field("what", "WHAT", "operation and its step, or the state that the machine came into", shown=True, width=32),
        Field("reason", "REASON", "what was answered, or is waited for", shown=True),
        Field("by", "BY", "who asked; an agent or the controller where nobody did"),
        Field("job", "JOB", "operation that did it"),
    ),
    "verdict": (
        Field("host", "HOST", "name of the host", shown=True, width=8),
        Field("verdict", "VERDICT", "chosen (it would go there now), fits, here (it is there) or no", "text", True, 7),
        Field("filter", "FILTER", "the first filter that said no", shown=True, width=8),
        Field("wanted", "WANTED", "what it wants of a host", shown=True, width=8),
        Field("available", "AVAILABLE", "what the host has", shown=True, width=10),
        Field("score", "SCORE", "points, the most are chosen", "number", shown=True),
        Field("terms", "TERMS", "points by weight", "map"),
        Field("reason", "REASON", "all that speaks against the host"),
        Field("cure", "CURE", "what would help against each"),
    ),
    "decision": (
        Field("id", "ID", "id, never used again", shown=True),
        Field("at", "AT", "when", shown=True, width=24),
        Field("outcome", "OUTCOME", "placed, held or refused", shown=True, width=7),
        Field("name", "NAME", "name of the VM", shown=True, width=12),
        Field("host", "HOST", "host that was chosen", shown=True),
        Field("reason", "REASON", "why none was", shown=True),
        Field("vm", "VM", "id of the VM; null where none was made"),
        Field("owner", "OWNER", "user that it belongs to"),
        Field("by", "BY", "who asked"),
        Field("verb", "VERB", "what was asked"),
        Field("job", "JOB", "operation that it was made for"),
        Field("demand", "DEMAND", "what was asked of a host"),
        Field("pin", "PIN", "the host that was asked for"),
        Field("without", "WITHOUT", "hosts that could not be asked: it is there, or they are kept for others", "list"),
        Field("revision", "REVISION", "of the change log, whose state it was made from", "count"),
        Field("policy_version", "POLICY", "version of the policy that it was made by", "count"),
        Field("seed", "SEED", "0: nothing is left to chance, equals are told apart by their numbers", "count"),
        Field("before", "BEFORE", "the decision about the VM before this one"),
        Field("hosts", "HOSTS", "hosts that there were", "count"),
        Field("open", "OPEN", "those that were open and well", "count"),
        Field("kept_out", "KEPT OUT", "how many each filter kept out; a host may be under several", "map"),
        Field("exact", "EXACT", "whether these are all; else at least so many", "flag"),
        Field("score", "SCORE", "points of the chosen host", "number"),
        Field("terms", "TERMS", "its points by weight", "map"),
        Field("fits", "FITS", "the next best hosts, and their points", "map"),
        Field("unfit", "UNFIT", "where nothing was placed: hosts that came nearest, and what was against them", "map"),
    ),
    "slots": (
        Field("host", "HOST", "name of the host, with -l", width=8),
        Field("slots", "SLOTS", "how many more fit", "count", shown=True),
        Field("demand", "DEMAND", "what each of them asks", shown=True),
    ),
    "usage": (
        Field("name", "NAME", "user, group or host; null for users without a group", shown=True, width=12),
        Field("core_seconds", "CORE-HOURS", "cores claimed, times seconds", "hours", shown=True),
        Field("memory_gib_seconds", "MEMORY-GIB-HOURS", "GiB of memory claimed, times seconds", "hours", shown=True),
        Field("disk_gib_seconds", "DISK-GIB-HOURS", "GiB of disk promised, times seconds", "hours", shown=True),
        Field("from_at", "FROM", "when the span begins"),
        Field("to_at", "TO", "when it ends"),
    ),
    "loss": (
        Field("lose", "LOSE", "what was asked, as it was typed", shown=True, width=7),
        Field("answer", "FITS", "yes, no, or open: not every way was tried", shown=True),
        Field("lost", "LOST", "the hosts of the loss that is told of: of many the worst", "list", shown=True, width=8),
        Field("vms", "VMS", "VMs that would have to go elsewhere", "count", shown=True),
        Field("left", "LEFT", "those that would find no room", "list", shown=True),
        Field("cases", "CASES", "losses that the answer is about", "count"),
        Field("looked", "LOOKED", "those that were looked at one by one", "count"),
        Field("reason", "REASON", "why the largest of those left fits nowhere", shown=True),
    ),
    "displaced": (
        Field("lose", "LOSE", "what was asked, as it was typed", shown=True, width=7),
        Field("name", "NAME", "name of the VM", shown=True, width=12),
        Field("id", "ID", "its id"),
        Field("from", "FROM", "its host; null for one that waits", shown=True),
        Field("to", "TO", "where it would find room; null for nowhere", shown=True),
        Field("cores", "CORES", "its cores", "count"),
        Field("memory_bytes", "MEMORY", "its memory", "size"),
        Field("reason", "REASON", "why nowhere", shown=True),
    ),
    "move": (
        Field("name", "NAME", "name of the VM", shown=True, width=12),
        Field("id", "ID", "its id", shown=True),
        Field("from", "FROM", "its host", shown=True),
        Field("to", "TO", "the host that it is to be moved to", shown=True),
        Field("generation", "GENERATION", "of the VM when it was planned", "count", shown=True),
        Field("revision", "REVISION", "of the change log when it was planned", "count", shown=True),
        Field("gain", "GAIN", "what that gains, in hosts", "number", shown=True, width=9),
        Field("price", "PRICE", "what it costs, in hosts", "number", shown=True, width=9),
        Field("copy_bytes", "COPY", "memory that is copied", "size", shown=True),
        Field("copy_seconds", "TIME", "how long that takes at the last rate", "seconds", shown=True),
        Field("why", "WHY", "what it is good for", shown=True),
    ),
    "reboot": (
        Field("wave", "WAVE", "number of the wave, from 1", "count", shown=True),
        Field("name", "NAME", "name of the host", shown=True, width=8),
        Field("id", "ID", "its id"),
        Field("vms", "VMS", "VMs that leave it", "count", shown=True),
        Field("copy_bytes", "COPY", "their memory", "size", shown=True),
        Field("copy_seconds", "TIME", "how long copying it takes, one after the other", "seconds", shown=True),
    ),
}


def fields_of(noun: str) -> tuple[Field, ...]:
    """The fields of a noun, or of a record that only commands know."""
    return FIELDS.get(noun) or _OWN.get(noun, ())


def pick(fields: Sequence[Field], typed: str, everything: bool) -> list[Field]:
    """The fields that ``-o`` names, as the controller picks them for lists: a,b those alone, +c one more than usual.

    The usual ones are those shown in a table or, with ``everything``, all. Raises Refused for one that is not there.
    """
    usual = [field for field in fields if everything or field.shown]
    known = {field.key: field for field in fields}
    words = typed.split(",") if typed else []
    for word in words:
        if word.removeprefix("+") not in known:
            raise Refused(Code.BAD_REQUEST, f"-o {word}: no such field", "-o help lists them")
    picked = [known[word.removeprefix("+")] for word in words]
    if not words or typed.startswith("+"):
        return usual + [field for field in picked if field not in usual]
    return picked


def print_records(output: Output, fields: Sequence[Field], records: Collection[dict[str, Any]]) -> None:
    """Records in the style asked for; what a record lacks is null, or ``-``."""
    chosen = pick(fields, output.fields, output.style == "json")
    if output.style == "json":
        output.rows(b"".join(json_line({field.key: each.get(field.key) for field in chosen}) for each in records))
    elif output.style == "tabs":
        lines = ("\t".join(exact(each.get(field.key)) for field in chosen) for each in records)
        output.rows("".join(f"{line}\n" for line in lines).encode())
    else:
        cells = [[human(field.kind, each.get(field.key)) for field in chosen] for each in records]
        widths = [
            max([field.width, len(field.header), *(len(row[column]) for row in cells)])
            for column, field in enumerate(chosen)
        ]
        header = _line([field.header for field in chosen], widths, chosen)
        output.rows("".join(_line(row, widths, chosen) for row in cells).encode(), header)


def print_gone(output: Output, noun: str, objects: dict[str, str]) -> None:
    """Records of what is no more (id, or the name that was asked for, -> name); their state is ``gone``."""
    print_ended(output, noun, [{"id": ref if kind_of_id(ref) else None, "name": each} for ref, each in objects.items()])


def print_ended(output: Output, noun: str, records: Collection[dict[str, Any]]) -> None:
    """What is known of what is no more; its state is ``gone``."""
    columns = fields_of(noun)
    if not any(field.key == "state" for field in columns):
        columns = (*columns, _STATE)
    print_records(output, columns, [each | {"state": "gone"} for each in records])


def print_blocks(output: Output, fields: Sequence[Field], records: Iterable[dict[str, Any]]) -> None:
    """Records for reading one by one: a line ``key  value`` a field, an empty line between records."""
    kinds = {field.key: field.kind for field in fields}
    first = True
    for record in records:
        if not first:
            output.text("\n")
        first = False
        width = max(len(key) for key in record)
        for key, value in record.items():
            if output.style == "tabs":
                output.text(f"{key}\t{exact(value)}\n")
            else:
                output.text(f"{key:<{width}}  {human(kinds.get(key) or guess_kind(key), value)}\n")


def guess_kind(key: str) -> str:
    """How to show a value that no table of fields knows, by its key's ending."""
    return "size" if key.endswith("_bytes") or key == "bytes" else "seconds" if key.endswith("_seconds") else "text"


def exact(value: Any) -> str:
    """A value for programs, on one line without TABs: numbers as they are, absent is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ",".join(f"{key}={exact(item)}" for key, item in value.items())
    if isinstance(value, list):
        return joined([exact(item) for item in value])
    return str(value).translate(CONTROL)


def human(kind: str, value: Any) -> str:
    """A value for people; absent is ``-``."""
    if value is None or value in ("", [], {}):
        return "-"
    if kind == "size":
        return format_size(int(value))
    if kind == "seconds":
        return format_seconds(float(value))
    if kind == "hours":
        return f"{value / 3600:.3f}"
    return exact(value)


def _line(cells: list[str], widths: list[int], fields: Sequence[Field]) -> str:
    padded = (
        cell.rjust(width) if field.kind in _RIGHT else cell.ljust(width)
        for cell, width, field in zip(cells, widths, fields, strict=True)
    )
    return "  ".join(padded).rstrip() + "\n"
