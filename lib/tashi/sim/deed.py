"""What a sentence of a scene is: how it is written, and what it does to those who take part."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tashi.sim.sentence import Usage


class Unmet(Exception):
    """Something was expected and is not so."""


class Deed(NamedTuple):
    """``act`` gets those who take part, the log so far, and the values of the sentence."""

    usage: Usage
    doc: str
    act: Callable[..., None]
    expects: bool = False


def deed(usage: str, doc: str, act: Callable[..., None], expects: bool = False) -> Deed:
    return Deed(Usage(usage), doc, act, expects)
