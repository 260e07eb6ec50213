"""A controller as a real process on a folder of its own, and clients that talk to it frame by frame."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import tomli_w
import zmq

from tashi.run.keys import KeyPair, new_pair, read_pair

ROOT = Path(__file__).parents[2]
PORTS = ("user", "admin", "agent", "enroll")
WITH_US = ("setpriv", "--pdeathsig", "KILL")  # a test run that is killed leaves no daemons behind
PATIENCE = 20.0  # seconds; a loaded machine is slow, not wrong


def environment() -> dict[str, str]:
    """What daemons under test see."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
    return {**kept, "PYTHONPATH": f"{ROOT / 'lib'}:{ROOT / 'daemon'}:{ROOT}"}


def until(true: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Wait until something is so, and return it."""
    end = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < end, f"not in {seconds} s: {what}"
        time.sleep(0.01)
    return value


def kept_port() -> socket.socket:
    """A port of loopback that is nobody else's while this is open: bound, so that the kernel gives it to no outgoing
    connection, also while the daemon that listens there is down; and shared with who asks for it by number."""
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    return kept


class Controller:
    """One controller's folder; the process can be started, killed and started again."""

    def __init__(self, listen: str = '["127.0.0.1"]', group: str = "", more: str = "") -> None:
        # Not pytest's own folder: another uid must be able to get to the sockets.
        self.folder = Path(tempfile.mkdtemp(prefix="tashi-"))
        self.folder.chmod(0o755)
        names = [*PORTS, *(f"second_{name}" for name in PORTS)]
        self._kept = {name: kept_port() for name in names}
        self.ports = {name: each.getsockname()[1] for name, each in self._kept.items()}
        ports = "\n".join(f"{name}_port = {port}" for name, port in self.ports.items())
        self.config = self.folder / "tashi.toml"
        self.config.write_text(
            f'[controller]\nstate = "{self.folder}/state"\nrun = "{self.folder}/run"\nlisten = {listen}\n'
            f'group = "{group or "no-such-group"}"\n{ports}\n{more}\n'
        )
        self.process: subprocess.Popen[bytes] | None = None
        self.context = zmq.Context()

    @property
    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    @property
    def server_key(self) -> str:
        return read_pair(str(self.folder / "state/server.key")).public

    def spawn(self, *options: str) -> subprocess.Popen[bytes]:
        """Start it and don't wait."""
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen(
                [*WITH_US, sys.executable, ROOT / "cmd/tashi-controller", "--config", self.config, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(),
            )

    def start(self) -> Controller:
        """Start it and wait until it serves."""
        before = self.log.count(" serving ")
        self.process = process = self.spawn()

        def serves() -> bool:
            assert process.poll() is None, f"it ended:\n{self.log}"
            return self.log.count(" serving ") > before

        until(serves, f"the controller serves:\n{self.log}")
        return self

    def kill(self) -> None:
        """As a power cut would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """In good order; its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """Leave nothing behind."""
        self.context.destroy(linger=0)
        if self.process is not None and self.process.poll() is None:
            self.kill()
        for each in self._kept.values():
            each.close()
        shutil.rmtree(self.folder)

    def local(self, name: str = "admin.sock") -> Asker:
        """A client on a local socket."""
        return Asker(self.context, f"ipc://{self.folder}/run/{name}")

    def remote(self, port: str, pair: KeyPair | None = None, host: str = "127.0.0.1") -> Asker:
        """A client on a tcp port, with a key of its own if none is given."""
        file = "server-next.key" if (self.folder / "state/server-next.key").exists() else "server.key"
        key = read_pair(str(self.folder / "state" / file)).public if port.startswith("second_") else self.server_key
        return Asker(self.context, f"tcp://{host}:{self.ports[port]}", key, pair or new_pair())

    def descriptors(self) -> int:
        """How many descriptors it has open."""
        assert self.process is not None
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident_bytes(self) -> int:
        """Its memory, as the kernel counts it."""
        assert self.process is not None
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Asker:
    """A DEALER that sends what it is told and waits for what comes."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], address: str, server_key: str = "", pair: KeyPair | None = None
    ) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.ipv6 = True
        if pair is not None:
            self.socket.curve_serverkey = server_key.encode()
            self.socket.curve_publickey, self.socket.curve_secretkey = pair.public.encode(), pair.secret.encode()
        self.socket.connect(address)

    def send(self, verb: str, identity: str = "", **body: Any) -> str:
        """Send a request; returns its id."""
        identity = identity or uuid.uuid4().hex
        self.socket.send(json.dumps({"id": identity, "verb": verb, "body": body}).encode())
        return identity

    def reply(self, seconds: float = PATIENCE) -> dict[str, Any]:
        """The next reply; a list's rows are under ``rows``."""
        assert self.socket.poll(int(seconds * 1000)), "no answer"
        head, *rest = self.socket.recv_multipart()
        answer: dict[str, Any] = json.loads(head)
        return {**answer, "rows": rest[0].decode()} if rest else answer

    def silent(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        return not self.socket.poll(int(seconds * 1000))

    def ask(self, verb: str, identity: str = "", **body: Any) -> dict[str, Any]:
        """The answer to a request: the whole envelope."""
        identity = self.send(verb, identity, **body)
        answer = self.reply()
        assert answer["id"] == identity
        return answer

    def ok(self, verb: str, **body: Any) -> dict[str, Any]:
        """The content of a good answer."""
        answer = self.ask(verb, **body)
        assert answer.get("error") is None, answer
        content: dict[str, Any] = answer["ok"]
        return content

    def code(self, verb: str, identity: str = "", **body: Any) -> str:
        """The code of the error that a request gets."""
        answer = self.ask(verb, identity, **body)
        return str(answer["error"]["code"])

    def close(self) -> None:
        self.socket.close(0)


class AgentProcess:
    """One agent's folder and process; ``PROGRAM`` starts it, ``ADD`` is the request that gives it a place.

    ``settings``: its tashi.toml; what stands in braces there is `folder`, or the controller's.
    """

    PROGRAM: ClassVar[str]
    ADD: ClassVar[str]

    def __init__(self, controller: Controller, name: str, settings: str) -> None:
        self.controller, self.name = controller, name
        self.folder = controller.folder / name
        self.folder.mkdir()
        self.config = self.folder / "tashi.toml"
        self.config.write_text(settings.format(folder=self.folder, controller=controller.folder))
        (self.folder / "machine-id").write_text(uuid.uuid4().hex + "\n")
        self.boot()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def boot(self) -> None:
        """The boot id is another from now on."""
        (self.folder / "boot-id").write_text(f"{uuid.uuid4()}\n")

    def agent(self, *options: str, **how: Any) -> subprocess.Popen[bytes]:
        """Start the agent's program."""
        ids = {name: str(self.folder / file) for name, file in ID_FILES.items()}
        program = ROOT / "cmd" / self.PROGRAM
        argv: list[str | Path] = [*WITH_US, sys.executable, program, "--config", self.config, *options]
        return subprocess.Popen(argv, env=environment() | ids, **how)

    def enroll(self, document: str = "") -> tuple[int, str]:
        """Enrol with a document, a fresh one if none is given: exit status, and all that was printed."""
        agent = self.agent(
            "--enroll", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )  # fmt: skip
        out, _ = agent.communicate((document or self.document()).encode(), PATIENCE)
        return agent.returncode, out.decode()

    def document(self) -> str:
        """A new enrolment document, as thost-add and zoni-agents print it."""
        extra = self.controller.local().ok(self.ADD, name=self.name)["extra"]
        return tomli_w.dumps({**extra, **{key: extra[key].split(",") for key in ("controller", "enroll")}})

    def start(self, **how: Any) -> Self:
        """Start the agent and wait until it is welcome."""
        before = self.log.count(" welcome ")
        with open(self.folder / "log", "ab") as log:
            self.process = process = self.agent(stdin=subprocess.DEVNULL, stdout=log, stderr=log, **how)

        def welcome() -> bool:
            assert process.poll() is None, f"it ended:\n{self.log}"
            return self.log.count(" welcome ") > before

        until(welcome, f"the agent {self.name} is welcome:\n{self.log}")
        return self

    def kill(self) -> None:
        """The agent alone; guests and machines run on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """The agent, in good order; its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()


class Host(AgentProcess):
    """One fake host. Hosts of one controller share a pool and a fake world."""

    PROGRAM, ADD = "tashi-agent", "host.add"

    def __init__(self, controller: Controller, name: str) -> None:
        super().__init__(
            controller, name,
            '[agent]\nstate = "{folder}/state"\ndriver = "fake"\ncores = 64\nmemory = "256G"\ndisk = "4T"\n'
            '[pool]\npath = "{controller}/pool"\n[fake]\npath = "{controller}/world"\n',
        )  # fmt: skip
        (controller.folder / "pool").mkdir(exist_ok=True)
        (controller.folder / "world").mkdir(exist_ok=True)


class Zoni(AgentProcess):
    """One zoni agent, with a fake world of machines."""

    PROGRAM, ADD = "zoni-agent", "zoniagent.add"

    def __init__(self, controller: Controller, name: str = "net1") -> None:
        self._kept = kept_port()
        self.stream = f"tcp://127.0.0.1:{self._kept.getsockname()[1]}"
        super().__init__(controller, name, f'[zoni]\nstate = "{{folder}}/state"\nstream = "{self.stream}"\n')
        self.world = str(self.folder / "world")

    def close(self) -> None:
        super().close()
        self._kept.close()


ID_FILES = {"TASHI_MACHINE_ID_FILE": "machine-id", "TASHI_BOOT_ID_FILE": "boot-id"}


def enrolled(controller: Controller, name: str, pair: KeyPair) -> None:
    """Give a host's place to a key."""
    token = controller.local().ok("host.add", name=name)["extra"]["token"]
    controller.remote("enroll").ok("enroll", token=token, host=name, key=pair.public)


def start_as(uid: int, script: str, *argv: str, group: int = -1) -> subprocess.Popen[str]:
    """A script that is another uid, in one group. It is root until it has loaded what root's folders hold."""
    gid = uid if group < 0 else group
    become = f"import json, os, sys, zmq\nfrom tests.daemon.processes import Asker\nos.setgroups([{gid}])\n"
    become += f"os.setresgid({uid}, {uid}, {uid}); os.setresuid({uid}, {uid}, {uid})\n"
    argv_ = [*WITH_US, sys.executable, "-c", become + script, *argv]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv_, env=environment(), stdin=pipe, stdout=pipe, text=True)


def run_as(uid: int, script: str, *argv: str, group: int = -1) -> str:
    """What a script prints that is another uid."""
    process = start_as(uid, script, *argv, group=group)
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    return printed


QUESTION = (
    "asker = Asker(zmq.Context(), sys.argv[1]); asker.send(sys.argv[2], **json.loads(sys.argv[3]))\n"
    "print('{}' if asker.silent(float(sys.argv[4])) else json.dumps(asker.reply()))"
)


class Person:
    """Somebody with another uid who asks one thing; ``answer`` is empty when it can't even connect."""

    def __init__(
        self, uid: int, controller: Controller, verb: str, door: str = "user.sock", group: int = -1,
        seconds: float = 3.0, body: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        where = f"ipc://{controller.folder}/run/{door}"
        self.process = start_as(uid, QUESTION, where, verb, json.dumps(body or {}), str(seconds), group=group)

    def answer(self) -> dict[str, Any]:
        printed, _ = self.process.communicate(timeout=30)
        assert self.process.returncode == 0
        answer: dict[str, Any] = json.loads(printed)
        return answer

    def you(self) -> str:
        """Whom the controller takes it for."""
        return str(self.answer()["ok"]["you"])
