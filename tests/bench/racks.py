"""A controller and a zoni agent as real processes, and commands that ask them: the power of many is measured on it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from tests.daemon.processes import ROOT, Controller, Zoni, environment, until

LOOKED_SECONDS = 300.0  # until each was looked at once, on a busy machine


class Told(NamedTuple):
    """``seconds`` after which each name was told first; ``all``: to the end; ``status`` of the command."""

    seconds: dict[str, float]
    all: float
    status: int


class Rack:
    """The machines of one zoni agent."""

    def __init__(self, controller: Controller, zoni: Zoni) -> None:
        self.zoni, self.admin = zoni, controller.local()
        self.surroundings = environment() | {"TASHI_CONTROLLER": f"ipc://{controller.folder}/run"}
        self.surroundings["PATH"] = f"{ROOT}/cmd:{self.surroundings['PATH']}"

    def rows(self, *where: str) -> list[dict[str, Any]]:
        """The first page."""
        answer = self.admin.ask("list", noun="machine", where=list(where), format="json")
        return [json.loads(line) for line in answer["rows"].splitlines()]

    def wait_until_looked_at(self) -> None:
        """Until the power of all is known: from then on every way to it is known to be good."""
        until(lambda: not self.rows("power=unknown"), "all were looked at", LOOKED_SECONDS)

    def status(self, names: Sequence[str]) -> Told:
        """zoni-power status, as a person has it: when each is told on standard output."""
        argv = ["zoni-power", "status", "-H", "-o", "name,power", "-"]
        began, seconds = time.perf_counter(), dict[str, float]()
        pipe = subprocess.PIPE
        with subprocess.Popen(
            argv, env=self.surroundings, text=True, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write("".join(f"{name}\n" for name in names))
            process.stdin.close()
            for line in process.stdout:
                seconds.setdefault(line.partition("\t")[0], time.perf_counter() - began)
        return Told(seconds, time.perf_counter() - began, process.returncode)


@contextmanager
def rack(controller: Controller, in_flight: int) -> Iterator[Rack]:
    """With ``in_flight`` calls at once; ``controller`` does not run yet, and is gone afterwards."""
    with ExitStack() as undo:
        undo.callback(controller.close)
        controller.start()
        zoni = Zoni(controller)
        with zoni.config.open("a") as file:
            file.write(f"in_flight = {in_flight}\n")
        assert zoni.enroll()[0] == 0, zoni.log
        undo.callback(zoni.close)
        zoni.start()
        yield Rack(controller, zoni)
