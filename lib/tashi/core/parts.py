"""What a request says of a machine, in words, made into parts of its record: read, looked up, and nobody else's.

Every mistake is refused with the name of the machine, of the column, and the word that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from tashi.core import secrets
from tashi.core.turn import Turn
from tashi.model import machine_words as words
from tashi.model.machine import Machine, MachineNic, PowerPath, SwitchPort, marks
from tashi.wire.errors import Code, Refused, TashiError
from tashi.wire.metal import Parts

PATHS_MAX, NICS_MAX, FLAGS_MAX = 8, 64, 32
SHORT, LONG = 63, 1000  # characters
_PLACE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]*[A-Za-z0-9])?", re.ASCII)
_LISTS = {"host": "thost-list", "pdu": "zoni-pdu list", "switch": "zoni-switch list", "zoniagent": "zoni-agents list"}
_TABLES = {"outlet": "pdu", "port": "switch", "host": "host"}  # whose ids a mark begins with
_COLUMNS = {"mac": "nics", "port": "ports"} | dict.fromkeys(("BMC", "outlet", "domain", "fake machine"), "power_paths")
_FLAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)


def applied(turn: Turn, machine: Machine, parts: Parts) -> Machine:
    """The machine with what the request says of it; its passwords are sealed, those that went out of use forgotten.

    Raises Refused or NotFound; what was put by then is undone with the event.
    """
    given: dict[str, Any] = {}
    for column, reader in _READ.items():
        said = getattr(parts, column)
        if said is not None:
            given[column] = read(machine.name, column, reader, said)
    if parts.flags is not None:
        given["flags"] = _each(machine.name, "flags", flag, parts.flags)
    if parts.nics is not None:
        given["nics"] = _nics(machine.name, parts.nics)
    if parts.host is not None:
        given["host"] = _find(turn, machine, "host", "host", parts.host) if parts.host else ""
    if parts.agent is not None:
        given["agent"] = _find(turn, machine, "agent", "zoniagent", parts.agent) if parts.agent else ""
    changed = replace(machine, **given)
    changed = replace(changed, ports=_ports(turn, changed, parts))
    changed = replace(changed, paths=_paths(turn, changed, parts))
    refuse_doubles(turn, changed)
    return changed


def refuse_doubles(turn: Turn, machine: Machine) -> None:
    """Raise Refused when another machine has what only one can have, or this one has it twice."""
    own: set[tuple[str, str]] = set()
    for mark in marks(machine):
        if mark in own:
            raise Refused(Code.BAD_REQUEST, f"{machine.name}: {_shown(turn, *mark)} is there twice")
        own.add(mark)
        other = turn.state.machine_of.get(mark, machine.id)
        if other != machine.id:
            name = turn.state.machines[other].name
            text = f"{machine.name}: {_shown(turn, *mark)} is {name}'s already"
            raise Refused(Code.CONFLICT, text, f"zoni-show {name}")


def flag(text: str) -> str:
    if not _FLAG.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a flag: up to 63 letters, digits, '-', '_' and '.'")
    return text


def short(text: str) -> str:
    """Text of one line; it may be empty."""
    return _line(text, SHORT)


def long(text: str) -> str:
    return _line(text, LONG)


def place(text: str) -> str:
    """A rack or a unit in it; it may be empty."""
    if text and (len(text) > SHORT or not _PLACE.fullmatch(text)):
        raise ValueError(f"{text[:40]!r}: letters, digits, '-', '_', '.' and blanks between them")
    return text


def _line(text: str, most: int) -> str:
    if len(text) > most:
        raise ValueError(f"{len(text)} characters, the limit is {most}")
    if not text.isprintable():
        raise ValueError(f"{text[:40]!r}: a control character in it")
    return text.strip()


def _uuid(text: str) -> str:
    return words.parse_uuid(text) if text else ""


_READ: dict[str, Callable[[Any], Any]] = {
    "rack": place,
    "unit": place,
    "uuid": _uuid,
    "serial": short,
    "vendor": short,
    "model": short,
    "cores": int,
    "memory_bytes": int,
    "disks": lambda given: tuple(words.parse_disk(each) for each in given),
    "firmware": str,
    "note": long,
}


def read(name: str, column: str, reader: Callable[[Any], Any], said: Any) -> Any:
    """What ``reader`` makes of a word. Raises Refused that names the object and the column."""
    try:
        return reader(said)
    except ValueError as problem:
        raise Refused(Code.BAD_REQUEST, f"{name}: {column}: {problem}") from None


def _each(name: str, column: str, reader: Callable[[str], Any], said: Iterable[str]) -> tuple[Any, ...]:
    """Each word of a column once, in the order given."""
    found = tuple(dict.fromkeys(read(name, column, reader, each) for each in said))
    most = {"power_paths": PATHS_MAX, "flags": FLAGS_MAX}.get(column, NICS_MAX)
    if len(found) > most:
        raise Refused(Code.BAD_REQUEST, f"{name}: {column}: {len(found)} of them, the limit is {most}")
    return found


def _nics(name: str, said: Iterable[str]) -> tuple[MachineNic, ...]:
    found = [read(name, "nics", words.parse_nic, each) for each in said]
    names = [nic.name for nic in found if nic.name]
    if len(set(names)) < len(names):
        twice = next(each for each in names if names.count(each) > 1)
        raise Refused(Code.BAD_REQUEST, f"{name}: nics: {twice} is there twice")
    if len(found) > NICS_MAX:
        raise Refused(Code.BAD_REQUEST, f"{name}: nics: {len(found)} of them, the limit is {NICS_MAX}")
    return tuple(found)


def _ports(turn: Turn, machine: Machine, says: Parts) -> tuple[SwitchPort, ...]:
    """The switch's id in place of its name, and the NIC as it is called here."""
    ports, nics = machine.ports, len(machine.nics)
    if says.ports is not None:
        typed = _each(machine.name, "ports", words.parse_port, says.ports)
        ports = tuple(replace(each, switch=_find(turn, machine, "ports", "switch", each.switch)) for each in typed)
    known = {nic.mac for nic in machine.nics} | {nic.name for nic in machine.nics}
    for port in ports:
        if port.nic and port.nic not in known:
            raise Refused(Code.BAD_REQUEST, f"{machine.name}: ports: it has no NIC {port.nic!r}")
        if not port.nic and nics > 1 and (says.ports is not None or says.nics is not None):
            where = words.port_text(port, turn.state.switches[port.switch].name)
            text = f"{machine.name}: ports: {where}: it has {nics} NICs: which is plugged in there?"
            raise Refused(Code.BAD_REQUEST, text, f"{where},nic={machine.nics[0].name or machine.nics[0].mac}")
        if says.ports is not None and port not in machine.ports:
            _refuse_port(turn, machine, port)
        if not port.port.isprintable():
            raise Refused(Code.BAD_REQUEST, f"{machine.name}: ports: {port.port!r}: a control character in it")
    return ports


def _refuse_port(turn: Turn, machine: Machine, port: SwitchPort) -> None:
    """Nobody is plugged in where a trunk goes; nor while what the switch is changed to may yet be taken back."""
    switch = turn.state.switches[port.switch]
    where = f"{machine.name}: ports: {words.port_text(port, switch.name)}"
    if port.port in switch.uplinks:
        raise Refused(Code.CONFLICT, f"{where}: it is an uplink", f"zoni-switch show {switch.name}")
    if switch.job:
        verb = turn.state.jobs[switch.job].verb
        raise Refused(
            Code.LOCKED, f"{where}: {switch.name} is locked by {switch.job} ({verb})", f"tjob-wait {switch.job}"
        )


def _paths(turn: Turn, machine: Machine, parts: Parts) -> tuple[PowerPath, ...]:
    """The power paths, each with its login. One that leads where a former one did keeps what is not said anew."""
    former = {path.target: path for path in machine.paths}
    paths = machine.paths
    if parts.power_paths is not None:
        typed = _each(machine.name, "power_paths", words.parse_path, parts.power_paths)
        paths = tuple(_placed(turn, machine, each) for each in typed)
    login = {"password": parts.password, "kg": parts.kg}
    says = {key: word for key, word in login.items() if word is not None}
    made = []
    for path in paths:
        before = former.pop(path.target, None)
        if path.kind in words.WITH_LOGIN:
            path = replace(path, secret=before.secret if before is not None else "")
            if not path.user:
                user = parts.user if parts.user is not None else before.user if before is not None else ""
                path = replace(path, user=user)
            elif parts.power_paths is None and parts.user is not None:
                path = replace(path, user=parts.user)
            path = _with_password(turn, machine, path, says)
        made.append(path)
    if (says or parts.user) and not any(path.kind in words.WITH_LOGIN for path in made):
        raise Refused(Code.BAD_REQUEST, f"{machine.name}: a user or password, and no power path that has a login")
    secrets.drop(turn, (path.secret for path in former.values()))
    return tuple(made)


def _with_password(turn: Turn, machine: Machine, path: PowerPath, says: dict[str, str]) -> PowerPath:
    if path.kind != "ipmi":
        says = {key: word for key, word in says.items() if key != "kg"}
    try:
        words.check_login(path.kind, path.user, says.get("password", ""))
        words.check_login(path.kind, "", says.get("kg", ""))
    except ValueError as problem:
        raise Refused(Code.BAD_REQUEST, f"{machine.name}: power_paths: {problem}") from None
    if not says:
        return path
    before = secrets.reveal(turn.state, secrets.vault_of(turn), path.secret) if path.secret else {}
    return replace(path, secret=secrets.keep(turn, machine.id, before | says, path.secret))


def _placed(turn: Turn, machine: Machine, path: PowerPath) -> PowerPath:
    """A path through a PDU, with the PDU's id; its outlet is one that there is."""
    if path.kind != "pdu":
        if not all(str(value).isprintable() for value in (path.domain, path.uri, path.world, path.system, path.user)):
            raise Refused(Code.BAD_REQUEST, f"{machine.name}: power_paths: a control character in it")
        return path
    pdu = turn.state.pdus[_find(turn, machine, "power_paths", "pdu", path.pdu)]
    if pdu.outlets and path.outlet > pdu.outlets:
        text = f"{machine.name}: power_paths: {pdu.name} has outlets 1 to {pdu.outlets}, not {path.outlet}"
        raise Refused(Code.BAD_REQUEST, text)
    return replace(path, pdu=pdu.id)


def _find(turn: Turn, machine: Machine, column: str, kind: str, ref: str) -> str:
    try:
        return str(turn.find(kind, ref).id)
    except TashiError as error:
        raise Refused(error.code, f"{machine.name}: {column}: {error.text}", error.hint or _LISTS[kind]) from None


def _shown(turn: Turn, what: str, which: str) -> str:
    """A mark as people know it, after its column: names of PDUs, switches and hosts in place of ids."""
    ident, colon, rest = which.partition(":")
    if what in _TABLES:
        which = f"{turn.state.tables[_TABLES[what]][ident].name}{colon}{rest}"
    column = _COLUMNS.get(what)
    return f"{column}: {what} {which}" if column else f"{what}: {which}"
