"""zoni-pdu and zoni-switch: records of the devices around machines. Nothing here reaches one."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tashi.core import parts, secrets, switch_change
from tashi.core.switch_calls import TELL_WHICH, refuse_at_work
from tashi.core.turn import Turn, done
from tashi.model import machine_words as words
from tashi.model.device import Pdu, SnmpUse, Switch
from tashi.model.name import check_name
from tashi.wire.errors import Code, Refused
from tashi.wire.messages import Accepted, Named
from tashi.wire.metal import Device, PduAdd, PduSet, Snmp, SwitchAdd, SwitchSet

PORT_MAX = 64  # characters
NAMED = 5  # of many machines a text names so many
LEAST_PASSWORD = 8  # characters, RFC 3414
_TEXTS = {"model": parts.short, "rack": parts.place, "unit": parts.place, "note": parts.long}


def add_pdu(turn: Turn, body: PduAdd) -> Accepted:
    name = _new_name(turn, "pdu", body.name)
    for column in ("address", "model"):
        if not getattr(body, column):
            raise Refused(Code.BAD_REQUEST, f"{name}: {column}: it is missing", f"zoni-pdu add {name} --{column} ...")
    pdu = Pdu(turn.new_id("pdu"), name, turn.at(), "", "")
    return done(turn, "pdu.add", "pdu", turn.put(_pdu(turn, pdu, body)), body.dry_run)


def set_pdu(turn: Turn, body: PduSet) -> Accepted:
    pdu: Pdu = turn.find("pdu", body.name)
    changed = _pdu(turn, pdu, body)
    used = [path.outlet for each in turn.machines_on(pdu.id) for path in each.paths if path.pdu == pdu.id]
    last = max(used, default=0)
    if 0 < changed.outlets < last:
        raise Refused(Code.WRONG_STATE, f"{pdu.name}: outlets: outlet {last} is in use", "zoni-list")
    return done(turn, "pdu.set", "pdu", turn.put(changed), body.dry_run)


def remove_pdu(turn: Turn, body: Named) -> Accepted:
    pdu: Pdu = turn.find("pdu", body.name)
    _refuse_in_use(turn, pdu)
    secrets.drop(turn, [pdu.snmp.secret])
    turn.remove(pdu)
    return done(turn, "pdu.remove", "pdu", pdu, body.dry_run)


def add_switch(turn: Turn, body: SwitchAdd) -> Accepted:
    name = _new_name(turn, "switch", body.name)
    if not body.address:
        raise Refused(Code.BAD_REQUEST, f"{name}: address: it is missing", f"zoni-switch add {name} --address ...")
    switch = Switch(turn.new_id("switch"), name, turn.at(), "snmp", "")
    return done(turn, "switch.add", "switch", turn.put(_switch(turn, switch, body)), body.dry_run)


def set_switch(turn: Turn, body: SwitchSet) -> Accepted:
    switch: Switch = turn.find("switch", body.name)
    refuse_at_work(turn, switch)
    return done(turn, "switch.set", "switch", turn.put(_switch(turn, switch, body)), body.dry_run)


def remove_switch(turn: Turn, body: Named) -> Accepted:
    switch: Switch = turn.find("switch", body.name)
    refuse_at_work(turn, switch)
    _refuse_in_use(turn, switch)
    switch_change.removed(turn, switch)
    if switch.snmp is not None:
        secrets.drop(turn, [switch.snmp.secret])
    turn.remove(switch)
    return done(turn, "switch.remove", "switch", switch, body.dry_run)


def _pdu(turn: Turn, pdu: Pdu, body: PduAdd | PduSet) -> Pdu:
    given = _common(pdu, body)
    if "address" in given:
        given["address"] = _address(pdu.name, given["address"])
    if body.outlets is not None:
        given["outlets"] = body.outlets
    changed = replace(pdu, **given, snmp=_snmp(turn, pdu, pdu.snmp, body.snmp))
    _refuse_double(turn, "pdu", changed)
    return changed


def _switch(turn: Turn, switch: Switch, body: SwitchAdd | SwitchSet) -> Switch:
    driver = body.driver or switch.driver
    given = _common(switch, body) | _of_switch(turn, switch, body, driver)
    changed = replace(switch, **given, driver=driver)
    if driver == "snmp":
        snmp = _snmp(turn, switch, switch.snmp or SnmpUse(), body.snmp)
        changed = replace(changed, address=_address(switch.name, changed.address), snmp=snmp)
        _refuse_double(turn, "switch", changed)
        return changed
    if body.snmp != Snmp():
        raise Refused(Code.BAD_REQUEST, f"{switch.name}: the driver {driver} speaks no SNMP")
    if not changed.address.isprintable():
        raise Refused(Code.BAD_REQUEST, f"{switch.name}: address: a control character in it")
    if switch.snmp is not None:
        secrets.drop(turn, [switch.snmp.secret])
    return replace(changed, snmp=None)


def _of_switch(turn: Turn, switch: Switch, body: SwitchAdd | SwitchSet, driver: str) -> dict[str, Any]:
    """Its uplinks, which switch it is, and who reaches it, if the request says so."""
    given: dict[str, Any] = {}
    if body.uplinks is not None:
        given["uplinks"] = tuple(
            dict.fromkeys(parts.read(switch.name, "uplinks", _port, each) for each in body.uplinks)
        )
        for port in given["uplinks"]:
            ident = turn.state.machine_of.get(("port", f"{switch.id}:{port}"))
            if ident is not None:
                name = turn.state.machines[ident].name
                raise Refused(Code.CONFLICT, f"{switch.name}: uplinks: {name} is on port {port}", f"zoni-show {name}")
    if body.base_mac:
        if driver not in TELL_WHICH:
            text = f"{switch.name}: base_mac: a bridge of the driver {driver} is known by its name"
            raise Refused(Code.BAD_REQUEST, text)
        given["base_mac"] = parts.read(switch.name, "base_mac", words.parse_mac, body.base_mac)
    elif body.base_mac is not None or driver not in TELL_WHICH:
        given["base_mac"] = ""
    if body.agent is not None:
        given["agent"] = turn.find("zoniagent", body.agent).id if body.agent else ""
    return given


def _port(text: str) -> str:
    """The name of a port, as its switch has it."""
    if not text or len(text) > PORT_MAX or not text.isprintable() or "," in text:
        raise ValueError(f"{text[:40]!r} is no port of a switch")
    return text


def _common(record: Pdu | Switch, body: Device) -> dict[str, Any]:
    """Every field that both kinds have and the request says."""
    given: dict[str, Any] = {}
    for column in ("address", "port", *_TEXTS):
        said = getattr(body, column)
        if said is not None:
            given[column] = parts.read(record.name, column, _TEXTS[column], said) if column in _TEXTS else said
    return given


def _refuse_double(turn: Turn, kind: str, record: Pdu | Switch) -> None:
    """One device is one record: else an outlet or a port would be two."""
    for other in turn.state.tables[kind].values():
        if other.id != record.id and (other.address, other.port) == (record.address, record.port):
            text = f"{record.name}: address: {record.address} port {record.port} is {other.name}'s already"
            raise Refused(Code.CONFLICT, text, f"zoni-{kind} show {other.name}")


def _address(name: str, text: str) -> str:
    return str(parts.read(name, "address", words.parse_address, text))


def _snmp(turn: Turn, record: Pdu | Switch, use: SnmpUse, says: Snmp) -> SnmpUse:
    """How it is spoken to from now on: v3 with a user and two passwords, or v2c, if that is said, with a community."""
    if says == Snmp() and use.secret in turn.state.secrets:
        return use
    version = says.version or use.version
    changed = replace(
        use, version=version, auth=says.auth or use.auth, privacy=says.privacy or use.privacy,
        user="" if version == "v2c" else use.user if says.user is None else says.user,
    )  # fmt: skip
    known = secrets.reveal(turn.state, secrets.vault_of(turn), use.secret) if use.secret else {}
    names = ("community",) if version == "v2c" else ("auth_password", "privacy_password")
    said = {name: word for name in (*_WORDS, "community") if (word := getattr(says, name)) is not None}
    if foreign := [name for name in said if name not in names]:
        wants = "a community, and no user or password" if version == "v2c" else "a user and passwords, no community"
        raise Refused(Code.BAD_REQUEST, f"{record.name}: {foreign[0]}: SNMP {version} has {wants}")
    words_now = {name: word for name, word in (known | said).items() if name in names}
    _check_snmp(record.name, changed, words_now)
    return replace(changed, secret=secrets.keep(turn, record.id, words_now, use.secret))


_WORDS = ("auth_password", "privacy_password")


def _check_snmp(name: str, use: SnmpUse, known: dict[str, str]) -> None:
    """What zoni's access.py would refuse, in words for who types it."""
    if use.version == "v2c":
        if not known.get("community"):
            raise Refused(Code.BAD_REQUEST, f"{name}: community: SNMP v2c needs one", "--community-file FILE")
        return
    parts.read(name, "user", parts.short, use.user)
    if not use.user:
        raise Refused(Code.BAD_REQUEST, f"{name}: user: SNMP v3 needs one", "--user NAME, or --snmp v2c")
    for word in _WORDS:
        if len(known.get(word, "")) < LEAST_PASSWORD:
            flag = f"--{word.removesuffix('_password')}-file FILE"
            text = f"{name}: {word}: SNMP v3 needs one of {LEAST_PASSWORD} characters or more"
            raise Refused(Code.BAD_REQUEST, text, flag)


def _refuse_in_use(turn: Turn, record: Pdu | Switch) -> None:
    names = [each.name for each in turn.machines_on(record.id)]
    if names:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        verb = "hangs" if len(names) == 1 else "hang"
        text = f"{record.name}: {', '.join(names[:NAMED])}{more} {verb} on it"
        raise Refused(Code.WRONG_STATE, text, "zoni-set NAME, or zoni-remove NAME")


def _new_name(turn: Turn, kind: str, name: str) -> str:
    try:
        check_name(name)
    except ValueError as problem:
        raise Refused(Code.BAD_REQUEST, f"name: {problem}") from None
    if name in turn.state.names[kind]:
        raise Refused(Code.CONFLICT, f"{name}: there is a {kind} of this name already", f"zoni-{kind} set {name}")
    return name
