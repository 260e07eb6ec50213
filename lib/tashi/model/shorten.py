"""A reason that has to fit: what a text begins and ends with says the most, so its middle goes."""

from __future__ import annotations

GAP = " ... "


def shorten(text: str, most: int) -> str:
    """``text`` in at most ``most`` characters: its head and its tail, `GAP` between; what fits stays as it is."""
    if len(text) <= most:
        return text
    room = max(0, most - len(GAP))
    tail = room // 2
    return (text[: room - tail].rstrip() + GAP + text[len(text) - tail :].lstrip())[:most]
