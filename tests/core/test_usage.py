"""The ledger against the obvious: a history that is integrated, step by step, however it was cut and stored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tashi.core import usage
from tashi.core.settings import Settings
from tashi.core.state import State
from tashi.core.turn import Principal, Turn
from tashi.model.clock import Now
from tashi.model.units import month_begin, parse_day
from tashi.model.vm import Desired, Vm
from tashi.wire.errors import Refused
from tashi.wire.messages import UsageBody, Used
from tests.core.world import GIB, World

START = parse_day("2026-03-30")
DAY = 86400
OWNERS, HOSTS = ("ann", "bob"), ("h-1", "h-2", "h-3")
ROOT = Principal("root", "admin")
Amounts = dict[str, tuple[float, float, float]]


class History:
    """A ledger and, beside it, all that happened: (from, to, the VMs as they were)."""

    def __init__(self) -> None:
        self.state = State()
        self.wall, self.monotonic = START + 1000.0, 50.0
        self.spans: list[tuple[float, float, tuple[Vm, ...]]] = []
        self.store: dict[str, dict[str, bytes]] = {"vm": {}, "usage": {}}
        self.count = 0
        self.turn({})

    def turn(self, puts: dict[str, Vm | None], undo: bool = False) -> None:
        turn = Turn(self.state, Settings(), Now(self.monotonic, self.wall), ROOT)
        mark = self.state.mark()
        for key, vm in puts.items():
            self.state.put("vm", key, vm)
        usage.account(turn, self.state.touched(mark))
        if undo:
            self.state.rollback(mark)
            return
        for table, key, value in self.state.puts_since(mark):
            assert table in self.store, "nothing else is stored"
            if value is None:
                self.store[table].pop(key, None)
            else:
                self.store[table][key] = value
        self.state.forget_undo()

    def passes(self, seconds: float) -> None:
        self.spans.append((self.wall, self.wall + seconds, tuple(self.state.vms.values())))
        self.wall += seconds
        self.monotonic += seconds

    def clock_is_set(self, by: float) -> None:
        self.wall += by

    def restart(self) -> None:
        self.state = State()
        self.monotonic = 3.0
        for table, rows in self.store.items():
            for key, value in rows.items():
                self.state.load(table, [(key, value)])
        self.turn({})

    def ask(self, by: str, begin: float | None = None, end: float | None = None) -> list[Used]:
        turn = Turn(self.state, Settings(), Now(self.monotonic, self.wall), ROOT)
        return usage.usage(turn, UsageBody(by, begin, end)).rows  # type: ignore[arg-type]

    def integral(self, by: str, begin: float, end: float) -> Amounts:
        """The obvious way."""
        found: Amounts = {}
        for from_, to, vms in self.spans:
            seconds = max(0.0, min(to, end) - max(from_, begin))
            for vm in vms:
                name = vm.owner if by == "user" else vm.host
                placed = bool(vm.host)
                if by == "host" and not placed:
                    continue
                cores, memory, disk = found.get(name, (0.0, 0.0, 0.0))
                found[name] = (
                    cores + vm.cores * seconds * placed,
                    memory + vm.memory_bytes / GIB * seconds * placed,
                    disk + vm.disk_bytes / GIB * seconds * (by == "user"),
                )
        return found


def as_found(rows: list[Used]) -> Amounts:
    return {row.name: (row.core_seconds, row.memory_gib_seconds, row.disk_gib_seconds or 0.0) for row in rows}


def same(found: Amounts, wanted: Amounts) -> None:
    nothing = (0.0, 0.0, 0.0)
    for name in found | wanted:
        assert found.get(name, nothing) == pytest.approx(wanted.get(name, nothing), rel=1e-9, abs=0.01)


def vm_of(number: int, owner: str, cores: int, memory: int, disk: int) -> Vm:
    return Vm(f"v-{number}", f"n{number}", owner, "i-1", cores, memory, "", disk_bytes=disk)


GAPS = st.one_of(st.floats(0, 3 * DAY), st.floats(0, 40 * DAY), st.sampled_from([0.0, DAY / 2, float(DAY), 70.0 * DAY]))
STEPS = st.one_of(
    st.tuples(
        st.just("create"), st.sampled_from(OWNERS), st.integers(1, 64), st.integers(2**20, 2**38), st.integers(0, 2**42)
    ),
    st.tuples(st.sampled_from(["place", "move"]), st.integers(0, 5), st.sampled_from(HOSTS)),
    st.tuples(st.sampled_from(["stop", "destroy", "undone"]), st.integers(0, 5)),
    st.tuples(st.just("chown"), st.integers(0, 5), st.sampled_from(OWNERS)),
    st.tuples(st.just("restart")),
)


def step(history: History, what: Any) -> None:
    if what[0] == "create":
        history.count += 1
        vm = vm_of(history.count, *what[1:])
        history.turn({vm.id: vm})
        return
    if what[0] == "restart":
        history.restart()
        return
    there = sorted(history.state.vms)
    if not there:
        return
    vm = history.state.vms[there[what[1] % len(there)]]
    match what[0]:
        case "place" | "move":
            history.turn({vm.id: replace(vm, host=what[2])})
        case "stop":
            history.turn({vm.id: replace(vm, host="", desired=Desired.STOPPED)})
        case "chown":
            history.turn({vm.id: replace(vm, owner=what[2])})
        case "destroy":
            history.turn({vm.id: None})
        case "undone":
            history.turn({vm.id: None}, undo=True)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(GAPS, STEPS), max_size=25), GAPS, st.data())
def test_the_ledger_says_what_the_history_was(steps: list[tuple[float, Any]], last: float, data: st.DataObject) -> None:
    history = History()
    for gap, what in steps:
        history.passes(gap)
        step(history, what)
    history.passes(last)
    today = int(history.wall // DAY)
    days = [float(day * DAY) for day in range(max(today - usage.DAYS_KEPT, START // DAY), today + 1)]
    months = sorted({float(month_begin(START + DAY * each)) for each in range(today - START // DAY + 1)})
    edges = st.sampled_from([*days, *months])
    begin = data.draw(edges)
    end = data.draw(edges.filter(lambda each: each >= begin) | st.none())
    for by in ("user", "host"):
        wanted = history.integral(by, begin, history.wall if end is None else end)
        same(as_found(history.ask(by, begin, end)), wanted)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(GAPS, st.floats(-400 * DAY, 400 * DAY)), min_size=1, max_size=5))
def test_setting_the_clock_charges_nobody(jumps: list[tuple[float, float]]) -> None:
    history = History()
    history.turn({"v-1": replace(vm_of(1, "ann", 2, GIB, GIB), host="h-1")})
    lived = 0.0
    for seconds, by in jumps:
        history.passes(seconds)
        lived += seconds
        history.clock_is_set(by)
        history.turn({})
    history.turn({"v-1": None})
    late = max(history.wall, START) + 1000 * DAY
    history.clock_is_set(late - history.wall)
    history.turn({})
    same(as_found(history.ask("user", 0.0)), {"ann": (2 * lived, lived, lived)})


def test_old_days_become_months_and_amounts_stay() -> None:
    history = History()
    for number in range(1, 80):
        history.turn({f"v-{number}": replace(vm_of(number, "ann", 1, GIB, 0), host="h-1")})
        history.passes(DAY)
    history.turn({})
    periods = {tally.period for tally in history.state.usage.values()}
    assert {"2026-03", "2026-04"} <= periods
    assert not {each for each in periods if len(each) > 7 and each < "2026-04-16"}
    same(as_found(history.ask("user", 0.0)), history.integral("user", 0.0, history.wall))
    with pytest.raises(Refused, match="2026-04-05: days before 2026-04-16 are only kept by the month"):
        history.ask("user", float(parse_day("2026-04-05")))


def test_what_an_older_version_stored_begins_to_count_at_the_start() -> None:
    history = History()
    history.turn({"v-1": replace(vm_of(1, "ann", 3, GIB, 0), host="h-1")})
    history.passes(1000)
    history.store["usage"].clear()
    history.restart()
    history.passes(50)
    assert [(row.name, row.core_seconds) for row in history.ask("user")] == [("ann", 150.0)]


def test_bounds_that_are_no_days_are_refused() -> None:
    history = History()
    for begin, end in ((START + 1.0, None), (float(START), START + 7.0), (START + 10.0 * DAY, None)):
        with pytest.raises(Refused):
            history.ask("user", begin, end)


def used(world: World, who: Principal = ROOT, **body: Any) -> dict[str, Any]:
    reply = world.decide("usage", who, **body).reply
    assert reply is not None
    if reply.error is not None:
        return {"error": reply.error.code}
    return {row["name"]: row for row in msgspec.json.decode(reply.ok)["rows"]}


def test_a_life_is_counted_from_its_place_to_its_proven_end() -> None:
    world = World(2)
    ann = Principal("ann", "user")
    world.create("web", 2, ann)
    world.run(100)
    world.ok("vm.migrate", name="web")
    world.run(100)
    assert used(world)["ann"]["core_seconds"] == pytest.approx(400)
    by_host = used(world, by="host")
    assert by_host["h1"]["core_seconds"] == by_host["h2"]["core_seconds"] == pytest.approx(200)
    assert "disk_gib_seconds" not in by_host["h1"]
    world.ok("vm.shutdown", ann, name="web")
    world.run(100)
    assert used(world)["ann"]["core_seconds"] == pytest.approx(400)
    assert used(world)["ann"]["memory_gib_seconds"] == pytest.approx(50)
    assert used(world)["ann"]["disk_gib_seconds"] == pytest.approx(300)
    world.ok("vm.destroy", ann, name="web")
    before = used(world)
    world.run(100)
    assert used(world) == before


def test_a_silent_host_counts_on_what_waits_for_room_does_not() -> None:
    world = World(1)
    world.create("web", 8)
    world.decide("vm.create", name="later", image="tiny", cores=1, memory_bytes=GIB, hold=True)
    world.host("h1").up = False
    world.run(60)
    assert world.vm("web")["state"] == "unknown"
    assert used(world)["root"]["core_seconds"] == pytest.approx(8 * 60)
    assert used(world)["root"]["disk_gib_seconds"] == pytest.approx(2 * 60)


def test_users_see_their_own_and_no_hosts() -> None:
    world = World(1)
    ann, bob = Principal("ann", "user"), Principal("bob", "user")
    world.create("web", 1, ann)
    world.create("db", 1, bob)
    world.run(10)
    assert used(world).keys() == {"ann", "bob"}
    assert used(world, ann).keys() == {"ann"}
    assert used(world, ann, by="host") == used(world, ann, by="group") == {"error": "denied"}
    assert datetime.fromtimestamp(world.now().wall, UTC).year == 2023


def test_a_group_used_what_its_users_did() -> None:
    world = World(1)
    world.ok("group.set", name="phys")
    for number, (name, groups) in enumerate({"ann": ["phys"], "bob": ["phys"], "eve": []}.items()):
        world.ok("user.add", name=name, uid=100 + number, groups=groups)
        world.create("web", number + 1, Principal(name, "user"))
    world.run(10)
    by_user, by_group = used(world), used(world, by="group")
    assert by_group.keys() == {"phys", ""}
    for key in ("core_seconds", "memory_gib_seconds", "disk_gib_seconds"):
        assert by_group["phys"][key] == pytest.approx(by_user["ann"][key] + by_user["bob"][key])
        assert by_group[""][key] == by_user["eve"][key] > 0
