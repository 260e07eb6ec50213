"""Guests for tests that speak to libvirt alone, by virsh: the lab's images without controller and agent."""

from __future__ import annotations

import subprocess
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

from tashi.lab.guests import build
from tashi.lab.lab import KERNEL_ARGS, Lab

SECONDS = 60.0


def mac(number: int) -> str:
    return f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}"


def domain(lab: Lab, number: int, image: str) -> str:
    """The XML of guest ``g<number>``, of image tiny or linux; its serial line goes to a file beside the pool."""
    images = lab.folders.data / "pool" / "images"
    root = Element("domain", type="qemu")
    SubElement(root, "name").text = f"g{number}"
    SubElement(root, "memory", unit="MiB").text = "96" if image == "linux" else "4"
    SubElement(root, "vcpu").text = "1"
    os = SubElement(root, "os")
    SubElement(os, "type", arch="x86_64", machine="q35").text = "hvm"
    features = SubElement(root, "features")
    SubElement(features, "acpi")
    devices = SubElement(root, "devices")
    SubElement(devices, "controller", type="usb", model="none")
    serial = SubElement(devices, "serial", type="file")
    SubElement(serial, "source", path=str(serial_file(lab, number)), append="on")
    if image == "linux":
        SubElement(os, "kernel").text = str(images / build.VMLINUZ)
        SubElement(os, "initrd").text = str(images / build.INITRD)
        SubElement(os, "cmdline").text = f"{KERNEL_ARGS} lab.net={lab.plan.guest_prefix}"
        nic = SubElement(devices, "interface", type="bridge")
        SubElement(nic, "mac", address=mac(number))
        SubElement(nic, "source", bridge="br0")
        SubElement(nic, "model", type="virtio")
        SubElement(nic, "rom", enabled="no")
    else:
        disk = SubElement(devices, "disk", type="file", device="disk")
        SubElement(disk, "driver", name="qemu", type="raw")
        SubElement(disk, "source", file=str(images / build.TINY))
        SubElement(disk, "target", dev="vda", bus="virtio")
        SubElement(disk, "readonly")
    return tostring(root, encoding="unicode")


def serial_file(lab: Lab, number: int) -> Path:
    return lab.folders.data / "pool" / f"g{number}.serial"


def virsh(lab: Lab, host: str, *words: str, text: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
    """virsh inside a host, against its own libvirtd."""
    argv = lab.host(host).command(["virsh", "-q", "-c", "qemu:///system", *words])
    return subprocess.run(argv, input=text, capture_output=True, text=True, timeout=SECONDS, check=check)


def create(lab: Lab, host: str, number: int, image: str) -> None:
    """Run a transient guest and wait until it says that it is ready."""
    from tashi.lab.call import wait_until

    file = serial_file(lab, number)
    file.unlink(missing_ok=True)
    virsh(lab, host, "create", "/dev/stdin", text=domain(lab, number, image))
    wait_until(lambda: file.exists() and b"READY" in file.read_bytes(), f"g{number} is ready", seconds=SECONDS)


def state(lab: Lab, host: str, number: int) -> str:
    """libvirt's word for it; empty when there is none."""
    return virsh(lab, host, "domstate", f"g{number}", check=False).stdout.strip()
