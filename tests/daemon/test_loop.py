"""The loop: timers, signals, sources; and what it tells the service manager."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest
import zmq

from tashi.run.loop import Loop, Source
from tashi.run.notify import Notifier


def test_timers_run_in_order_and_cancelled_ones_never() -> None:
    loop, ran = Loop(), list[str]()
    loop.after(0.02, lambda: ran.append("second"))
    loop.after(0.01, lambda: ran.append("first"))
    loop.after(0.01, lambda: ran.append("never")).cancel()
    loop.after(0.03, loop.stop)
    loop.run()
    assert ran == ["first", "second"]


def test_a_timer_that_sets_itself_anew_does_not_starve_the_sources() -> None:
    loop, (read, write) = Loop(), os.pipe()
    seen: list[bytes] = []

    def again() -> None:
        loop.after(0.0, again)

    again()
    loop.watch(read, lambda _: seen.append(os.read(read, 10)))
    os.write(write, b"x")
    for _ in range(3):
        loop.turn(0.1)
    assert seen == [b"x"]
    os.close(read)
    os.close(write)


def test_one_callable_for_many_sources_is_called_once_a_round() -> None:
    loop, context = Loop(), zmq.Context()
    pairs = [(context.socket(zmq.PULL), context.socket(zmq.PUSH)) for _ in range(3)]
    calls: list[list[Source]] = []

    def ready(sources: list[Source]) -> None:
        calls.append(sources)

    for number, (pull, push) in enumerate(pairs):
        pull.bind(f"inproc://{number}")
        push.connect(f"inproc://{number}")
        loop.watch(pull, ready)
        push.send(b"")
    loop.turn(1.0)
    assert [len(each) for each in calls] == [3]
    context.destroy(linger=0)


def test_a_source_closed_in_the_same_round_is_not_called() -> None:
    loop = Loop()
    (first, first_write), (second, second_write) = os.pipe(), os.pipe()
    called: list[str] = []

    def close_second(_: list[Source]) -> None:
        called.append("first")
        loop.forget(second)
        os.close(second)
        loop.forget(first)

    loop.watch(first, close_second)
    loop.watch(second, lambda _: called.append("second"))
    os.write(first_write, b"x")
    os.write(second_write, b"x")
    loop.turn(0.1)
    assert called == ["first"]
    for fd in (first, first_write, second_write):
        os.close(fd)


def test_signals_are_dealt_with_in_the_loop() -> None:
    loop = Loop()
    got: list[str] = []
    loop.on_signal(signal.SIGUSR1, lambda: got.append("usr1"))
    loop.on_signal(signal.SIGTERM, loop.stop)
    os.kill(os.getpid(), signal.SIGUSR1)
    loop.after(0.05, lambda: os.kill(os.getpid(), signal.SIGTERM))
    began = time.monotonic()
    loop.run()
    assert got == ["usr1"] and time.monotonic() - began < 5
    loop.close()
    try:
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, signal.SIG_DFL)


def test_the_service_manager_hears_ready_alive_and_stopping(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        loop = Loop(Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "80000"}))
        loop.after(0.15, loop.stop)
        loop.run("serving")
        heard = [manager.recv(1000).decode()]
        while heard[-1] != "STOPPING=1":
            heard.append(manager.recv(1000).decode())
    assert heard[0] == "READY=1\nSTATUS=serving"
    assert heard.count("WATCHDOG=1") >= 3


@pytest.mark.parametrize("environment", [{}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}])
def test_nobody_waits_for_a_watchdog_that_is_not_ours(environment: dict[str, str]) -> None:
    notifier = Notifier(environment)
    notifier.ready()
    assert notifier.watchdog_seconds == 0
