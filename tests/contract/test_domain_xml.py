"""Domain XML: libvirt takes it, our mark is found again, and nothing that is typed gets out of its place."""

from __future__ import annotations

import xml.etree.ElementTree as etree
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tashi.model.guest import Disk, Guest, Nic
from tashid.driver.domain_xml import (
    MACHINES,
    NAMESPACE,
    Metadata,
    Place,
    domain_uuid,
    domain_xml,
    mark_xml,
    read_guest,
    read_metadata,
    read_summary,
    with_generation,
)
from tashid.driver.interface import DriverError


def place(accelerator: str = "tcg") -> Place:
    return Place(accelerator, {"default": "br0", "lab": "br7"}, lambda path: f"/pool/{path}")


GUESTS = {
    "bare": Guest("v-1", "bare", 1, 2**24),
    "overlay": Guest("v-2", "web", 2, 2**30, [Disk("disks/v-2.qcow2", "qcow2", "images/deb.qcow2", "qcow2", 2**33)]),
    "raw": Guest("v-3", "raw", 1, 2**30, [Disk("disks/v-3.raw", "raw")]),
    "nics": Guest("v-4", "two", 1, 2**30, nics=[Nic("default", "52:54:00:00:00:01"), Nic("lab", "52:54:00:00:00:02")]),
    "uefi": Guest("v-6", "uefi", 1, 2**30, firmware="uefi"),
    "kernel": Guest("v-5", "boot", 1, 2**27, kernel="k/vmlinuz", initrd="k/initrd.gz", kernel_args="quiet a=\"b'<&"),
}


@pytest.mark.parametrize("accelerator", MACHINES)
@pytest.mark.parametrize("guest", GUESTS.values(), ids=GUESTS)
def test_it_follows_libvirts_own_schema(guest: Guest, accelerator: str) -> None:
    libvirt = pytest.importorskip("libvirt")
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    connection = libvirt.open("test:///default")
    try:
        connection.defineXMLFlags(
            domain_xml(guest, 3, place(accelerator)), libvirt.VIR_DOMAIN_DEFINE_VALIDATE
        ).undefine()
    except libvirt.libvirtError as error:  # the schema comes first; then, that the test hypervisor has only type 'test'
        assert error.get_error_code() == libvirt.VIR_ERR_CONFIG_UNSUPPORTED and accelerator != "test", str(error)


def test_uefi_is_libvirts_to_find_and_asks_for_no_signatures() -> None:
    os = etree.fromstring(domain_xml(GUESTS["uefi"], 1, place())).find("os")
    assert os is not None and os.get("firmware") == "efi"
    assert [each.attrib for each in os.iterfind("firmware/feature")] == [
        {"enabled": "no", "name": "enrolled-keys"},
        {"enabled": "no", "name": "secure-boot"},
    ]
    plain = etree.fromstring(domain_xml(GUESTS["bare"], 1, place())).find("os")
    assert plain is not None and plain.get("firmware") is None and plain.find("firmware") is None


@pytest.mark.parametrize("guest", GUESTS.values(), ids=GUESTS)
def test_the_mark_is_found_again(guest: Guest) -> None:
    xml = domain_xml(guest, 3, replace(place(), cluster="c1"))
    mark = read_metadata(xml)
    assert mark is not None
    assert (mark.vm, mark.generation, mark.cluster) == (guest.id, 3, "c1")
    assert mark.disks == tuple(disk.path for disk in guest.disks)
    assert read_guest(mark) == guest
    assert read_metadata(mark_xml(replace(mark, generation=4))) == replace(mark, generation=4)
    assert read_summary(xml) == (guest.name, guest.cores, guest.memory_bytes)


def test_another_generation_changes_nothing_else() -> None:
    xml = domain_xml(GUESTS["overlay"], 3, place())
    later = with_generation(xml, 12)
    before, after = read_metadata(xml), read_metadata(later)
    assert before is not None and after == replace(before, generation=12)
    assert with_generation(later, 3) == with_generation(xml, 3)


def test_a_mark_from_before_clusters_had_ids_is_read() -> None:
    old = f"<t:vm xmlns:t='{NAMESPACE}' id='v-1' generation='3'><t:disk path='disks/v-1.qcow2'/></t:vm>"
    mark = read_metadata(f"<domain><metadata>{old}</metadata></domain>")
    assert mark == Metadata("v-1", 3, ("disks/v-1.qcow2",))
    assert read_guest(mark) is None
    assert read_guest(replace(mark, made_of='{"id": 1}')) is None


def test_a_domain_without_our_mark_is_not_ours() -> None:
    assert read_metadata("<domain><metadata><vm id='v-1' generation='1'/></metadata></domain>") is None
    assert read_metadata("<domain><name>v-1</name></domain>") is None
    with pytest.raises(DriverError):
        with_generation("<domain><name>v-1</name></domain>", 2)


@pytest.mark.parametrize("generation", ["", "-1", "1.5", "x", "\u0664", "9" * 19])
def test_a_mark_that_makes_no_sense_is_none(generation: str) -> None:
    mark = f"<t:vm xmlns:t='{NAMESPACE}' id='v-1' generation='{generation}'/>"
    assert read_metadata(f"<domain><metadata>{mark}</metadata></domain>") is None


def test_a_vm_is_the_same_domain_everywhere() -> None:
    assert domain_uuid("v-1") == "0305c38e-1b88-50fb-880a-21166967ed20"
    assert domain_uuid("v-1") != domain_uuid("v-2")


@pytest.mark.attack(21)
def test_formats_are_stated_down_to_the_end_of_the_chain() -> None:
    disk = etree.fromstring(domain_xml(GUESTS["overlay"], 1, place())).find("devices/disk")
    assert disk is not None
    below = disk.find("backingStore")
    assert below is not None
    assert [node.get("type") for node in (disk.find("driver"), below.find("format")) if node is not None] == [
        "qcow2"
    ] * 2
    end = below.find("backingStore")
    assert end is not None and len(end) == 0 and not end.attrib, "nothing below it is looked for"
    source = below.find("source")
    assert source is not None and source.get("file") == "/pool/images/deb.qcow2"


def test_a_network_that_is_not_here_is_refused() -> None:
    guest = Guest("v-1", "web", 1, 2**24, nics=[Nic("storage", "52:54:00:00:00:01")])
    with pytest.raises(DriverError, match="storage"):
        domain_xml(guest, 1, place())


def test_what_decides_the_machine_is_one_table() -> None:
    kinds = {name: etree.fromstring(domain_xml(GUESTS["bare"], 1, place(name))) for name in MACHINES}
    assert {name: root.get("type") for name, root in kinds.items()} == {"kvm": "kvm", "tcg": "qemu", "test": "test"}
    assert kinds["tcg"].find("features/tcg/tb-cache") is not None
    assert kinds["kvm"].find("features/tcg") is None


@pytest.mark.attack(25)
@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_text_stays_in_its_place(name: str, args: str, path: str) -> None:
    guest = Guest("v-1", name, 1, 2**24, [Disk(path, "raw")], kernel="k", kernel_args=args)
    try:
        xml = domain_xml(guest, 1, place())
    except DriverError:
        return
    root = etree.fromstring(xml)
    assert read_metadata(xml) is not None
    assert [child.tag for child in root] == [child.tag for child in etree.fromstring(domain_xml(_PLAIN, 1, place()))]
    assert len(root.findall("devices/disk")) == 1


_PLAIN = Guest("v-1", "x", 1, 2**24, [Disk("d", "raw")], kernel="k", kernel_args="x")
