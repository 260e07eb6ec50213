"""The load generator, built where it is used: load.c says what it does."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.bench import figures

SOURCE = Path(__file__).with_name("load.c")
BUILD_SECONDS, RUN_SECONDS = 60, 120


class Load(NamedTuple):
    """``seconds`` for all counted answers; ``median`` and ``p99`` of the seconds that one took."""

    seconds: float
    median: float
    p99: float


class Generator:
    """The program in a file."""

    def __init__(self, program: Path) -> None:
        self._program = program

    def run(self, address: str, clients: int, outstanding: int, warm: int, count: int, request: str) -> Load:
        """Each of ``clients`` has ``outstanding`` requests open until ``warm`` answers, which are not counted, and
        ``count`` more are there. In ``request`` @ is its number. Raises CalledProcessError for a wrong answer."""
        argv = [str(self._program), address, *map(str, (clients, outstanding, warm, count)), request]
        done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, timeout=RUN_SECONDS)
        return Load(*map(float, done.stdout.split()))


@contextmanager
def generator() -> Iterator[Generator]:
    """Build it; skips the benchmark where that can't be."""
    missing = [tool for tool in ("gcc", "pkg-config") if shutil.which(tool) is None]
    if missing:
        figures.skip(f"no {missing[0]} to build the load generator")
    found = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libzmq"],
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_SECONDS,
    )
    if found.returncode != 0:
        figures.skip("no libzmq to build the load generator with (libzmq3-dev)")
    with tempfile.TemporaryDirectory(prefix="tashi-bench-") as folder:
        program = Path(folder) / "load"
        argv = ["gcc", "-O2", "-Wall", "-Werror", "-o", str(program), str(SOURCE), *shlex.split(found.stdout)]
        subprocess.run(argv, check=True, timeout=BUILD_SECONDS)
        yield Generator(program)
