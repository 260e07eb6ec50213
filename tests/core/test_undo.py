"""After a commit that failed, memory is what the store would give: records, indexes and counters alike."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tashi.core.cluster import Cluster
from tashi.core.records import WORKING
from tashi.core.settings import Settings
from tashi.sched.demand import Demand
from tashi.sched.explain import explain
from tashi.wire.messages import Request
from tests.core.world import GIB, ROOT, World

NAMES = st.sampled_from(["a", "b", "c", "d"])
HOSTS = st.sampled_from(["h1", "h2", "h3"])
MACHINES: list[dict[str, Any]] = [
    {"nics": ["52:54:00:00:00:01"], "power_paths": ["pdu:p1:1", "ipmi:10.0.0.1"], "user": "u", "password": "w"},
    {"nics": ["52:54:00:00:00:02"], "power_paths": ["pdu:p1:1"], "ports": ["s1:1"]},
    {"ports": ["s1:1", "s2:1"], "host": "h1", "serial": "S"},
    {"power_paths": [], "ports": [], "nics": [], "host": "", "serial": ""},
]
ROWS = st.lists(st.fixed_dictionaries({"name": NAMES, "parts": st.sampled_from(MACHINES[:3])}), min_size=1, max_size=3)
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("vm.create"),
            st.fixed_dictionaries(
                {"name": NAMES, "image": st.just("tiny"), "cores": st.integers(1, 9), "memory_bytes": st.just(GIB)},
                optional={"count": st.integers(1, 3), "hold": st.booleans(), "host": HOSTS},
            ),
        ),
        st.tuples(
            st.sampled_from(["vm.start", "vm.shutdown", "vm.destroy", "vm.migrate"]),
            st.fixed_dictionaries({"name": NAMES}),
        ),
        st.tuples(
            st.sampled_from(["host.drain", "host.resume", "host.remove"]), st.fixed_dictionaries({"name": HOSTS})
        ),
        st.tuples(st.just("host.add"), st.fixed_dictionaries({"name": st.sampled_from(["h4", "h5"])})),
        st.tuples(
            st.sampled_from(["machine.add", "machine.set"]),
            st.fixed_dictionaries({"name": NAMES, "parts": st.sampled_from(MACHINES)}),
        ),
        st.tuples(st.just("zoniagent.remove"), st.just({"name": "net1"})),
        st.tuples(st.just("machine.remove"), st.fixed_dictionaries({"name": NAMES})),
        st.tuples(st.just("machine.import"), st.fixed_dictionaries({"machines": ROWS, "partial": st.booleans()})),
        st.tuples(st.just("user.add"), st.fixed_dictionaries({"name": NAMES, "uid": st.integers(1000, 1003)})),
        st.tuples(st.sampled_from(["machine.add", "machine.remove"]), st.fixed_dictionaries({"name": NAMES})),
        st.tuples(
            st.just("domain.create"),
            st.fixed_dictionaries({"name": NAMES, "vlans": st.lists(st.integers(2, 5), min_size=1, max_size=2)}),
        ),
        st.tuples(st.just("domain.remove"), st.fixed_dictionaries({"name": NAMES})),
        st.tuples(
            st.just("machine.reserve"),
            st.one_of(
                st.fixed_dictionaries({"count": st.integers(1, 2), "until_wall": st.just(1.75e9)}),
                st.fixed_dictionaries({"count": st.just(1), "from_wall": st.just(1.8e9), "until_wall": st.just(2e9)}),
            ),
        ),
        st.tuples(
            st.just("machine.release"),
            st.fixed_dictionaries({"name": st.one_of(NAMES, st.sampled_from(["r-1", "r-2"]))}),
        ),
    ),
    max_size=8,
)


def derived(cluster: Cluster) -> dict[str, Any]:
    """Everything that is kept beside the records."""
    state = cluster.state
    return {
        "names": {kind: {name: sorted(ids) for name, ids in names.items()} for kind, names in state.names.items()},
        "vms_of_host": {host: set(vms) for host, vms in state.vms_of_host.items() if vms},
        "children": {job: set(parts) for job, parts in state.children.items() if parts},
        "waiting": sorted(state.waiting),
        "kept": dict(state.kept),
        "held": dict(state.held),
        "keys": (
            dict(state.host_of_key),
            dict(state.user_of_key),
            dict(state.user_of_uid),
            dict(state.zoniagent_of_key),
        ),
        "pool": state.pool.used_bytes,
        "room": {host: (state.index.free(host), reasons(cluster, host)) for host in state.hosts},
        "vlans": dict(state.domain_of_vlan),
        "reserved": {machine: sorted(each.id for each in held) for machine, held in state.reservations_of.items()},
        "looking": {machine: set(jobs) for machine, jobs in state.looking.items()},
        "groups": (state.index.members, state.index.shunned),
        "machines": (dict(state.machine_of), {key: set(each) for key, each in state.machines_on.items() if each}),
    }


def reasons(cluster: Cluster, host: str) -> list[str]:
    return [each.reason for each in explain(cluster.state.index, Demand(1, 1), hosts=[host])]


@settings(max_examples=150, deadline=None)
@given(before=STEPS, lost=STEPS)
def test_what_was_not_stored_never_was(before: list[Any], lost: list[Any]) -> None:
    world = World()
    world.hardware()
    for verb, body in before:
        world.ask(verb, **body)
    cluster, mark = world.cluster, world.cluster.mark()
    records, beside = world.everything(), derived(cluster)
    for number, (verb, body) in enumerate(lost):
        raw = Request(f"lost-{number:05d}", verb, msgspec.Raw(json.dumps(body).encode()))
        cluster.request(ROOT, raw, None, world.now())
    cluster.rollback(mark)
    assert world.everything() == records
    assert derived(cluster) == beside
    loaded = Cluster(Settings(pool_bytes=100 * GIB), lambda: b"")
    for (table, key), value in records.items():
        loaded.load(table, [(key, value)])
    loaded.loaded(world.now(), 2, 0)
    for host in cluster.state.hosts:
        loaded.state.set_reachable(host, cluster.state.reachable.get(host, ""))
    assert derived(loaded) == beside


def test_puts_are_the_newest_value_of_each_key() -> None:
    world = World()
    mark = world.cluster.mark()
    world.create("web")
    world.ok("vm.destroy", name="web")
    puts = {(table, key): value for table, key, value in world.cluster.puts_since(mark)}
    assert puts["vm", "v-1"] is None
    assert [key for table, key in puts if table == "done"]
    assert len(puts) == len(world.cluster.puts_since(mark)), "each key once"


def test_vms_loaded_together_are_counted_as_one_by_one() -> None:
    world = World()
    world.create("web", 2)
    world.ok("vm.create", name="many", image="tiny", cores=1, memory_bytes=GIB, count=3)
    world.ok("vm.create", name="later", image="tiny", cores=8, memory_bytes=8 * GIB, count=3, hold=True)
    later = next(vm for vm in world.cluster.state.vms.values() if vm.waiting)
    world.cluster.state.put("vm", later.id, replace(later, kept="h-1"))
    records, beside = world.everything(), derived(world.cluster)
    loaded = Cluster(Settings(pool_bytes=100 * GIB), lambda: b"")
    for kind in WORKING:
        loaded.load(kind, [(key, value) for (table, key), value in records.items() if table == kind])
    loaded.loaded(world.now(), 2, 0)
    for host in world.cluster.state.hosts:
        loaded.state.set_reachable(host, "")
    assert beside["kept"] and beside["waiting"] and derived(loaded) == beside
