"""The agent's file: what was appended is there after anything; a torn last line is not; any other damage is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tashi.run.outbox import Outbox
from tashi.wire.errors import Fault, Unavailable

ONE, TWO, THREE = {"n": 1, "text": "é\n"}, {"n": 2}, {"n": 3}


def read(path: Path) -> list[dict[str, object]]:
    outbox = Outbox(str(path))
    outbox.close()
    return outbox.records


def test_what_was_appended_is_read_again(tmp_path: Path) -> None:
    outbox = Outbox(str(tmp_path / "outbox"))
    outbox.append([ONE, TWO])
    outbox.append([THREE])
    outbox.close()
    assert read(tmp_path / "outbox") == [ONE, TWO, THREE]


@pytest.mark.parametrize("cut", range(1, 17))
def test_a_torn_last_line_is_cut_off(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "outbox"
    outbox = Outbox(str(path))
    outbox.append([ONE, TWO])
    outbox.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    outbox = Outbox(str(path))
    assert outbox.records == [ONE]
    outbox.append([THREE])
    outbox.close()
    assert read(path) == [ONE, THREE]


def test_zeros_at_the_end_are_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "outbox"
    outbox = Outbox(str(path))
    outbox.append([ONE])
    outbox.close()
    path.write_bytes(path.read_bytes() + bytes(500))
    assert read(path) == [ONE]


@pytest.mark.parametrize("where", [0, 12])
def test_damage_elsewhere_is_refused(tmp_path: Path, where: int) -> None:
    path = tmp_path / "outbox"
    outbox = Outbox(str(path))
    outbox.append([ONE, TWO])
    outbox.close()
    data = bytearray(path.read_bytes())
    data[where] ^= 1
    path.write_bytes(data)
    with pytest.raises(Fault, match="line 1 is damaged"):
        Outbox(str(path))


def test_rewriting_replaces_all_at_once(tmp_path: Path) -> None:
    path = tmp_path / "outbox"
    outbox = Outbox(str(path))
    outbox.append([ONE, TWO])
    outbox.rewrite([THREE])
    outbox.append([ONE])
    assert outbox.lines == 2
    outbox.close()
    assert read(path) == [THREE, ONE]
    assert os.listdir(tmp_path) == ["outbox"]


def test_a_full_disk_is_told_and_adds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "outbox"
    outbox = Outbox(str(path))
    outbox.append([ONE])
    real = os.pwrite

    def half(fd: int, data: bytes, offset: int) -> int:
        if offset > 45:
            raise OSError(28, "No space left on device")
        return real(fd, data[:7], offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", half)
        with pytest.raises(Unavailable, match="No space left"):
            outbox.append([TWO])
        with pytest.raises(Unavailable, match="No space left"):
            outbox.rewrite([ONE, TWO, THREE, ONE])
    outbox.append([THREE])
    outbox.close()
    assert read(path) == [ONE, THREE]


def test_what_a_failed_append_left_is_not_taken_for_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "outbox"
    outbox = Outbox(str(path))

    def broken(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        with pytest.raises(Unavailable):
            outbox.append([ONE, TWO, THREE])  # all of it is in the file
    outbox.append([TWO])
    outbox.close()
    assert read(path) == [TWO]


def test_what_was_durable_survives_a_kill(tmp_path: Path) -> None:
    """A process appends and rewrites as fast as it can and says how far it came; it is killed."""
    script = (
        "import sys; from tashi.run.outbox import Outbox; outbox = Outbox(sys.argv[1])\n"
        "first = outbox.records[-1]['n'] + 1 if outbox.records else 0\n"
        "for n in range(first, 10**9):\n"
        "    outbox.append([{'n': n}])\n"
        "    if n % 7 == 0: outbox.rewrite([{'n': n}])\n"
        "    print(n, flush=True)\n"
    )
    path, said = tmp_path / "outbox", -1
    for _ in range(5):
        writer = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        for _ in range(50):
            said = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().splitlines()  # communicate() would pass over what readline() has read already
        writer.wait(timeout=20)
        said = int(rest[-1]) if rest and rest[-1].isdecimal() else said
        assert read(path)[-1]["n"] in (said, said + 1)
