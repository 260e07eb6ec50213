"""A port of Open vSwitch in the words of 802.1Q, and back."""

from __future__ import annotations

import pytest

from zoni.switch.interface import Port
from zoni.switch.ovs_ports import Columns, after, columns_of, read_port
from zoni.switch.steps import Filter, Join, Leave, Native, PortStep

ACCESS = Port("p", native=100, untagged=(100,))
TRUNK = Port("p", native=1, untagged=(1,), tagged=(100, 200))
NOWHERE = Port("p")
UNTOUCHED = Port("p", filters=False)


@pytest.mark.parametrize(
    ("columns", "port"),
    [
        (Columns("access", 100), ACCESS),
        (Columns("", 100), ACCESS),
        (Columns("native-untagged", 1, (1, 100, 200)), TRUNK),
        (Columns("native-untagged", 1, (100, 200)), TRUNK),
        (Columns("native-tagged", 1, (1, 100)), Port("p", native=1, tagged=(1, 100))),
        (Columns("trunk", None, (200, 100)), Port("p", tagged=(100, 200))),
        (Columns("", None, (100,)), Port("p", tagged=(100,))),
        (Columns("trunk", None, (4095,)), NOWHERE),
        (Columns("access", 4095), NOWHERE),
        (Columns(), UNTOUCHED),
        (Columns("trunk", 100), UNTOUCHED),
        (Columns("access"), UNTOUCHED),
        (Columns("trunk", None, (0, 100)), Port("p", tagged=(100,), filters=False)),
        (Columns("native-untagged", 1), Port("p", native=1, untagged=(1,), filters=False)),
        (Columns("dot1q-tunnel", 100), Port("p", native=100, filters=False)),
    ],
)
def test_what_is_set_is_read(columns: Columns, port: Port) -> None:
    assert read_port("p", columns) == port


@pytest.mark.parametrize("port", [ACCESS, TRUNK, NOWHERE, UNTOUCHED, Port("p", native=1, tagged=(1, 100))])
def test_what_is_written_is_read_as_it_was(port: Port) -> None:
    assert read_port("p", columns_of(port)) == port


@pytest.mark.parametrize(
    ("before", "steps", "end"),
    [
        (ACCESS, [Leave("p", 100), Native("p", 200), Join("p", 200, False)], Port("p", native=200, untagged=(200,))),
        (TRUNK, [Leave("p", 1), Native("p", 0)], Port("p", tagged=(100, 200))),
        (TRUNK, [Leave("p", 100), Leave("p", 200)], Port("p", native=1, untagged=(1,))),
        (ACCESS, [Join("p", 200, True)], Port("p", native=100, untagged=(100,), tagged=(200,))),
        (ACCESS, [Leave("p", 100)], NOWHERE),
        (UNTOUCHED, [Filter("p", True)], NOWHERE),
        (UNTOUCHED, [Filter("p", True), Native("p", 100), Join("p", 100, False)], ACCESS),
        (ACCESS, [Filter("p", False)], UNTOUCHED),
    ],
)
def test_steps_end_where_they_should_with_never_two_vlans(before: Port, steps: list[PortStep], end: Port) -> None:
    port = before
    for step in steps:
        port = read_port("p", columns_of(after(port, step)))
        assert len(port.heard_in) <= 1
    assert port == end


def test_a_trunk_that_leaves_its_last_vlan_does_not_carry_all() -> None:
    """To Open vSwitch an empty list of trunks means every VLAN."""
    port = TRUNK
    for vlan in (100, 200, 1):
        port = after(port, Leave("p", vlan))
    assert columns_of(port).trunks == (4095,)
