"""Records as the controller stores them, of VMs that run, many to a host."""

from __future__ import annotations

import msgspec

from tashi.model.host import Facts, Health, Host
from tashi.model.image import Image
from tashi.model.job import Job
from tashi.model.vm import Observed, Vm

AT = "2026-01-01T00:00:00.000Z"
MEMORY_BYTES = 4 * 2**20
VMS_PER_HOST = 100

_encode = msgspec.json.Encoder().encode


def vm_record(number: int) -> bytes:
    """VM v-``number``, which runs on its host."""
    host = f"h-{(number - 1) // VMS_PER_HOST + 1}"
    vm = Vm(
        id=f"v-{number}",
        name=f"vm{number}",
        owner="root",
        image="i-1",
        cores=1,
        memory_bytes=MEMORY_BYTES,
        created_at=AT,
        disk_bytes=2**30,
        disk=f"disks/v-{number}.qcow2",
        disk_made=True,
        host=host,
        observed=Observed(host, "running", 1, 1, "done", boot_id="boot-1", incarnation=1, seq=number),
    )
    return _encode(vm)


def job_record(number: int) -> bytes:
    """The create of VM v-``number``."""
    job = Job(
        id=f"j-{number}",
        verb="vm.create",
        by="root",
        kind="vm",
        target=f"v-{number}",
        name=f"vm{number}",
        created_at=AT,
        owner="root",
        phase="starting",
        budget_seconds=180.0,
        request=f"root\nbench-{number}",
    )
    return _encode(job)


def answer_record(number: int) -> bytes:
    """What that request was answered."""
    ok = {"job": f"j-{number}", "kind": "vm", "objects": {f"v-{number}": f"vm{number}"}, "note": "starting"}
    return _encode({"hash": "0" * 32, "ok": ok, "revision": number})


def host_record(number: int) -> bytes:
    """Host h-``number``, enrolled and up."""
    host = Host(
        id=f"h-{number}",
        name=f"host{number}",
        created_at=AT,
        health=Health.UP,
        facts=Facts(256, 2**40, pool_bytes=2**60, accelerator="kvm", migrate_uri=f"qemu+tls://host{number}/system"),
        key=f"{number:040d}",
        uuid=f"{number:032x}",
        boot_id="boot-1",
        seen_at=AT,
    )
    return _encode(host)


def enrolled_record(number: int, key: str) -> bytes:
    """Host h-``number``, enrolled with this key and not heard yet."""
    return _encode(Host(id=f"h-{number}", name=f"host{number}", created_at=AT, key=key))


def image_record() -> bytes:
    """The one image, i-1, ready."""
    return _encode(Image("i-1", "tiny", "root", "images/tiny.img", "raw", AT, 2**30, "ready"))


def change_record(number: int, revision: int) -> bytes:
    """The entry of the change log that tells of that create."""
    host = f"host{(number - 1) // VMS_PER_HOST + 1}"
    change = {"revision": revision, "at": AT, "kind": "vm", "id": f"v-{number}", "name": f"vm{number}"}
    change |= {"state": "starting", "owner": "root", "by": "root", "verb": "vm.create", "job": f"j-{number}"}
    return _encode(change | {"host": host, "generation": 1})
