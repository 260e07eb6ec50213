"""What is measured: the one table of metrics, their kinds and what they mean. Prometheus' words: gauge, counter."""

from __future__ import annotations

from typing import NamedTuple


class Metric(NamedTuple):
    """``labels`` in the order in which they are written."""

    name: str
    kind: str
    doc: str
    labels: tuple[str, ...] = ()


METRICS: tuple[Metric, ...] = (
    # from the records
    Metric("tashi_epoch", "gauge", "How often a controller has taken over the records."),
    Metric("tashi_revision", "gauge", "Newest entry of the change log."),
    Metric("tashi_hosts", "gauge", "VM hosts.", ("state", "health")),
    Metric("tashi_host_up", "gauge", "1 for a host whose health is up, else 0.", ("host",)),
    Metric("tashi_host_heartbeat_age_seconds", "gauge", "Since its agent was last heard.", ("host",)),
    Metric("tashi_host_cores", "gauge", "Cores of a host.", ("host",)),
    Metric("tashi_host_cores_used", "gauge", "Cores of a host that are claimed.", ("host",)),
    Metric("tashi_host_memory_bytes", "gauge", "Memory of a host.", ("host",)),
    Metric("tashi_host_memory_used_bytes", "gauge", "Memory of a host that is claimed.", ("host",)),
    Metric("tashi_host_disk_bytes", "gauge", "A host's own disk.", ("host",)),
    Metric("tashi_host_disk_used_bytes", "gauge", "Used of a host's own disk.", ("host",)),
    Metric("tashi_host_vms", "gauge", "VMs that have it as their host.", ("host",)),
    Metric("tashi_pool_bytes", "gauge", "The shared pool."),
    Metric("tashi_pool_used_bytes", "gauge", "Promised of the shared pool."),
    Metric("tashi_vms", "gauge", "VMs; those that wait for room are held.", ("state",)),
    Metric("tashi_jobs_running", "gauge", "Operations that run.", ("verb",)),
    Metric("tashi_images", "gauge", "Images."),
    Metric("tashi_users", "gauge", "Registered users."),
    # of the controller's process
    Metric("tashi_up_seconds", "gauge", "Since the controller's start."),
    Metric("tashi_requests_total", "counter", "Requests; the outcome is ok or an error's code.", ("verb", "outcome")),
    Metric("tashi_denied_total", "counter", "Requests refused for want of a right."),
    Metric("tashi_messages_total", "counter", "Messages of commands and agents."),
    Metric(
        "tashi_agent_messages_dropped_total",
        "counter",
        "Messages of an agent that were too many and not heard.",
        ("host",),
    ),
    Metric("tashi_batches_total", "counter", "Turns of the loop, each with all that waited."),
    Metric("tashi_batch_seconds_total", "counter", "Time in these turns, storing included."),
    Metric("tashi_batch_seconds_max", "gauge", "The longest of them."),
    Metric("tashi_commits_failed_total", "counter", "Turns that could not be stored."),
    Metric("tashi_readers", "gauge", "Readers that wait for a change."),
    Metric("tashi_store_used_bytes", "gauge", "Used of the store."),
    Metric("tashi_store_limit_bytes", "gauge", "The store's soft limit."),
)
