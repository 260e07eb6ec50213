"""How people write the parts of a machine, and back: the same words in options, spreadsheets, lists and exports.

disk   2T, nvme:2T                     port   SWITCH:PORT, SWITCH:PORT,nic=eth0
nic    52:54:00:00:00:01, eth0=MAC     power  KIND:WHERE[,KEY=VALUE]..., see `PATHS`
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from urllib.parse import urlsplit

from tashi.model.machine import Disk, MachineNic, PowerPath, SwitchPort
from tashi.model.units import parse_size

DISK_KINDS = ("hdd", "ssd", "nvme")
# kind of path: (how it is written, what it is called by first, what else it may be given)
PATHS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "ipmi": ("ipmi:ADDRESS", "address", ("port", "user")),
    "redfish": ("redfish:https://ADDRESS", "url", ("system", "trust", "plain", "user")),
    "pdu": ("pdu:PDU:OUTLET", "pdu", ()),
    "libvirt": ("libvirt:DOMAIN", "domain", ("uri",)),
    "fake": ("fake:MACHINE,world=FOLDER", "machine", ("world", "user")),
}
WITH_LOGIN = ("ipmi", "redfish", "fake")
LIBVIRT = "qemu:///system"
_LIMITS = {"ipmi": (16, 20)}  # bytes of a user, of a password: IPMI 2.0, 22.28 and 22.30
_MAC = re.compile(r"[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}|[0-9a-f]{12}")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_URL = re.compile(r"https?://[^@/?#\s]+/?")  # as zoni's power/paths.py
_TRUST = re.compile(r"system|/.+|sha256:[0-9a-fA-F]{64}")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*", re.ASCII)
_NIC = re.compile(r"[A-Za-z0-9._-]{1,32}", re.ASCII)
_FAKE = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)


def parse_mac(text: str) -> str:
    """A MAC address in lower case with colons. Raises ValueError for what no NIC of a machine has."""
    if not _MAC.fullmatch(text.lower()):
        raise ValueError(f"{text[:40]!r} is not a MAC address: write 52:54:00:00:00:01")
    digits = re.sub(r"[:.-]", "", text.lower())
    if digits == "0" * 12 or int(digits[:2], 16) & 1:
        raise ValueError(f"{text!r} is no address of one NIC")
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def parse_uuid(text: str) -> str:
    """A UUID in lower case. Raises ValueError, also for those that stand for none."""
    uuid = text.lower()
    if not _UUID.fullmatch(uuid):
        raise ValueError(f"{text[:40]!r} is not a UUID: write 8, 4, 4, 4 and 12 hexadecimal digits")
    if len(set(uuid) - {"-"}) == 1:
        raise ValueError(f"{text!r} is what firmware says that has no UUID")
    return uuid


def parse_address(text: str) -> str:
    """An IPv4 or IPv6 address, or the name of a host in lower case. Raises ValueError."""
    try:
        if ":" in text:
            return str(IPv6Address(text))
        if re.fullmatch(r"[0-9.]+", text):
            return str(IPv4Address(text))
    except ValueError:
        raise ValueError(f"{text[:60]!r} is not an IP address") from None
    if len(text) > 253 or not _HOST.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is neither an IP address nor the name of a host")
    return text.lower()


def parse_number(text: str, most: int, what: str) -> int:
    """1 to ``most``, in digits 0 to 9. Raises ValueError."""
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:12]) <= most:
        raise ValueError(f"{text[:20]!r} is no {what}: 1 to {most}")
    return int(text)


def parse_disk(text: str) -> Disk:
    kind, colon, size = text.rpartition(":")
    if colon and kind not in DISK_KINDS:
        raise ValueError(f"{text[:40]!r}: a disk is {', '.join(DISK_KINDS)} and a size, as in nvme:2T, or the size")
    return Disk(parse_size(size), kind)


def disk_text(disk: Disk) -> str:
    """Exactly as `parse_disk` reads it."""
    power = next((power for power in range(5, 0, -1) if disk.size_bytes % 1024**power == 0), 0)
    size = f"{disk.size_bytes // 1024**power}{' KMGTP'[power].strip()}"
    return f"{disk.kind}:{size}" if disk.kind else size


def parse_nic(text: str) -> MachineNic:
    name, equals, mac = text.rpartition("=")
    if equals and not _NIC.fullmatch(name):
        raise ValueError(f"{name[:40]!r} is no name of a NIC: write NAME=MAC, as in eth0=52:54:00:00:00:01")
    return MachineNic(parse_mac(mac), name)


def nic_text(nic: MachineNic) -> str:
    return f"{nic.name}={nic.mac}" if nic.name else nic.mac


def parse_port(text: str) -> SwitchPort:
    """A port; its ``switch`` is a name or id still."""
    where, _, settings = text.partition(",nic=")
    switch, colon, port = where.partition(":")
    if not (switch and colon and port) or len(port) > 64 or "," in port:
        raise ValueError(f"{text[:60]!r} is not a port: write SWITCH:PORT, or SWITCH:PORT,nic=eth0")
    return SwitchPort(switch, port, settings)


def port_text(port: SwitchPort, switch: str) -> str:
    return f"{switch}:{port.port}" + (f",nic={port.nic}" if port.nic else "")


def parse_path(text: str) -> PowerPath:
    """A power path; its ``pdu`` is a name or id still. Raises ValueError that names what is wrong."""
    kind, _, rest = text.partition(":")
    if kind not in PATHS:
        raise ValueError(f"{text[:60]!r} is no power path: write {', '.join(form for form, _, _ in PATHS.values())}")
    form, first, known = PATHS[kind]
    where, *settings = rest.split(",")
    if not where:
        raise ValueError(f"{text[:60]!r}: where? Write {form}")
    given: dict[str, Any] = {first: where}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if key not in known or (equals == "" and key != "plain") or (equals and not value):
            may = ", ".join("plain" if each == "plain" else f"{each}=" for each in known) or "nothing more"
            raise ValueError(f"{kind}:{where}"[:60] + f": {key[:40]!r}: {kind} takes {may}")  # its value may be secret
        given[key] = value or True
    return _CHECKS[kind](given)


def _ipmi(given: dict[str, Any]) -> PowerPath:
    port = parse_number(given["port"], 65535, "port") if "port" in given else 0
    return PowerPath("ipmi", address=parse_address(given["address"]), port=port, user=_user("ipmi", given))


def _redfish(given: dict[str, Any]) -> PowerPath:
    url, trust, system = given["url"], given.get("trust", ""), given.get("system", "")
    if "@" in url:
        raise ValueError("redfish: no user and no password in an address: write ,user=NAME, and give a password file")
    if not _URL.fullmatch(url) or not _names_host(url):
        raise ValueError(
            f"{url[:60]!r} is not a BMC's address: write redfish:https://ADDRESS, and system= for the path"
        )
    if url.startswith("http:") and "plain" not in given:
        raise ValueError(f"{url[:60]!r}: http shows the password to the network: write https, or add plain")
    if trust and not _TRUST.fullmatch(trust):
        raise ValueError(f"trust={trust[:60]}: write system, the path of a file, or sha256:FINGERPRINT")
    if system and not system.startswith("/"):
        raise ValueError(f"system={system[:60]}: write a path, like /redfish/v1/Systems/1")
    plain = url.startswith("http:")
    return PowerPath(
        "redfish", url=url.rstrip("/").lower(), system=system, trust=trust, plain=plain, user=_user("redfish", given)
    )


def _names_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # no address between brackets, no number for a port
        return False


def _pdu(given: dict[str, Any]) -> PowerPath:
    name, colon, outlet = given["pdu"].rpartition(":")
    if not (name and colon):
        raise ValueError(f"{given['pdu'][:60]!r} is no outlet: write pdu:PDU:OUTLET")
    return PowerPath("pdu", pdu=name, outlet=parse_number(outlet, 10_000, "outlet"))


def _libvirt(given: dict[str, Any]) -> PowerPath:
    return PowerPath("libvirt", domain=given["domain"], uri=given.get("uri", LIBVIRT))


def _fake(given: dict[str, Any]) -> PowerPath:
    if not _FAKE.fullmatch(given["machine"]) or "world" not in given:
        raise ValueError("a fake machine is written fake:MACHINE,world=FOLDER")
    return PowerPath("fake", machine=given["machine"], world=given["world"], user=_user("fake", given))


_CHECKS = {"ipmi": _ipmi, "redfish": _redfish, "pdu": _pdu, "libvirt": _libvirt, "fake": _fake}


def _user(kind: str, given: dict[str, Any]) -> str:
    user = str(given.get("user", ""))
    check_login(kind, user, "")
    return user


def check_login(kind: str, user: str, password: str) -> None:
    """Raise ValueError for what such a path can't have; it never shows the password."""
    users, passwords = _LIMITS.get(kind, (64, 128))
    if len(user.encode()) > users:
        raise ValueError(f"user {user[:40]!r}: {kind} has users of {users} bytes at most")
    if len(password.encode()) > passwords:
        raise ValueError(f"the password is longer than the {passwords} bytes that {kind} has")


def path_text(path: PowerPath, pdu: str = "") -> str:
    """Exactly as `parse_path` reads it; ``pdu`` is the name of its PDU. No password is in it."""
    if path.kind == "pdu":
        return f"pdu:{pdu}:{path.outlet}"
    _, first, known = PATHS[path.kind]
    words = [f"{path.kind}:{getattr(path, first)}"]
    for key in known:
        value = getattr(path, key)
        if value and not (key == "uri" and value == LIBVIRT):
            words.append("plain" if key == "plain" else f"{key}={value}")
    return ",".join(words)
