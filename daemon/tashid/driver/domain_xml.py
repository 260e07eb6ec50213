"""A guest as libvirt's domain XML, and what we wrote into a domain's metadata read back.

Pure. The domain's name and UUID follow from the VM's id, so that the same VM is the same domain on every host and a
repeated definition replaces itself; people find the VM's name in the title. What we own is marked by one element in our
own namespace: the VM's id, the generation, the cluster, its disks, and as JSON what it was made of, so that a record
can be made of it again. A domain without that element is not ours, nor is one with another cluster's.
Source: https://libvirt.org/formatdomain.html
"""

from __future__ import annotations

import re
import uuid
import xml.etree.ElementTree as etree
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import msgspec

from tashi.model.guest import Disk, Guest
from tashid.driver.interface import DriverError

NAMESPACE = "https://tashi.invalid/domain/1"
PREFIX = "tashi"
_ROOT = uuid.UUID("5a9d4a3e-7c1b-5c39-9a4e-6f1f1d7e2b10")
_TAG = f"{{{NAMESPACE}}}vm"
_NUMBER = re.compile("[0-9]{1,18}")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

etree.register_namespace(PREFIX, NAMESPACE)


@dataclass(frozen=True)
class Machine:
    """What the domain type decides. ``tb_cache_mib`` bounds the translated code of software emulation."""

    type: str
    arch: str
    machine: str
    cpu: str = ""
    tb_cache_mib: int = 0


# accelerator -> machine; "test" is libvirt's built-in test driver
MACHINES: dict[str, Machine] = {
    "kvm": Machine("kvm", "x86_64", "q35", cpu="host-model"),
    "tcg": Machine("qemu", "x86_64", "q35", tb_cache_mib=32),
    "test": Machine("test", "i686", ""),
}


@dataclass(frozen=True)
class Metadata:
    """Our mark in a domain."""

    vm: str
    generation: int
    disks: tuple[str, ...] = ()
    cluster: str = ""  # empty: made before clusters had ids
    made_of: str = ""


@dataclass(frozen=True)
class Place:
    """What this host adds: accelerator, bridges by network name, and where a path of the pool is."""

    accelerator: str
    networks: Mapping[str, str]
    locate: Callable[[str], str]
    cluster: str = ""


def domain_uuid(vm: str) -> str:
    """The domain's UUID, the same for a VM's id on every host."""
    return str(uuid.uuid5(_ROOT, vm))


def domain_xml(guest: Guest, generation: int, place: Place) -> str:
    """The whole definition. Raises DriverError for a network that this host lacks or text that XML can't hold."""
    machine = MACHINES[place.accelerator]
    root = Element("domain", type=machine.type)
    _text(root, "name", guest.id)
    _text(root, "uuid", domain_uuid(guest.id))
    _text(root, "title", guest.name)
    disks = tuple(disk.path for disk in guest.disks)
    made_of = msgspec.json.encode(guest).decode()
    mark = Metadata(guest.id, generation, disks, place.cluster, made_of)
    etree.SubElement(root, "metadata").append(_mark(f"{{{NAMESPACE}}}", mark))
    _text(root, "memory", str(-(-guest.memory_bytes // 1024)), unit="KiB")
    _text(root, "vcpu", str(guest.cores))
    root.append(_boot(guest, machine, place))
    features = etree.SubElement(root, "features")
    for name in ("acpi", "apic"):
        etree.SubElement(features, name)
    if machine.tb_cache_mib:
        _text(etree.SubElement(features, "tcg"), "tb-cache", str(machine.tb_cache_mib), unit="MiB")
    if machine.cpu:
        etree.SubElement(root, "cpu", mode=machine.cpu)
    for event, action in (("on_poweroff", "destroy"), ("on_reboot", "restart"), ("on_crash", "destroy")):
        _text(root, event, action)
    root.append(_devices(guest, place))
    xml = etree.tostring(root, encoding="unicode")
    if found := _NOT_XML.search(xml):
        raise DriverError(f"{guest.name}: {found[0]!r} is a character that no domain definition can hold")
    return xml


def _boot(guest: Guest, machine: Machine, place: Place) -> Element:
    os = Element("os")
    if guest.firmware == "uefi" and machine.machine:
        os.set("firmware", "efi")
        firmware = etree.SubElement(os, "firmware")
        for name in ("enrolled-keys", "secure-boot"):  # what it boots need not be signed
            etree.SubElement(firmware, "feature", enabled="no", name=name)
    kind = _text(os, "type", "hvm", arch=machine.arch)
    if machine.machine:
        kind.set("machine", machine.machine)
    if guest.kernel:
        _text(os, "kernel", place.locate(guest.kernel))
        if guest.initrd:
            _text(os, "initrd", place.locate(guest.initrd))
        if guest.kernel_args:
            _text(os, "cmdline", guest.kernel_args)
    else:
        etree.SubElement(os, "boot", dev="hd")
    return os


def _devices(guest: Guest, place: Place) -> Element:
    devices = Element("devices")
    for number, disk in enumerate(guest.disks):
        devices.append(_disk(disk, number, place))
    for nic in guest.nics:
        bridge = place.networks.get(nic.network)
        if bridge is None:
            raise DriverError(f"{guest.name}: network {nic.network!r} is not known on this host")
        interface = etree.SubElement(devices, "interface", type="bridge")
        etree.SubElement(interface, "mac", address=nic.mac)
        etree.SubElement(interface, "source", bridge=bridge)
        etree.SubElement(interface, "model", type="virtio")
        etree.SubElement(interface, "rom", enabled="no")  # nothing boots from the network here
    if place.accelerator == "test":
        return devices
    etree.SubElement(devices, "controller", type="usb", model="none")
    serial = etree.SubElement(devices, "serial", type="pty")
    etree.SubElement(serial, "target", port="0")
    etree.SubElement(devices, "memballoon", model="none")
    return devices


def _disk(disk: Disk, number: int, place: Place) -> Element:
    """The format is stated for the overlay and for its base: nothing that a guest wrote is ever probed."""
    node = Element("disk", type="file", device="disk")
    etree.SubElement(node, "driver", name="qemu", type=disk.format, cache="none", discard="unmap")
    etree.SubElement(node, "source", file=place.locate(disk.path))
    if disk.base:
        below = etree.SubElement(node, "backingStore", type="file")
        etree.SubElement(below, "format", type=disk.base_format)
        etree.SubElement(below, "source", file=place.locate(disk.base))
        etree.SubElement(below, "backingStore")  # the chain ends here
    etree.SubElement(node, "target", dev=f"vd{chr(ord('a') + number)}", bus="virtio")
    return node


def mark_xml(mark: Metadata) -> str:
    """Our element alone and without its namespace, as libvirt's setMetadata takes it."""
    return etree.tostring(_mark("", mark), encoding="unicode")


def read_metadata(xml: str) -> Metadata | None:
    """Our mark in a domain's XML, or in what `mark_xml` gives; None when there is none that makes sense."""
    root = etree.fromstring(xml)
    found = root if root.tag == "vm" else root.find(f"metadata/{_TAG}")
    if found is None:
        return None
    vm, generation = found.get("id", ""), found.get("generation", "")
    if not vm or not _NUMBER.fullmatch(generation):
        return None
    disks = tuple(disk.get("path", "") for disk in found.iterfind("{*}disk"))
    return Metadata(vm, int(generation), disks, found.get("cluster", ""), found.findtext("{*}guest", ""))


def read_guest(mark: Metadata) -> Guest | None:
    """What a domain was made of; None when its mark does not say, or not in a way that we know."""
    try:
        return msgspec.json.decode(mark.made_of, type=Guest)
    except (msgspec.DecodeError, RecursionError):
        return None


def with_generation(xml: str, generation: int) -> str:
    """The same domain with another generation in our mark: what a migration's destination gets."""
    root = etree.fromstring(xml)
    found = root.find(f"metadata/{_TAG}")
    if found is None:
        raise DriverError("the domain carries no metadata of ours")
    found.set("generation", str(generation))
    return etree.tostring(root, encoding="unicode")


def read_summary(xml: str) -> tuple[str, int, int]:
    """Title, cores, and memory in bytes of a domain as libvirt prints it (KiB, whatever was put in)."""
    root = etree.fromstring(xml)
    return root.findtext("title", ""), int(root.findtext("vcpu", "0")), int(root.findtext("memory", "0")) * 1024


def _mark(prefix: str, mark: Metadata) -> Element:
    node = Element(f"{prefix}vm", id=mark.vm, generation=str(mark.generation))
    if mark.cluster:
        node.set("cluster", mark.cluster)
    for path in mark.disks:
        etree.SubElement(node, f"{prefix}disk", path=path)
    if mark.made_of:
        _text(node, f"{prefix}guest", mark.made_of)
    return node


def _text(parent: Element, name: str, value: str, **attributes: str) -> Element:
    node = etree.SubElement(parent, name, attributes)
    node.text = value
    return node
