"""VLAN numbers as people write them."""

from __future__ import annotations

import re

import pytest

from tashi.model.vlan import SET_MAX, parse_vlans, vlans_text


def test_sets() -> None:
    assert parse_vlans("100") == (100,)
    assert parse_vlans("200, 100-102,101") == (200, 100, 101, 102)
    assert vlans_text((200, 100, 101, 102)) == "200,100-102"
    assert parse_vlans(vlans_text((2, 3, 5, 4094))) == (2, 3, 5, 4094)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0", "0 is no VLAN: they are 1 to 4094"),
        ("4095", "4095 is no VLAN: they are 1 to 4094"),
        ("4090-5000", "4095 is no VLAN"),
        ("1", "VLAN 1 is where ports are that belong to nobody"),
        ("1000-1003", "VLAN 1002 is reserved (1002 to 1005)"),
        ("20-10", "'20-10': the range ends before it begins"),
        ("2-200", f"199 VLANs, the limit is {SET_MAX}"),
        ("red", "'red' is no VLAN: write 100, or 100,200-203"),
        ("", "'' is no VLAN"),
        ("-5", "'-5' is no VLAN"),
        ("\N{FULLWIDTH DIGIT TWO}0", "is no VLAN"),
    ],
)
def test_what_is_none(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        parse_vlans(text)
