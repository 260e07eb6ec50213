"""Ganeti's tools beside ours: a cluster as they read it, what hail would place where, how hbal judges it.

The file is htools' text format, the request is that of an iallocator, both as hail(1) and hbal(1) of Ganeti 3.0 have
them. A host promises its cores once and keeps nothing for itself; disks are its own. Groups are not told: hail has no
rule that it must keep. Nothing here needs a Ganeti that runs.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.figures import skip
from tests.bench.history import Line, Name, Parts, parts_of
from tests.bench.judge import Host, Judge
from tests.bench.trace import Recipe, lines

HAIL = "/usr/lib/ganeti/iallocators/hail"
TEMPLATE = "plain"  # each disk on its VM's host
LENIENT = ("--no-capacity-checks", "--ignore-dynu")  # no room kept for a host that fails; no load figures
GROUP = "uuid-1"
RATIOS = "1.0|1000.0"  # cores and spindles; the second is no limit
MIB_OF_GIB = 1024
PATIENCE_SECONDS = 900
MOST_AT_ONCE = 64

Placed = Iterable[tuple[Name, Name, Line]]  # (VM, host, its create)


def need_tools() -> None:
    """Skip where Ganeti's tools are not installed."""
    for tool in ("hbal", HAIL):
        if not shutil.which(tool):
            skip(f"no {tool} here, it is in the package ganeti-htools")


def cluster_text(hosts: Mapping[Name, Host], placed: Placed) -> str:
    """A cluster for ``-t``."""
    nodes = [f"group1|{GROUP}|preferred||", ""]
    for name, host in hosts.items():
        offer, free = host.offer, _free(host)
        disk = f"{offer.disk_gib * MIB_OF_GIB}|{free.disk_gib * MIB_OF_GIB}"
        nodes.append(f"{name}|{offer.memory_mib}|0|{free.memory_mib}|{disk}|{offer.cores}|N|{GROUP}|1||N|0|0|1.0")
    vms = [
        f"{name}|{size.memory_mib}|{size.disk_gib * MIB_OF_GIB}|{size.cores}|running|Y|{at}||{TEMPLATE}||1|-"
        for name, at, size in ((name, at, parts_of(create)) for name, at, create in placed)
    ]
    least, most = Parts(1, 1, 0), _largest(hosts)
    policy = "|".join((_limits(least), f"{_limits(least)};{_limits(most)}", TEMPLATE, RATIOS))
    return "\n".join((*nodes, "", *vms, "", "", f"|{policy}", f"group1|{policy}", ""))


def filled(hosts: int, vms: int) -> Judge:
    """A cluster where so many VMs of a trace are, each on the next host in turn that has room; without groups."""
    judge, turn, left = Judge(), 0, vms
    for line in lines(Recipe(hosts=hosts, load=1, group_share=0)):
        if line["op"] == "create" and left:
            names = [f"h-{(turn + step) % hosts + 1}" for step in range(hosts)]
            judge.see(line, next(name for name in names if judge.hosts[name].holds(parts_of(line))))
            turn, left = turn + 1, left - 1
        elif line["op"] == "host":
            judge.see(line, None)
    return judge


def played(trace: Iterable[Line], folder: Path) -> Judge:
    """A trace, as `player.played`, with hail for the engine: creates that follow one another go into one call."""
    judge, some = Judge(), list[Line]()
    for line in trace:
        if line["op"] == "create":
            some.append(line)
            continue
        place(judge, some, folder)
        some.clear()
        judge.see(line, None)
    place(judge, some, folder)
    assert not judge.faults, judge.faults
    return judge


def place(cluster: Judge, creates: Sequence[Line], folder: Path) -> None:
    """Let hail place VMs one after the other, and the judge see where; many in one call, as long as all find room."""
    at, many = 0, MOST_AT_ONCE
    while at < len(creates):
        some = creates[at : at + many]
        path = folder / "cluster.data"
        path.write_text(cluster_text(cluster.hosts, cluster.placed()))
        answer = ask(path, {"type": "multi-allocate", "instances": [instance(line) for line in some]}, folder)
        if not answer["success"] and len(some) > 1:
            many = len(some) // 2
            continue
        hosts = {name: nodes[0] for name, nodes in answer["result"][0]} if answer["success"] else {}
        for line in some:
            cluster.see(line, hosts.get(str(line["id"])))
        at, many = at + len(some), min(many * 2, MOST_AT_ONCE)


def ask(cluster: Path, what: Mapping[str, Any], folder: Path) -> Any:
    """hail's answer to one request about a cluster's file, by a process of its own as Ganeti starts it."""
    path = folder / "request.json"
    about = {"cluster_tags": [], "instances": {}, "nodegroups": {}, "nodes": {}, "enabled_hypervisors": ["kvm"]}
    path.write_text(json.dumps({**about, "request": what}))
    return json.loads(run([HAIL, str(path), "-t", str(cluster), *LENIENT]))


def score(path: Path) -> float:
    """How hbal judges the balance of a file's cluster; the smaller, the better."""
    text = run(["hbal", "-t", str(path), "-l", "0", "-C", *LENIENT[1:]])
    said = re.search(r"Initial score: ([\d.]+)", text)
    if said is None:
        raise ValueError(f"hbal says no score:\n{text}")
    return float(said[1])


def instance(line: Line) -> dict[str, Any]:
    """One VM that hail shall place."""
    size = parts_of(line)
    disk = size.disk_gib * MIB_OF_GIB
    return {
        "name": str(line["id"]),
        "memory": size.memory_mib,
        "vcpus": size.cores,
        "disk_space_total": disk,
        "disks": [{"size": disk, "mode": "rw"}],
        "disk_template": TEMPLATE,
        "spindle_use": 1,
        "required_nodes": 1,
        "tags": [],
        "nics": [],
        "os": "none",
        "hypervisor": "kvm",
    }


def run(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    if done.returncode:
        raise ValueError(f"{argv[0]} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def _free(host: Host) -> Parts:
    return Parts(*(offer - used for offer, used in zip(host.offer, host.used, strict=True)))


def _largest(hosts: Mapping[Name, Host]) -> Parts:
    return Parts(*(max((host.offer[part] for host in hosts.values()), default=1) for part in range(3)))


def _limits(size: Parts) -> str:
    """Memory, cores, size of disks, disks, network cards, spindles."""
    return f"{size.memory_mib},{size.cores},{size.disk_gib * MIB_OF_GIB},1,1,1"
