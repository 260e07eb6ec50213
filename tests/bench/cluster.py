"""A real controller process with hosts that cost nothing and an image that is ready: what creates are measured on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.daemon.processes import Controller, environment, until

HOSTS = 8
BEAT_SECONDS = 0.5
IMAGE = "tiny"
CREATE = '{"id":"request-@","verb":"vm.create","body":{"name":"vm@","image":"tiny","cores":1,"memory_bytes":4194304}}'
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@contextmanager
def cluster() -> Iterator[Controller]:
    """A controller that serves, its hosts up; gone afterwards."""
    controller = Controller(more=f'heartbeat_seconds = {BEAT_SECONDS}\n[pool]\ncapacity = "1024P"')
    with ExitStack() as undo:
        undo.callback(controller.close)
        controller.start()
        undo.enter_context(hosts(controller))
        make_ready(controller)
        yield controller


@contextmanager
def hosts(controller: Controller) -> Iterator[None]:
    """The hosts' process."""
    admin = controller.local()
    tokens = {name: admin.ok("host.add", name=name)["extra"]["token"] for name in (f"h{n}" for n in range(HOSTS))}
    addresses = [f"tcp://127.0.0.1:{controller.ports[port]}" for port in ("enroll", "agent")]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.hosts", *addresses, controller.server_key, str(BEAT_SECONDS)],
        stdin=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        assert process.stdin is not None
        process.stdin.write("".join(f"{name} {token}\n" for name, token in tokens.items()))
        process.stdin.close()
        yield
    finally:
        process.kill()
        process.wait()


def make_ready(controller: Controller) -> None:
    """Until hosts are up and the image was looked into."""
    admin = controller.local()

    def rows(noun: str) -> list[dict[str, str]]:
        return [json.loads(line) for line in admin.ask("list", noun=noun)["rows"].splitlines()]

    until(lambda: [each["health"] for each in rows("host")] == ["up"] * HOSTS, "all hosts are up")
    admin.ok("image.add", name=IMAGE, path="images/tiny.img", format="raw")
    until(lambda: rows("image")[0]["state"] == "ready", "the image is ready")


def admin_socket(controller: Controller) -> str:
    return f"ipc://{controller.folder}/run/admin.sock"


def processor_seconds(pid: int) -> float:
    """What a process, all its threads, has used of the processor (proc(5): utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND
