"""The only loop: it waits on sockets, descriptors, timers and signals, and calls whoever is concerned.

One thread. A callback runs to its end before the next one starts, so nothing here needs a lock; a callback that waits
makes everybody wait, so none does: what takes time is a worker process. An exception out of a callback is a bug and
ends the daemon: its state on disk is whole, its supervisor starts it again.
"""

from __future__ import annotations

import heapq
import itertools
import math
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import zmq

from tashi.run.notify import Notifier

# What may be waited on: a ZeroMQ socket or a descriptor.
Source = zmq.Socket[bytes] | int
Ready = Callable[[list[Source]], None]


class Timer:
    """One future call. ``cancel`` may be called at any time, also after it."""

    __slots__ = ("call", "when")

    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self.when, self.call = when, call

    def cancel(self) -> None:
        self.call = _nothing


class Loop:
    """Sources, timers and signals of one daemon."""

    def __init__(self, notifier: Notifier | None = None) -> None:
        self.now: Callable[[], float] = time.monotonic
        self._poller = zmq.Poller()
        self._ready: dict[Any, Ready] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._signals: dict[int, Callable[[], None]] = {}
        self._stopping = False
        self._notifier = notifier or Notifier({})
        self._wakeup: tuple[int, int] | None = None

    def watch(self, source: Source, ready: Ready, events: int = zmq.POLLIN) -> None:
        """Call ``ready`` whenever ``source`` has something (a second call replaces the first).

        A callable that watches several sources is called once with all of them that have something.
        """
        self._poller.register(source, events)
        self._ready[source] = ready

    def forget(self, source: Source) -> None:
        """Stop watching ``source``; do it before closing it."""
        self._poller.unregister(source)
        del self._ready[source]

    def at(self, when: float, call: Callable[[], None]) -> Timer:
        """Call once at ``when`` (monotonic seconds), or as soon as possible after it."""
        timer = Timer(when, call)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call once, ``seconds`` from now."""
        return self.at(self.now() + seconds, call)

    def on_signal(self, number: int, call: Callable[[], None]) -> None:
        """Call in the loop, not in the middle of something, when the process gets signal ``number``."""
        if self._wakeup is None:
            read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            self._wakeup = (read, write)
            signal.set_wakeup_fd(write, warn_on_full_buffer=False)
            self.watch(read, lambda _: self._take_signals(read))
        self._signals[number] = call
        signal.signal(number, lambda _number, _frame: None)

    def stop(self) -> None:
        """Let `run` return after the callback that is running."""
        self._stopping = True

    def run(self, status: str = "") -> None:
        """Say that the daemon is ready, then serve until `stop`."""
        self._notifier.ready(status)
        if self._notifier.watchdog_seconds:
            self._beat()
        while not self._stopping:
            self.turn()
        self._notifier.stopping()

    def turn(self, at_most: float = 60.0) -> None:
        """Wait for the next thing to happen, ``at_most`` seconds, and deal with all that has."""
        calls: dict[Ready, list[Source]] = {}
        for source, _ in self._poller.poll(self._wait(at_most)):
            calls.setdefault(self._ready[source], []).append(source)
        for call, sources in calls.items():
            # A callback of this round may have closed a source, and its number may be another's by now.
            still = [each for each in sources if self._ready.get(each) == call]
            if still:
                call(still)
        self._run_timers()

    def close(self) -> None:
        """Let go of the signals and their pipe. Sources belong to those who watch them."""
        for number in self._signals:
            signal.signal(number, signal.SIG_IGN)  # it ends already: being asked again must not cut that short
        if self._wakeup is not None:
            signal.set_wakeup_fd(-1)
            self.forget(self._wakeup[0])
            for fd in self._wakeup:
                os.close(fd)
            self._wakeup = None

    def _wait(self, at_most: float) -> int:
        """Milliseconds until the next timer, rounded up so that it is due by then."""
        while self._timers and self._timers[0][2].call is _nothing:
            heapq.heappop(self._timers)
        seconds = min(at_most, self._timers[0][0] - self.now()) if self._timers else at_most
        return max(0, math.ceil(seconds * 1000))

    def _run_timers(self) -> None:
        # Only what is due at the beginning: a timer that sets itself anew can't keep the loop from its sources.
        now = self.now()
        due = []
        while self._timers and self._timers[0][0] <= now:
            due.append(heapq.heappop(self._timers)[2])
        for timer in due:
            timer.call()

    def _take_signals(self, read: int) -> None:
        for number in set(os.read(read, 4096)):
            if number in self._signals:
                self._signals[number]()

    def _beat(self) -> None:
        self._notifier.alive()
        self.after(self._notifier.watchdog_seconds, self._beat)


def _nothing() -> None:
    """What a cancelled timer calls."""
