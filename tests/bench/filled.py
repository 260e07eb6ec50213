"""A store that holds a large cluster before the controller starts: quicker than asking it for all of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from tashid.store.interface import LogEntry, Put
from tashid.store.open import open_store
from tests.bench import records

AT_ONCE = 2000  # VMs in a commit
STORE_BYTES = 16 * 2**30


def fill(state: Path, vms: int, keys: Sequence[str] = ()) -> None:
    """VMs that run, one change each, and their hosts; or, with ``keys``, a host without VMs for each of these keys."""
    state.mkdir(mode=0o700)
    store = open_store(str(state / "store"), STORE_BYTES)
    epoch, now = store.acquire(), time.time()
    hosts = [records.host_record(number) for number in range(1, vms // records.VMS_PER_HOST + 1)]
    hosts += [records.enrolled_record(number, key) for number, key in enumerate(keys, len(hosts) + 1)]
    counters = {"vm": vms, "job": vms, "host": len(hosts), "image": 1}
    puts = [Put("meta", kind, b"%d" % last) for kind, last in counters.items()]
    puts += [Put("host", f"h-{number}", host) for number, host in enumerate(hosts, 1)]
    store.commit([*puts, Put("image", "i-1", records.image_record())], [], epoch=epoch)
    for first in range(0, vms, AT_ONCE):
        numbers = range(first + 1, first + AT_ONCE + 1)
        puts = [Put("vm", f"v-{number}", records.vm_record(number)) for number in numbers]
        log = [LogEntry(number, now, records.change_record(number, number)) for number in numbers]
        store.commit(puts, log, epoch=epoch)
    store.close()
