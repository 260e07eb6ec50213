"""What a benchmark prints: one line that says what was measured, the medians, their ratio, the limit, and the verdict.

A machine that is slow, or busy, is not an error: the verdict is `ok` or `above` (`below`, where more is better), the
exit status 0. A figure is a ratio of two things measured in turns in the same run, because nothing else can be compared
between two machines, or two minutes of one.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from typing import NoReturn, TypeVar

T = TypeVar("T")

NAME = os.path.basename(sys.argv[0])


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """The seconds that one call takes, and what it returns."""
    began = time.perf_counter()
    done = work()
    return time.perf_counter() - began, done


def ratio_of(ours: Iterable[float], theirs: Iterable[float]) -> float:
    """The median of the ratios of pairs that were measured next to each other."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


def at_most(what: str, ratio: float, limit: float) -> None:
    """Say that a ratio should not be above its limit."""
    _say(what, f"ratio {ratio:.3g}, at most {limit:g}: {'ok' if ratio <= limit else 'above'}")


def at_least(what: str, ratio: float, limit: float) -> None:
    """Say that a ratio should not be below its limit."""
    _say(what, f"ratio {ratio:.3g}, at least {limit:g}: {'ok' if ratio >= limit else 'below'}")


def told(what: str) -> None:
    """Say a figure that has no limit."""
    print(f"{NAME}: {what}", flush=True)


def skip(why: str) -> NoReturn:
    """End without a figure: something that it needs is not here."""
    told(f"skipped: {why}")
    sys.exit(0)


def time_text(seconds: float) -> str:
    """``0.00034`` as ``340 us``, ``0.034`` as ``34.0 ms``, ``3.4`` as ``3.40 s``."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _say(what: str, verdict: str) -> None:
    told(f"{what}; {verdict}")
