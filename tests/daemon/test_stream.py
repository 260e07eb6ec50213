"""An agent's stream port and the clients that come: whose ticket it is, for how long, and how much is kept for it."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tashi.run import carrier
from tashi.run.consoles import Consoles
from tashi.run.keys import new_pair
from tashi.run.log import Log
from tashi.run.loop import Loop
from tashi.run.stream import INPUT_BYTES, Port, Stream, Ticket, reached_at
from tashi.stream import Keys, end_of, new_keys
from tashi.stream import Stream as Client
from tashi.wire.errors import Code, TashiError
from tashi.wire.talk import CREDIT_MAX
from tests.daemon.processes import kept_port, until


@pytest.mark.parametrize(
    ("listens", "address", "told"),
    [
        ("tcp://10.0.0.9:7408", "", "tcp://10.0.0.9:7408"),
        ("tcp://0.0.0.0:7408", "tcp://bmc-net.example:7408", "tcp://bmc-net.example:7408"),
        ("tcp://[::1]:7408", "", "tcp://[::1]:7408"),
    ],
)
def test_where_clients_come_is_one_place(listens: str, address: str, told: str) -> None:
    assert reached_at(listens, address) == told


@pytest.mark.parametrize(
    ("listens", "address", "why"),
    [
        ("tcp://0.0.0.0:7408", "", "no place to come to"),
        ("tcp://[::]:7408", "", "no place to come to"),
        ("ipc:///tmp/x.sock", "", "stream: 'ipc:///tmp/x.sock' is no tcp://HOST:PORT"),
        ("tcp://10.0.0.9", "", "is no tcp://HOST:PORT"),
        ("tcp://10.0.0.9:1", "bmc-net", "stream_address: 'bmc-net' is no tcp://HOST:PORT"),
    ],
)
def test_what_is_no_place_is_refused(listens: str, address: str, why: str) -> None:
    with pytest.raises(TashiError, match=re.escape(why)):
        reached_at(listens, address)


class Echo:
    """A service that gives back what it gets."""

    def __init__(self) -> None:
        self.stream: Stream
        self.got = b""
        self.breaks = 0
        self.begun = threading.Event()
        self.over: list[TashiError | None] = []

    def begin(self) -> None:
        self.stream.open("here")
        self.begun.set()

    def take(self, data: bytes) -> None:
        self.got += data
        self.stream.took(len(data))
        self.stream.give(data)

    def send_break(self) -> None:
        self.breaks += 1

    def ended(self, error: TashiError | None) -> None:
        self.over.append(error)


class Room:
    """A port, served in a thread of its own, and what clients of it are told."""

    def __init__(self) -> None:
        self._kept, self._loop, self.pair = kept_port(), Loop(), new_pair()
        self.address = f"tcp://127.0.0.1:{self._kept.getsockname()[1]}"
        self.port = Port(self._loop, Log("test"), self.address, self.pair)
        self._thread = threading.Thread(target=self._serve)
        self._stop = False
        self._calls: list[Callable[[], None]] = []
        self._thread.start()

    def _serve(self) -> None:
        while not self._stop:
            self._loop.turn(0.01)
            while self._calls:
                self._calls.pop(0)()
        self.port.close()

    def do(self, call: Callable[[], Any]) -> Any:
        """In the thread of the loop; what it returns."""
        done: list[Any] = []
        self._calls.append(lambda: done.append(call()))
        until(lambda: done, "the loop does it")
        return done[0]

    def expect(self, keys: Keys, seconds: float = 5.0, ticket: str = "j-1", read_only: bool = False) -> Echo:
        echo = Echo()

        def expect() -> bool:
            echo.stream = self.port.expect(
                Ticket(ticket, keys.public, "console", f"m-{ticket}", "m1", seconds, read_only), echo
            )
            return True

        self.do(expect)
        return echo

    def come(self, keys: Keys, ticket: str = "j-1") -> Client:
        return Client("m1", self.address, self.pair.public, keys, ticket)

    def close(self) -> None:
        self._stop = True
        self._thread.join()
        self._loop.close()
        self._kept.close()


@pytest.fixture
def room() -> Iterator[Room]:
    made = Room()
    yield made
    made.close()


def heard(client: Client, say: str, seconds: float = 10.0) -> Any:
    """The next word of this kind, and the bytes of all data until then."""
    data, end = b"", time.monotonic() + seconds
    while time.monotonic() < end:
        client.socket.poll(20)
        for word in client.words():
            data += word.data
            if word.say == say:
                return word, data
        client.keep_up()
    raise AssertionError(f"no {say} in {seconds} s")


def refusal(client: Client) -> TashiError:
    """What a client ends with."""
    with pytest.raises(TashiError) as caught:
        word, _ = heard(client, "end")
        error = end_of(word)
        assert error is not None
        raise error
    client.close(last=False)
    return caught.value


def test_bytes_go_both_ways_and_an_end_is_heard(room: Room) -> None:
    keys = new_keys()
    echo = room.expect(keys)
    client = room.come(keys)
    word, _ = heard(client, "open")
    assert (word.head["credit"], word.head["note"]) == (INPUT_BYTES, "here")
    client.give(b"hello")
    assert heard(client, "data")[1] == b"hello"
    client.send_break()
    client.close(last=True)
    until(lambda: echo.over == [None] and echo.breaks == 1, "the service hears both")
    assert echo.got == b"hello"


def test_a_key_without_a_ticket_is_not_let_in(room: Room) -> None:
    room.expect(new_keys())
    error = refusal(room.come(new_keys()))
    assert error.code == Code.DENIED and "does not know this ticket" in error.text


def test_a_ticket_is_for_its_own_key_alone(room: Room) -> None:
    mine, other = new_keys(), new_keys()
    first, second = room.expect(mine, ticket="j-1"), room.expect(other, ticket="j-2")
    assert refusal(room.come(mine, "j-2")).code == Code.DENIED
    assert not first.begun.is_set() and not second.begun.is_set()


def test_a_ticket_that_is_used_twice_is_worth_nothing(room: Room) -> None:
    """One of the two is a thief, and nobody knows which."""
    keys = new_keys()
    echo = room.expect(keys)
    first = room.come(keys)
    heard(first, "open")
    second = room.come(keys)
    assert "used twice" in refusal(second).text
    assert "used twice" in refusal(first).text
    until(lambda: echo.over, "the service hears it")
    assert refusal(room.come(keys)).code == Code.DENIED


def test_a_ticket_that_is_not_used_in_its_time_is_worth_nothing(room: Room) -> None:
    keys = new_keys()
    echo = room.expect(keys, seconds=0.2)
    until(lambda: echo.over, "the service hears it")
    assert echo.over[0] is not None and echo.over[0].text == "m1: nobody came within 0.2 s"
    assert refusal(room.come(keys)).code == Code.DENIED


def test_a_key_has_one_ticket(room: Room) -> None:
    keys = new_keys()
    room.expect(keys)

    def again() -> str:
        with pytest.raises(TashiError) as caught:
            room.port.expect(Ticket("j-9", keys.public, "console", "m-9", "m9", 5.0), Echo())
        return caught.value.code

    assert room.do(again) == Code.CONFLICT


def test_who_may_only_look_can_send_nothing(room: Room) -> None:
    keys = new_keys()
    echo = room.expect(keys, read_only=True)
    client = room.come(keys)
    assert heard(client, "open")[0].head["credit"] == 0
    client.give(b"x")
    assert "for reading only" in refusal(client).text
    assert not echo.got


def test_who_sends_more_than_he_may_is_cut(room: Room) -> None:
    keys = new_keys()
    echo = room.expect(keys)
    client = room.come(keys)
    heard(client, "open")
    client.give(b"x" * (INPUT_BYTES + 1))
    assert "more than it may" in refusal(client).text
    assert not echo.got


@pytest.mark.parametrize("frames", [[b"{"], [b'{"say": "open"}'], [b"\xff" * 100], [b'{"say": "data"}', b"a", b"b"]])
def test_nonsense_ends_it(room: Room, frames: list[bytes]) -> None:
    keys = new_keys()
    echo = room.expect(keys)
    client = room.come(keys)
    heard(client, "open")
    client.socket.send_multipart(frames)
    if len(frames) < 3:
        assert refusal(client).code == Code.BAD_REQUEST
    else:  # what comes after the bytes is no matter
        assert heard(client, "data")[1] == b"a"
        client.close(last=False)
    assert echo.got in (b"", b"a")


@pytest.mark.attack(37)
def test_what_nobody_takes_is_not_kept(room: Room) -> None:
    """A GiB of a machine's console to a client that takes nothing: the newest of it is kept, the rest is counted."""
    keys = new_keys()
    echo = room.expect(keys)
    client = room.come(keys)
    heard(client, "open")
    piece, pieces = b"\x1b[31m" + b"x" * (2**20 - 5), 1024

    def pour() -> bool:
        for _ in range(pieces):
            echo.stream.give(piece)
            assert len(echo.stream._ring) <= CREDIT_MAX
        echo.stream.give(b"the end")
        return True

    room.do(pour)
    got = lost = 0
    while got + lost < pieces * len(piece) + 7:
        client.socket.poll(1000)
        for word in client.words():
            got, lost = got + len(word.data), lost + int(word.head.get("lost", 0))
            if word.data:
                client.took(len(word.data))
                last = word.data
    assert got <= 2 * CREDIT_MAX and last.endswith(b"the end")
    client.close(last=True)


# A child whose line takes a while to let go of; there is one at a time, or it fails. Its first word: what is asked for.
CHILD = """
import os, sys, time
from tashi.run import child, line
from tashi.wire.errors import Code, TashiError
class Slow:
    note = ""
    def __init__(self, order):
        if order == "never":
            time.sleep(60)
        try:
            os.close(os.open(order, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            raise TashiError(Code.LOCKED, "two at a time") from None
        self.file = order
    def read(self, seconds):
        if os.path.exists(self.file + ".die"):
            os._exit(3)
        time.sleep(0.01)
        return b""
    def write(self, data):
        return len(data)
    def close(self):
        time.sleep(0.4)
        os.unlink(self.file)
line.serve(child.take_channel(), Slow)
"""


class Lines:
    """Consoles at a port, and how each ended."""

    def __init__(self, room: Room) -> None:
        self.room, self.over = room, dict[int, Any]()
        self.consoles = room.do(lambda: Consoles(room._loop, room.port, [sys.executable, "-P", "-c", CHILD]))

    def begin(self, call: int, order: Any) -> Client:
        """A console of m1 and the client that uses its ticket."""
        keys = new_keys()
        ticket = Ticket(f"j-{call}", keys.public, "console", "m-1", "m1", 5.0)
        over = partial(self.over.setdefault, call)
        self.room.do(lambda: (self.consoles.begin(call, ticket, order, lambda: None, over), True)[1])
        return self.room.come(keys, f"j-{call}")


@pytest.fixture
def lines(room: Room) -> Iterator[Lines]:
    made = Lines(room)
    yield made
    room.do(lambda: (made.consoles.close(), True)[1])


def test_a_line_is_had_by_one_child_at_a_time(lines: Lines, tmp_path: Path) -> None:
    """The next client waits until the line was let go of."""
    order = str(tmp_path / "line")
    first = lines.begin(1, order)
    heard(first, "open")
    second = lines.begin(2, order)
    until(lambda: lines.consoles._all[2].waits, "the second client waits")
    lines.room.do(lambda: (lines.consoles.cut(1, "locked", "taken over"), True)[1])
    assert (refusal(first).text, lines.over[1].text) == ("m1: taken over", "m1: taken over")
    heard(second, "open")
    second.close(last=True)
    until(lambda: 2 in lines.over, "the second is over")
    assert lines.over[2].outcome == "ok"


def test_a_child_that_dies_is_told_of(lines: Lines, tmp_path: Path) -> None:
    client = lines.begin(1, str(tmp_path / "line"))
    heard(client, "open")
    (tmp_path / "line.die").touch()
    assert refusal(client).text == "m1: its worker ended: exit status 3"


def test_a_line_that_never_opens_is_given_up(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrier, "OPEN_SECONDS", 0.3)
    assert refusal(lines.begin(1, "never")).text == "m1: its line did not open within 0.3 s"
