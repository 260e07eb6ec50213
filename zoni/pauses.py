"""Changes that wait for a device: generators of pauses in seconds.

A worker sleeps through them (`pass_time`), a simulator does other things meanwhile.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from tashi.run.clock import Clock

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0

Value = TypeVar("Value")
Steps = Generator[float, None, Value]


def pass_time(steps: Steps[Value], clock: Clock) -> Value:
    """Sleep through the pauses of a change."""
    try:
        while True:
            clock.sleep(next(steps))
    except StopIteration as end:
        value: Value = end.value
        return value
