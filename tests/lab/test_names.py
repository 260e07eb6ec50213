"""Controllers named by names, and a DNS that never answers: in a network of its own, where it is asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tashi.run.keys import new_pair, write_pair
from tests.daemon.processes import ROOT, environment

SECONDS = 60
# Runs alone in its namespaces: loopback, and a resolver that takes half a minute before it gives up.
INSIDE = """
import socket, subprocess, sys
from tests.daemon.processes import ROOT, Controller, Host, environment

folder, public = sys.argv[1:]
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
mute = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
mute.bind(("127.0.0.1", 53))
controller = Controller().start()
try:
    controller.local().ok("user.add", name="ann", key=public)
    client = f'[client]\\nserver_key = "{controller.server_key}"\\nkey = "{folder}/key"\\n'
    open(f"{folder}/tashi.toml", "w").write(client)
    mute_name, good = "tcp://ctl.example:7400", f"tcp://127.0.0.1:{controller.ports['user']}"
    for where, span, status in ((mute_name, "1", 69), (f"{mute_name},{good}", "6", 0)):
        argv = [sys.executable, ROOT / "cmd/tvm-list", "--config", f"{folder}/tashi.toml"]
        argv += ["--controller", where, "--timeout", span]
        done = subprocess.run(argv, env=environment(), timeout=15, capture_output=True, text=True)
        assert done.returncode == status, (where, done)
    assert mute.recv(512), "the resolver was asked"
    host = Host(controller, "h1")
    own = f"127.0.0.1:{controller.ports['agent']}"
    document = host.document().replace(f'"tcp://{own}"', f'"tcp://ctl.example:7402", "tcp://{own}"')
    assert "ctl.example" in document and host.enroll(document)[0] == 0
    host.start()  # it comes to the second name while the first is looked up
    assert host.stop() == 0
finally:
    controller.close()
"""


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.fault(56)
def test_commands_and_agents_wait_for_no_resolver(tmp_path: Path) -> None:
    """A name that nobody answers for: told within the time given; with another controller named, that one is asked."""
    pair = new_pair()
    write_pair(str(tmp_path / "key"), pair)
    (tmp_path / "resolv").write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:1\n")
    inside = (
        f'mount --bind {tmp_path}/resolv /etc/resolv.conf && exec {sys.executable} -c "$1" {tmp_path} {pair.public!r}'
    )
    done = subprocess.run(
        ["unshare", "--mount", "--net", "sh", "-c", inside, "sh", INSIDE],
        cwd=ROOT, env=environment(), timeout=SECONDS, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
