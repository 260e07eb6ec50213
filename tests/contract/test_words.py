"""An error's words keep its reason, whatever stands before it, however long that is."""

from __future__ import annotations

import pytest

from tashi.model.shorten import shorten
from tashid.driver.words import MOST, plain_words

LOCK = 'Failed to get "write" lock'
NODE = '{"node-name":"libvirt-1-format","read-only":false,"cache":{"direct":true,"no-flush":false},"driver":"qcow2"}'
CLOSED = "internal error: qemu unexpectedly closed the monitor: "


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            f"{CLOSED}2026-11-27T21:00:00.123456Z qemu-system-x86_64: -blockdev {NODE}: {LOCK}\n"
            "Is another process using the image [/pool/disks/v-15.qcow2]?",
            f"QEMU: {LOCK}; Is another process using the image [/pool/disks/v-15.qcow2]?",
        ),
        (
            "internal error: process exited while connecting to monitor: qemu-system-x86_64: warning: host lacks it\n"
            "2026-11-27T21:00:00Z qemu-system-x86_64: -device virtio-blk-pci,drive=a: no such drive",
            "QEMU: no such drive",
        ),
        (f"{CLOSED}qemu-system-x86_64: warning: that alone", "QEMU: warning: that alone"),
        ("operation failed: guest  CPU\ndoesn't match", "operation failed: guest CPU doesn't match"),
        (CLOSED, CLOSED.strip()),
        ("a\x1b[2J\tb", "a\\x1b[2J b"),
    ],
)
def test_the_command_line_is_not_the_reason(said: str, words: str) -> None:
    assert plain_words(Exception(said)) == words


def test_a_long_error_keeps_its_end() -> None:
    said = plain_words(f"did not start: {'-blockdev {} ' * 400}: {LOCK}")
    assert said.startswith("did not start: ") and said.endswith(LOCK) and len(said) == MOST


@pytest.mark.parametrize("most", [0, 3, 5, 6, 7, 40, 81, 82, 400])
def test_what_is_shortened_fits_and_has_both_ends(most: int) -> None:
    text = "head " * 8 + "-" + " tail" * 8 + "!"
    short = shorten(text, most)
    assert len(short) <= most
    assert (short == text) == (most >= len(text))
    if 40 <= most < len(text):
        assert short.startswith("head head") and short.endswith("tail!") and " ... " in short
