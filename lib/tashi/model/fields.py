"""The one table of fields per noun: columns, JSON keys, filters and tashi-json(5) all come from it.

``kind`` says how a value is shown to people: ``text``, ``size`` (bytes), ``seconds``, ``count``, ``list``, ``map``.
``shown`` fields are the columns that a list prints unasked; the others come with ``-o`` or in ``-j``.
"""

from __future__ import annotations

from typing import NamedTuple


class Field(NamedTuple):
    key: str
    header: str
    doc: str
    kind: str = "text"
    shown: bool = False
    width: int = 6


FIELDS: dict[str, tuple[Field, ...]] = {
    "vm": (
        Field("name", "NAME", "name, unique among its owner's", shown=True, width=12),
        Field("id", "ID", "id, never used again", shown=True),
        Field(
            "state",
            "STATE",
            "pending, held, starting, running, shutting-down, stopped, migrating, destroying, unknown or failed",
            shown=True,
            width=10,
        ),
        Field("host", "HOST", "host that it is on, or was on when it stopped", shown=True),
        Field("cores", "CORES", "virtual cores", "count", shown=True, width=5),
        Field("memory_bytes", "MEMORY", "memory", "size", shown=True),
        Field("disk_bytes", "DISK", "disk promised in the shared pool", "size", shown=True),
        Field("owner", "OWNER", "user that it belongs to", shown=True),
        Field("reason", "REASON", "why it is in this state", shown=True),
        Field("image", "IMAGE", "name of the image below its disk"),
        Field("generation", "GENERATION", "raised by each order to a host", "count"),
        Field("desired", "DESIRED", "running, stopped or absent"),
        Field("destination", "TO", "host that it is migrating to"),
        Field("job", "JOB", "operation that is at work on it"),
        Field("nics", "NICS", "networks and MAC addresses", "list"),
        Field("hints", "HINTS", "hints given at creation", "map"),
        Field("created_at", "CREATED", "when it was asked for"),
    ),
    "host": (
        Field("name", "NAME", "name given by thost-add", shown=True, width=8),
        Field("id", "ID", "id, never used again", shown=True),
        Field("state", "STATE", "normal, draining or drained", shown=True, width=8),
        Field("health", "HEALTH", "up, degraded or unknown", shown=True, width=8),
        Field("vms", "VMS", "VMs that have it as their host", "count", shown=True, width=4),
        Field("cores", "CORES", "cores", "count", shown=True, width=5),
        Field("cores_used", "USED", "cores claimed by VMs", "count", shown=True, width=5),
        Field("memory_bytes", "MEMORY", "memory", "size", shown=True),
        Field("memory_used_bytes", "USED", "memory claimed by VMs", "size", shown=True),
        Field("disk_bytes", "DISK", "its own disk, not the shared pool", "size", shown=True),
        Field("disk_used_bytes", "USED", "used of its own disk", "size", shown=True),
        Field("reason", "REASON", "why it is not up, or what is odd", shown=True),
        Field("accelerator", "ACCEL", "kvm or tcg, by self-test"),
        Field("foreign_cores", "FOREIGN", "cores of guests that are not ours", "count"),
        Field("foreign_memory_bytes", "FOREIGN", "memory of guests that are not ours", "size"),
        Field("strays", "STRAYS", "guests with our mark that no record knows", "list"),
        Field("versions", "VERSIONS", "of agent, hypervisor, kernel", "map"),
        Field("migrate_uri", "MIGRATE", "where other hypervisors reach it"),
        Field("uuid", "UUID", "machine id"),
        Field("boot_id", "BOOT", "changes with each boot"),
        Field("certificate_until", "CERTIFICATE", "end of its certificate for TLS between hosts"),
        Field("enrolled", "ENROLLED", "yes, or no while its token is unused"),
        Field("off", "OFF", "administrator who has said that it is off, until it is heard again"),
        Field("job", "JOB", "operation that is at work on it"),
        Field("seen_at", "SEEN", "last hello of its agent"),
        Field("created_at", "CREATED", "when it was added"),
    ),
    "image": (
        Field("name", "NAME", "name given by timg-add", shown=True, width=10),
        Field("id", "ID", "id, never used again", shown=True),
        Field("state", "STATE", "checking or ready", shown=True, width=8),
        Field("format", "FORMAT", "raw or qcow2, as it was added", shown=True),
        Field("size_bytes", "SIZE", "virtual size", "size", shown=True),
        Field("owner", "OWNER", "user that added it", shown=True),
        Field("path", "PATH", "file, below the pool", shown=True),
        Field("kernel", "KERNEL", "kernel file that guests are started with"),
        Field("initrd", "INITRD", "initial ram disk for that kernel"),
        Field("kernel_args", "ARGS", "the kernel's line"),
        Field("vms", "VMS", "VMs whose disks lie on it", "count"),
        Field("created_at", "CREATED", "when it was added"),
    ),
    "user": (
        Field("name", "NAME", "name", shown=True, width=10),
        Field("id", "ID", "id, never used again", shown=True),
        Field("role", "ROLE", "user, operator or admin", shown=True, width=8),
        Field("uid", "UID", "local user id", "count", shown=True),
        Field("groups", "GROUPS", "groups that it is in", "list", shown=True),
        Field("vms", "VMS", "VMs that it owns", "count", shown=True, width=4),
        Field("quota_vms", "QUOTA", "the most of them, null for any number", "count", shown=True, width=5),
        Field("cores", "CORES", "cores of those that are not stopped", "count", shown=True, width=5),
        Field("quota_cores", "QUOTA", "the most of them", "count", shown=True, width=5),
        Field("memory_bytes", "MEMORY", "memory of those that are not stopped", "size", shown=True),
        Field("quota_memory_bytes", "QUOTA", "the most of it", "size", shown=True),
        Field("disk_bytes", "DISK", "disk of all of them", "size", shown=True),
        Field("quota_disk_bytes", "QUOTA", "the most of it", "size", shown=True),
        Field("keys", "KEYS", "how many keys it may come with", "count", shown=True, width=4),
        Field("key", "KEY", "its newest public key"),
        Field("created_at", "CREATED", "when it was added"),
    ),
    "group": (
        Field("name", "NAME", "name", shown=True, width=10),
        Field("id", "ID", "id, never used again", shown=True),
        Field("vms", "VMS", "VMs that its users own", "count", shown=True, width=4),
        Field("quota_vms", "QUOTA", "the most of them, null for any number", "count", shown=True, width=5),
        Field("cores", "CORES", "cores of those that are not stopped", "count", shown=True, width=5),
        Field("quota_cores", "QUOTA", "the most of them", "count", shown=True, width=5),
        Field("memory_bytes", "MEMORY", "memory of those that are not stopped", "size", shown=True),
        Field("quota_memory_bytes", "QUOTA", "the most of it", "size", shown=True),
        Field("disk_bytes", "DISK", "disk of all of them", "size", shown=True),
        Field("quota_disk_bytes", "QUOTA", "the most of it", "size", shown=True),
        Field("users", "USERS", "users that are in it", "list", shown=True),
        Field("created_at", "CREATED", "when it was made"),
    ),
    "key": (
        Field("id", "ID", "id, never used again", shown=True),
        Field("name", "NAME", "user whose key it is", shown=True, width=10),
        Field("public", "KEY", "public half", shown=True, width=40),
        Field("age_seconds", "AGE", "how long it has been let in", "seconds", shown=True),
        Field("created_at", "ADDED", "when it was let in", shown=True, width=24),
        Field("last_used_at", "USED", "when it was used last, since the controller's start", shown=True, width=24),
        Field("last_address", "FROM", "where it came from then", shown=True, width=15),
        Field("addresses", "ADDRESSES", "where it came from in the last 24 hours, the latest first", "list"),
    ),
    "difference": (
        Field("name", "NAME", "name of the VM or host", shown=True, width=12),
        Field("id", "ID", "its id", shown=True),
        Field(
            "difference",
            "DIFFERENCE",
            "stray, elsewhere, newer, missing or twice, of a VM; silent or epoch, of a host",
            shown=True,
            width=10,
        ),
        Field("guest", "GUEST", "what the host says", shown=True, width=12),
        Field("record", "RECORD", "what the record says", shown=True, width=12),
        Field("adopt", "ADOPT", "what tashi-adopt would make of it, or why it can't", shown=True, width=12),
        Field("forget", "FORGET", "what tashi-forget would do", shown=True, width=12),
        Field("kind", "KIND", "vm or host"),
        Field("host", "HOST", "host that says otherwise"),
        Field("owner", "OWNER", "user that it belongs to"),
    ),
    "finding": (
        Field(
            "kind",
            "KIND",
            "what it is about: store, key, folder, controller, vm, host, job or pool",
            shown=True,
            width=5,
        ),
        Field("name", "NAME", "name of that object, or its file", shown=True, width=12),
        Field("what", "WHAT", "what is wrong", shown=True, width=20),
        Field("help", "HELP", "what helps", shown=True, width=20),
        Field("id", "ID", "id of that object"),
    ),
    "job": (
        Field("id", "ID", "id, never used again", shown=True),
        Field("verb", "VERB", "what was asked", shown=True, width=12),
        Field("name", "NAME", "name of the object it is about", shown=True, width=12),
        Field("state", "STATE", "running, done, failed or cancelled", shown=True, width=9),
        Field("phase", "PHASE", "what it is doing, or waits for", shown=True, width=8),
        Field("by", "BY", "who asked", shown=True),
        Field("created_at", "STARTED", "when it was accepted", shown=True, width=24),
        Field("ended_at", "ENDED", "when it ended", width=24),
        Field("reason", "REASON", "why it failed, or waits", shown=True),
        Field("kind", "KIND", "kind of that object"),
        Field("target", "TARGET", "id of that object"),
        Field("parent", "PARENT", "operation that it is a part of"),
        Field("children", "PARTS", "operations that are parts of it", "count"),
        Field("open_children", "OPEN", "parts that still run", "count"),
        Field("failed_children", "BAD", "parts that failed", "count"),
        Field("budget_seconds", "BUDGET", "time it may take", "seconds"),
        Field("why", "WHY", "the reason given with --reason"),
        Field("owner", "OWNER", "owner of the object"),
        Field("from", "FROM", "migration: source host"),
        Field("to", "TO", "migration: destination host"),
        Field("total_seconds", "TOTAL", "migration: time in all", "seconds"),
        Field("downtime_seconds", "DOWN", "migration: time the guest stood still", "seconds"),
        Field("bytes", "BYTES", "migration: bytes sent; backup: size of the file", "size"),
        Field("digest", "DIGEST", "backup: stands for all that is in it, see tashi-export", width=64),
        Field("done_bytes", "DONE", "migration under way: bytes sent so far", "size"),
        Field("total_bytes", "OF", "migration under way: bytes to send, as known now", "size"),
        Field("bytes_per_second", "RATE", "migration under way: bytes a second", "size"),
        Field("outcome", "OUTCOME", "done, failed or cancelled once it has ended"),
    ),
}


def field(noun: str, key: str) -> Field | None:
    """The field of a noun with this key, or None."""
    return next((item for item in FIELDS[noun] if item.key == key), None)
