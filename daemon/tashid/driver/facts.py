"""What this host has, measured or stated: cores, memory, disks, versions, and what guests get of its processor.

Memory is read from /proc/meminfo: what a hypervisor's library says can be wrong inside virtual machines.
"""

from __future__ import annotations

import os
import socket
import xml.etree.ElementTree as etree

from tashi.model.host import Facts
from tashid.driver.settings import DriverSettings

# Flags of x86 that programs are built for, as /proc/cpuinfo spells them. A guest gets those of its host (`host-model`).
FLAGS = (
    "sse4_1", "sse4_2", "popcnt", "movbe", "rdrand", "rdseed", "aes", "vaes", "pclmulqdq", "sha_ni", "gfni",
    "bmi1", "bmi2", "adx", "f16c", "fma", "avx", "avx2", "avx_vnni", "avx512f", "avx512bw", "avx512cd", "avx512dq",
    "avx512vl", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16",
)  # fmt: skip


def host_facts(
    settings: DriverSettings, accelerator: str, versions: dict[str, str], capabilities: str, domains: str = ""
) -> Facts:
    """Facts of this host under libvirt; the settings' own figures win over measured ones. Sizes are bytes.

    ``capabilities`` are libvirt's own, ``domains`` those of guests as ours are, empty where it tells of none. Sources:
    https://libvirt.org/formatcaps.html and https://libvirt.org/formatdomaincaps.html
    """
    virtual = accelerator == "kvm"  # else the processor that guests see is made of software
    own_total, own_used = _file_system(settings.state)
    pool_total, _ = _file_system(settings.pool)
    address = settings.address or socket.gethostname()
    return Facts(
        cores=settings.cores or len(os.sched_getaffinity(0)),
        memory_bytes=settings.memory_bytes or memory_bytes(),
        disk_bytes=settings.disk_bytes or own_total,
        disk_used_bytes=min(own_used, settings.disk_bytes or own_used),
        pool_bytes=pool_total,
        accelerator=accelerator,
        address=address,
        migrate_uri=settings.migrate_uri or f"qemu+tls://{_in_uri(address)}/system",
        versions={**versions, "kernel": os.uname().release},
        backend="libvirt",
        cpu_model=etree.fromstring(capabilities).findtext("host/cpu/model", "") if virtual else "",
        cpu_flags=cpu_flags() if virtual else (),
        firmware=firmware(domains) if domains else (),
    )


def firmware(domains: str) -> tuple[str, ...]:
    """What guests boot by: a PC's own BIOS always, UEFI where libvirt finds one of that, without Secure Boot's keys."""
    found = etree.fromstring(domains).iterfind("os/enum[@name='firmware']/value")
    return ("bios", "uefi") if any(value.text == "efi" for value in found) else ("bios",)


def memory_bytes(path: str = "/proc/meminfo") -> int:
    """The host's memory as its kernel tells it. Raises ValueError when it doesn't."""
    with open(path, encoding="ascii") as file:
        for line in file:
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) * 1024
    raise ValueError(f"{path} has no MemTotal")


def cpu_flags(path: str = "/proc/cpuinfo") -> tuple[str, ...]:
    """Those of `FLAGS` that the host's processor has; none where its kernel speaks of no such thing."""
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            key, _, words = line.partition(":")
            if key.strip() == "flags":
                there = set(words.split())
                return tuple(flag for flag in FLAGS if flag in there)
    return ()


def _file_system(path: str) -> tuple[int, int]:
    """Size and used bytes of the file system that holds ``path``; zeros while there is no such folder."""
    try:
        what = os.statvfs(path)
    except FileNotFoundError:
        return 0, 0
    return what.f_blocks * what.f_frsize, (what.f_blocks - what.f_bfree) * what.f_frsize


def _in_uri(address: str) -> str:
    return f"[{address}]" if ":" in address else address
