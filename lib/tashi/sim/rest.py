"""Whether a cluster has come to rest: nothing open but what waits for room, and the records tell the truth."""

from __future__ import annotations

from tashi.core import usage
from tashi.core.cluster import Cluster
from tashi.core.records import WORKING
from tashi.model.vm import VmState, claims, state_of
from tashi.sim.controller import Controller
from tashi.sim.devices import Devices
from tashi.sim.hypervisor import Site
from tashi.sim.invariants import Invariants
from tashi.sim.world import Violation

AT_REST = (VmState.RUNNING, VmState.STOPPED, VmState.FAILED, VmState.HELD)


def why_not_at_rest(site: Site, invariants: Invariants, controller: Controller) -> str:
    """What is still under way; empty when nothing is. Raises Violation when the controller contradicts itself."""
    if controller.process is None:
        return "no controller"
    cluster = controller.process.cluster
    state = cluster.state
    for host in state.hosts.values():
        if host.id in state.unknown_hosts:
            return f"{host.name} is unknown: {state.unknown_hosts[host.id]}"
        if host.strays:
            return f"{host.name} has strays: {host.strays}"
    for vm in state.vms.values():
        shown, reason = state_of(vm, "")
        if shown not in AT_REST:
            return f"{vm.name} ({vm.id}) is {shown}: {reason}"
        if vm.leftovers:
            return f"{vm.name} ({vm.id}) has something left on {list(vm.leftovers)}"
    for job in state.jobs.values():
        target = state.vms.get(job.target)
        waits = target is not None and bool(target.waiting)
        if not waits and not state.children.get(job.id):
            return f"{job.id} ({job.verb} {job.name}) is open: {job.phase} {job.reason}"
    lie = _on_its_way(cluster) or _lie(site, cluster) or _lie_of_machines(invariants.metal.devices, cluster)
    if not lie:
        _check_index(cluster)
        if usage.noted(cluster.state) != usage.claimed(cluster.state):
            raise Violation(f"the ledger says {usage.noted(cluster.state)}, the records {usage.claimed(cluster.state)}")
        _check_reload(controller, cluster)
        invariants.restarted()
    return lie


def _lie(site: Site, cluster: Cluster) -> str:
    """What a record says of its guest and the hypervisors don't; a lost event may take until the next inventory."""
    state = cluster.state
    names = {host.name: host.id for host in state.hosts.values()}
    there: dict[str, list[tuple[str, str]]] = {}
    for host in site.hosts.values():
        for domain in host.domains.values():
            if not domain.ours:
                continue
            there.setdefault(domain.vm, []).append((names[host.name], domain.state))
    for vm_id in there:
        if vm_id not in state.vms:
            return f"{vm_id} is gone by the records and on {there[vm_id]} in truth"
    for vm in state.vms.values():
        shown, _ = state_of(vm, "")
        running = [host for host, how in there.get(vm.id, []) if how != "stopped"]
        if running != ([vm.host] if shown is VmState.RUNNING else []):
            return f"{vm.id} is {shown} on {vm.host!r} by its record, in truth: {there.get(vm.id)}"
        if any(host != vm.host for host, _ in there.get(vm.id, [])):
            return f"{vm.id} belongs to {vm.host!r} and is also elsewhere: {there.get(vm.id)}"
    disks = {vm.disk for vm in state.vms.values()}
    orphans = sorted(site.disks - disks)
    return f"no record knows the disks {', '.join(orphans)}" if orphans else ""


def _on_its_way(cluster: Cluster) -> str:
    """Which machine is still being moved, or waits in quarantine."""
    for machine in cluster.state.machines.values():
        transfer = machine.allocation.transfer
        if transfer is not None:
            return f"{machine.name} is on its way: {transfer.phase} {transfer.reason}"
    return ""


def _lie_of_machines(devices: Devices, cluster: Cluster) -> str:
    """What a record says of its machine and the devices don't."""
    for machine in cluster.state.machines.values():
        domain = cluster.state.domains.get(machine.allocation.domain)
        wanted, truth = set(domain.vlans) if domain is not None else set(), devices.vlans(machine.name)
        if wanted != truth:
            return f"{machine.name} is in {domain and domain.name} by its record, its ports are in {sorted(truth)}"
        power = "on" if devices.is_on(machine.name) else "off"
        if machine.seen is not None and machine.seen.power != power:
            return f"{machine.name} is {machine.seen.power} by its record, in truth {power}"
    return ""


def _check_index(cluster: Cluster) -> None:
    """I5: what the placement index counts is what the records claim."""
    claimed: dict[str, tuple[int, int]] = dict.fromkeys(cluster.state.hosts, (0, 0))
    for vm in cluster.state.vms.values():
        for host in claims(vm):
            cores, memory = claimed[host]
            claimed[host] = (cores + vm.cores, memory + vm.memory_bytes)
    for host, wanted in claimed.items():
        if cluster.state.index.used(host) != wanted:
            raise Violation(f"I5 {host}: the index counts {cluster.state.index.used(host)}, records claim {wanted}")
    used = sum(vm.disk_bytes for vm in cluster.state.vms.values())
    if cluster.state.pool.used_bytes != used:
        raise Violation(f"I5 the pool counts {cluster.state.pool.used_bytes} bytes, records have {used}")


def _check_reload(controller: Controller, cluster: Cluster) -> None:
    """I1: a controller that started now would know what this one knows."""
    fresh = Cluster(controller.settings, lambda: bytes(32))
    for table in WORKING:
        fresh.load(table, controller.store.load(table))
    for table in WORKING[1:]:
        ours, theirs = cluster.state.tables[table], fresh.state.tables[table]
        for key in sorted(ours.keys() | theirs.keys()):
            if ours.get(key) != theirs.get(key):
                raise Violation(f"I1 {key} in memory is {ours.get(key)}, stored is {theirs.get(key)}")
    for host in cluster.state.hosts:
        if cluster.state.index.used(host) != fresh.state.index.used(host):
            raise Violation(f"I5 {host}: claims differ after a reload")
