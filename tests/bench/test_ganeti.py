"""A cluster is told to Ganeti's tools as it is."""

from __future__ import annotations

from tests.bench import ganeti


def test_what_hail_is_told_adds_up() -> None:
    judge = ganeti.filled(hosts=5, vms=20)
    _, nodes, vms, *_ = (part.splitlines() for part in ganeti.cluster_text(judge.hosts, judge.placed()).split("\n\n"))
    assert (len(nodes), len(vms)) == (5, 20)
    for node in nodes:
        name, memory, _, free_memory, disk, free_disk, *_ = node.split("|")
        here = [vm.split("|") for vm in vms if vm.split("|")[6] == name]
        assert int(memory) - int(free_memory) == sum(int(vm[1]) for vm in here)
        assert int(disk) - int(free_disk) == sum(int(vm[2]) for vm in here)
