"""What the records and the contact with hosts come to, as samples of the metrics in `tashi.model.metrics`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tashi.core.turn import Turn
from tashi.core.views import value_of
from tashi.model.host import Health, HostState
from tashi.model.vm import VmState
from tashi.wire.messages import Metrics, Sample

if TYPE_CHECKING:
    from tashi.core.cluster import Cluster

# The metric of a host, by the field that it shows.
OF_HOST = {
    "cores": "tashi_host_cores",
    "cores_used": "tashi_host_cores_used",
    "memory_bytes": "tashi_host_memory_bytes",
    "memory_used_bytes": "tashi_host_memory_used_bytes",
    "disk_bytes": "tashi_host_disk_bytes",
    "disk_used_bytes": "tashi_host_disk_used_bytes",
    "vms": "tashi_host_vms",
}


def measure(turn: Turn, cluster: Cluster) -> Metrics:
    """All that there is to count, for a caller that sees all."""
    state = turn.state
    return Metrics(
        [
            Sample("tashi_epoch", cluster.epoch),
            Sample("tashi_revision", cluster.revision),
            *_hosts(turn),
            *_each_host(turn, cluster),
            Sample("tashi_pool_bytes", state.pool.capacity_bytes),
            Sample("tashi_pool_used_bytes", state.pool.used_bytes),
            *_vms(turn),
            *(
                Sample("tashi_jobs_running", count, [verb])
                for verb, count in sorted(Counter(job.verb for job in state.jobs.values()).items())
            ),
            Sample("tashi_images", len(state.images)),
            Sample("tashi_users", len(state.users)),
        ]
    )


def _hosts(turn: Turn) -> Iterator[Sample]:
    hosts = turn.state.hosts.values()
    counts = Counter((host.state.value, value_of(turn, "host", "health", host)) for host in hosts)
    for state in HostState:
        for health in Health:
            yield Sample("tashi_hosts", counts[state.value, health.value], [state.value, health.value])


def _each_host(turn: Turn, cluster: Cluster) -> Iterator[Sample]:
    for host in turn.state.hosts.values():
        contact = cluster.contacts.get(host.id)
        yield Sample("tashi_host_up", int(value_of(turn, "host", "health", host) == Health.UP), [host.name])
        if contact is not None:
            age = round(turn.now.monotonic - contact.heard, 3)
            yield Sample("tashi_host_heartbeat_age_seconds", age, [host.name])
        for key, name in OF_HOST.items():
            value = value_of(turn, "host", key, host)
            if value is not None:
                yield Sample(name, value, [host.name])


def _vms(turn: Turn) -> Iterator[Sample]:
    counts = Counter(value_of(turn, "vm", "state", vm) for vm in turn.state.vms.values())
    return (Sample("tashi_vms", counts[state.value], [state.value]) for state in VmState)
