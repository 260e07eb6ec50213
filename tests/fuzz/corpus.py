"""The inputs that are kept: one file a target, one Python bytes literal a line, so that a difference can be read."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"
LONGEST = 2048  # bytes of an input that is kept


def kept(target: str) -> list[bytes]:
    """All of a target's, in their order."""
    path = FOLDER / f"{target}.txt"
    return [ast.literal_eval(line) for line in path.read_text().splitlines()] if path.exists() else []


def keep(target: str, inputs: Iterable[bytes]) -> None:
    """These and those that are there, each once, the short ones first."""
    every = {each for each in inputs if len(each) <= LONGEST} | set(kept(target))
    lines = [repr(each) for each in sorted(every, key=lambda each: (len(each), each))]
    (FOLDER / f"{target}.txt").write_text("".join(f"{line}\n" for line in lines))
