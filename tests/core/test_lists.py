"""Lists: which rows, in which order, written how."""

from __future__ import annotations

import msgspec
import pytest

from tests.core.world import GIB, World


@pytest.fixture
def world() -> World:
    return World()


def test_lists_are_in_order_of_number_page_by_page(world: World) -> None:
    world.ok("vm.create", name="n", image="tiny", cores=1, memory_bytes=GIB // 8, count=12)
    again = World(0)
    for (table, key), value in sorted(world.everything().items()):
        again.cluster.load(table, [(key, value)])
    again.cluster.loaded(again.now(), 2, 0)
    pages, cursor = [], ""
    while True:
        decision = again.decide("list", noun="vm", format="name", limit=5, cursor=cursor)
        assert decision.reply is not None
        pages += (decision.rows or b"").decode().split()
        cursor = msgspec.json.decode(decision.reply.ok).get("cursor", "")
        if not cursor:
            break
    assert pages == [f"n-{at:02d}" for at in range(12)]


def test_a_list_has_what_came_and_went_since_the_last_one(world: World) -> None:
    def names() -> list[str]:
        return [row["name"] for row in world.rows("vm")]

    world.create("a")
    assert names() == ["a"]
    world.create("b")
    assert names() == ["a", "b"]
    world.ok("vm.destroy", name="a")
    assert names() == ["b"]
    mark = world.cluster.mark()
    assert world.decide("vm.create", name="c", image="tiny", cores=1, memory_bytes=GIB).reply is not None
    assert names() == ["b", "c"]
    world.cluster.rollback(mark)
    assert names() == ["b"]


def test_control_characters_are_shown_never_sent(world: World) -> None:
    world.create("a", hints={"note": "up\x1b[2J\tdown"})
    (row,) = world.rows("vm")
    assert row["hints"] == {"note": "up\x1b[2J\tdown"}
    for style in ("tabs", "table"):
        decision = world.decide("list", noun="vm", format=style, fields="name,hints")
        text = (decision.rows or b"").decode()
        assert "note=up\\x1b[2J\\x09down" in text and "\x1b" not in text
