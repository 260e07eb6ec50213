"""Serial over LAN without a wire: the client's side against a BMC that is a few lines, over a network that loses."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from zoni.power.sol import AGAIN_SECONDS, FULL_SECONDS, NACK, NO_POWER, OFF, TRIES, Line


class Bmc:
    """The obvious one: it takes bytes in order, and may take fewer than it gets."""

    def __init__(self, says: bytes, chance: random.Random) -> None:
        self.got, self._says, self._chance = b"", says, chance
        self._number = self._heard = self._taken = 0
        self._sent = b""

    def packet(self, packet: bytes) -> list[bytes]:
        number, acked = packet[:2]
        answers = []
        if acked and acked == self._number:
            self._sent = b""
        if number:
            if number != self._heard:
                self._heard = number
                few = len(packet) > 5 and self._chance.random() < 0.3
                self._taken = self._chance.randrange(len(packet) - 4) if few else len(packet) - 4
                self.got += packet[4 : 4 + self._taken]
            nack = NACK if self._taken < len(packet) - 4 else 0
            answers.append(bytes([0, number, self._taken, nack]))
        return answers + self.speak()

    def speak(self) -> list[bytes]:
        """What it has to say goes out again and again."""
        if not self._sent and self._says:
            size = self._chance.randrange(1, 40)
            self._number = self._number % 15 + 1
            self._sent = bytes([self._number, 0, 0, 0]) + self._says[:size]
            self._says = self._says[size:]
        return [self._sent] if self._sent else []


@pytest.mark.parametrize("seed", range(60))
def test_every_byte_arrives_once_and_in_order(seed: int) -> None:
    chance = random.Random(seed)
    typed, says = chance.randbytes(chance.randrange(300)), chance.randbytes(chance.randrange(300))
    line, bmc = Line(chance.choice([20, 64, 200])), Bmc(says, chance)
    now, rest = 0.0, typed
    for _ in range(4000):
        now += chance.random() * 0.4
        rest = rest[line.write(rest, now) :]
        line.tick(now)
        packets, line.out = line.out, []
        for packet in packets:
            lost = chance.random() < 0.25
            for answer in [] if lost else bmc.packet(packet):
                if chance.random() > 0.25:
                    line.packet(answer, now)
                    if chance.random() < 0.1:
                        line.packet(answer, now)  # doubled
        for answer in bmc.speak() if chance.random() < 0.3 else []:
            if chance.random() > 0.25:
                line.packet(answer, now)
        assert typed.startswith(bmc.got) and says.startswith(bytes(line.data))
        if line.ended or (bmc.got == typed and bytes(line.data) == says):
            break
    assert line.ended in ("", "the BMC does not answer any more")
    assert line.ended or (bmc.got, bytes(line.data)) == (typed, says), f"seed {seed}"


def test_one_packet_is_under_way_and_repeated_until_it_is_given_up() -> None:
    line = Line(200)
    assert line.write(b"abc", 0.0) == 3 and line.write(b"def", 0.0) == 0
    sent = [0.0]
    for step in range(1, 200):
        line.out.clear()
        line.tick(step * 0.1)
        if line.out:
            assert line.out == [b"\x01\x00\x00\x00abc"]
            sent.append(step * 0.1)
    assert len(sent) == TRIES and all(b - a >= AGAIN_SECONDS - 1e-9 for a, b in pairwise(sent))
    assert line.ended == "the BMC does not answer any more"


def test_what_is_not_taken_goes_out_again_in_a_packet_of_its_own() -> None:
    line = Line(200)
    line.write(b"abcdef", 0.0)
    line.out.clear()
    line.packet(bytes([0, 1, 2, NACK]), 0.0)
    assert line.out == [b"\x02\x00\x00\x00cdef"]


def test_a_bmc_whose_room_is_full_gets_time() -> None:
    """A packet each round trip would fill the network, and tell it nothing new."""
    line, now, sent = Line(200), 0.0, 0
    line.write(b"abc", now)
    while now < 10.0:
        now += 0.001
        line.tick(now)
        packets, line.out = line.out, []
        for packet in packets:
            sent += 1
            line.packet(bytes([0, packet[0], 0, NACK]), now)
    assert 5 <= sent <= 10 / FULL_SECONDS + 1 and not line.ended
    line.tick(now + FULL_SECONDS)
    assert line.out[0][4:] == b"abc"


def test_a_machine_without_power_takes_nothing_and_that_is_no_reason_to_go_on() -> None:
    line = Line(200)
    line.write(b"abc", 0.0)
    line.out.clear()
    line.packet(bytes([0, 1, 0, NACK | NO_POWER]), 0.0)
    assert line.free and line.out == []


def test_a_line_that_the_bmc_ends_is_over() -> None:
    line = Line(200)
    line.packet(bytes([0, 0, 0, OFF]), 0.0)
    assert line.ended and line.write(b"x", 0.0) == 0


@pytest.mark.parametrize("size", [0, 3, 7, 256, 0xC800])
def test_a_size_that_can_t_be_meant_is_not_believed(size: int) -> None:
    assert Line(size).write(b"x" * 300, 0.0) == 60


@pytest.mark.parametrize("packet", [b"", b"\x01", b"\x01\x00\x00"])
def test_packets_that_are_cut_short_are_none(packet: bytes) -> None:
    line = Line(200)
    line.packet(packet, 0.0)
    assert not line.out and not line.data


def test_a_packet_that_comes_again_and_longer_brings_what_is_new() -> None:
    line = Line(200)
    for data in (b"ab", b"ab", b"abcd"):
        line.packet(b"\x05\x00\x00\x00" + data, 0.0)
    assert (bytes(line.data), line.out) == (b"abcd", [bytes([0, 5, size, 0]) for size in (2, 2, 4)])
