"""Messages and calls as a line of the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tashi.wire.agents import (
    AgentMessage,
    ControllerMessage,
    Inventory,
    Row,
    Rows,
    Seen,
    Shot,
    Tell,
    Welcome,
)
from tashi.wire.zoni import (
    MetalInventory,
    MetalMessage,
    MetalOrder,
    MetalRow,
    MetalRows,
    MetalSeen,
    MetalShot,
    MetalTell,
    PortRow,
    PortRows,
    PortSeen,
)

QUIET_CALLS = ("inventory", "moving", "look", "facts")
QUIET_DEVICE_CALLS = ("power", "enroll")


def order(message: ControllerMessage | MetalOrder) -> str:
    """What an agent is told; empty for what is said all the time."""
    match message:
        case Rows(rows=rows):
            return "rows " + ", ".join(_row(row) for row in rows)
        case Shot(job=job, action=action, vm=vm, generation=generation):
            return f"shot {action} {vm} g{generation} for {job}"
        case Welcome(epoch=epoch):
            return f"welcome, epoch {epoch}"
        case MetalRows(rows=metal):
            return ", ".join(filter(None, (_metal_row(row) for row in metal)))
        case PortRows(rows=ports):
            return "ports " + ", ".join(_port_row(row) for row in ports)
        case MetalShot(job=job, action=action, machine=machine):
            return f"shot {action} {machine} for {job}"
    return ""


def report(message: AgentMessage | MetalMessage) -> str:
    """What an agent says; empty for what is said all the time."""
    match message:
        case Tell(seq=seq, seen=Seen() as seen):
            return f"tells #{seq} {_seen(seen)}"
        case Tell(seq=seq, shot=shot) if shot is not None:
            return f"tells #{seq} shot for {shot.job}: {shot.outcome} {shot.reason}".rstrip()
        case Inventory(seq=seq, guests=guests):
            return f"has #{seq} " + (", ".join(_seen(seen) for seen in guests) or "nothing")
        case MetalTell(seq=seq, ports=PortSeen() as ports):
            return f"tells #{seq} ports {ports.machine} g{ports.generation} {ports.outcome} {ports.reason}".rstrip()
        case MetalTell(seq=seq, shot=shot) if shot is not None:
            return f"tells #{seq} shot for {shot.job}: {shot.outcome} {shot.reason}".rstrip()
        case MetalTell(seq=seq, seen=MetalSeen() as metal):
            return f"tells #{seq} {_metal_seen(metal)}"
        case MetalInventory(seq=seq, machines=machines):
            return f"has #{seq} " + (", ".join(_metal_seen(each) for each in machines) or "nothing")
    return ""


def call(verb: str, args: Mapping[str, Any]) -> str:
    """What a hypervisor is asked to do; empty for mere looking."""
    if verb in QUIET_CALLS:
        return ""
    rest = {key: value for key, value in args.items() if key != "guest" and value}
    guest = args.get("guest") or {}
    return " ".join([verb, *([guest["id"]] if guest else []), *(f"{key}={value}" for key, value in rest.items())])


def _row(row: Row) -> str:
    words = [row.vm, row.role, f"g{row.generation}"]
    words += [f"to {row.peer}"] if row.peer else []
    words += [f"if {row.only_if}"] if row.only_if else []
    words += ["keep disk"] if row.keep_disk else []
    return " ".join(words)


def _seen(seen: Seen) -> str:
    words = [seen.vm, seen.state, f"g{seen.generation}"]
    words += [name.replace("_", "-") for name in ("never_ran", "moving", "exited", "foreign") if getattr(seen, name)]
    words += [f"(row g{seen.row_generation} {seen.outcome or 'begun'})"] if seen.row_generation else []
    words += [f"[{seen.outcome}]"] if seen.outcome and not seen.row_generation else []
    words += [repr(seen.reason)] if seen.reason else []
    return " ".join(words)


def device_call(verb: str, args: Mapping[str, Any]) -> str:
    """What a BMC or a switch is asked to do; empty for mere looking."""
    if verb in QUIET_DEVICE_CALLS:
        return ""
    if "path" in args:
        return f"{verb} {args['path'].get('machine')}"
    return f"{verb} {args['switch'].get('switch')}: " + "; ".join(_port(*each) for each in _ports(args))


def _ports(args: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(args.get("goal", {}).get("ports", {}).items())


def _port(name: str, want: Mapping[str, Any]) -> str:
    if not want.get("on"):
        return f"{name} closed"
    tagged = "".join(f" +{vlan}" for vlan in want.get("tagged", ()))
    return f"{name} open in {want.get('native')}{tagged}"


def _metal_row(row: MetalRow) -> str:
    if row.gone:
        return f"{row.machine} gone"
    return f"power {row.machine} {row.power} g{row.generation}" if row.power else ""


def _port_row(row: PortRow) -> str:
    vlans = ",".join(map(str, row.vlans))
    return f"{row.machine} {f'open in {vlans}' if vlans else 'closed'} g{row.generation}"


def _metal_seen(seen: MetalSeen) -> str:
    words = [seen.machine, seen.power]
    words += [f"(g{seen.row_generation} {seen.outcome or 'begun'})"] if seen.row_generation else []
    words += [repr(why)] if (why := seen.contradiction or seen.reason or seen.trouble) else []
    return " ".join(words)
