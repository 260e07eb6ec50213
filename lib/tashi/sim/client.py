"""People at work: they create, start, stop, move and destroy VMs, drain hosts, cancel, and ask again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

from tashi.sim.history import TRANSIENT, History
from tashi.sim.network import Network
from tashi.sim.world import Timer, Violation, World

ANSWER_SECONDS = 2.0  # until a request is repeated; later twice as long
TRIES = 6
MIB = 2**20


class Desk(Protocol):
    """Where requests go: the controller's user side."""

    def ask(self, by: str, request: bytes, answer: Callable[[bytes], None]) -> None: ...


class Client:
    """One person with one program: one request at a time, each repeated until it is answered or given up."""

    def __init__(
        self, world: World, network: Network, desk: Desk, history: History, name: str, hosts: list[str], pause: float
    ) -> None:
        self.world, self.network, self.desk, self.history = world, network, desk, history
        self.name, self.hosts, self.pause = name, hosts, pause
        self.vms: list[str] = []
        self.jobs: list[str] = []
        self._made = 0
        self._sent = 0
        self._open: dict[str, tuple[bytes, int, Callable[[dict[str, Any]], None], Timer]] = {}
        self.idle = False

    # -- asking --------------------------------------------------------------------------------------------------------
    def ask(
        self,
        verb: str,
        body: dict[str, Any],
        then: Callable[[dict[str, Any]], None],
        watch: bool = False,
        again: str = "",
    ) -> str:
        """Send a request until it is answered; ``then`` gets the reply, or an error `no-answer` at the end.

        Returns its id; ``again`` is the id of a former request, used once more.
        """
        self._sent += not again
        request = again or f"{self.name}-{self._sent:06d}"
        if not watch:
            self.history.ask(self.name, request, verb, body)
        self._send(request, json.dumps({"id": request, "verb": verb, "body": body}).encode(), 1, then)
        return request

    def _send(self, request: str, frame: bytes, number: int, then: Callable[[dict[str, Any]], None]) -> None:
        timer = self.world.after(ANSWER_SECONDS * min(number, 2), lambda: self._no_answer(request))
        self._open[request] = (frame, number, then, timer)
        self.network.send(self.name, "controller", lambda: self.desk.ask(self.name, frame, self._deliver), "request")

    def _misuse(self, request: str, job: str) -> None:
        """Use the id of an answered request for another one; raises Violation unless that is refused."""

        def told(reply: dict[str, Any]) -> None:
            promised = reply.get("ok")
            if promised is not None and promised.get("job") == job:
                return  # the first answer, late
            error = reply.get("error") or {"code": "ok"}
            # What is refused for now may be the first request itself, told late: it was let in when it was said again.
            if error["code"] not in ("conflict", "no-answer", *TRANSIENT):
                raise Violation(f"I1 {request} was used for two requests, the second is answered {error['code']}")

        frame = json.dumps({"id": request, "verb": "vm.create", "body": self._new_vm()}).encode()
        self._send(request, frame, 1, told)

    def _deliver(self, frame: bytes) -> None:
        """The controller's answer enters the network."""
        self.network.send("controller", self.name, lambda: self._hear(json.loads(frame)), "reply")

    def _no_answer(self, request: str) -> None:
        frame, number, then, _ = self._open.pop(request)
        if number < TRIES:
            self._send(request, frame, number + 1, then)
            return
        self.world.say(self.name, f"gives {request} up")
        then({"id": request, "error": {"code": "no-answer", "text": "no answer"}})

    def _hear(self, reply: dict[str, Any]) -> None:
        if reply["id"] not in self._open:
            return  # a double, or given up
        _, _, then, timer = self._open.pop(reply["id"])
        timer.drop()
        then(reply)

    # -- working -------------------------------------------------------------------------------------------------------
    def work(self) -> None:
        """Do one thing, wait for its end or not, and go on."""
        if self.idle:
            return
        if self.world.happens(0.1):
            self.ask(*self.world.chance.choice(QUESTIONS), lambda _: self._rest(), watch=True)
            return
        verb, body = self.choose()
        self.world.say(self.name, f"asks {verb} {json.dumps(body)}")
        self.ask(verb, body, lambda reply: self._answered(verb, reply))

    def choose(self) -> tuple[str, dict[str, Any]]:
        chance = self.world.chance
        if not self.vms or (len(self.vms) < 6 and chance.random() < 0.35):
            return self._create()
        verb = chance.choices(list(WORK), weights=list(WORK.values()))[0]
        if verb in ("host.drain", "host.resume"):
            return verb, {"name": chance.choice(self.hosts)}
        if verb == "job.cancel":
            return ("job.cancel", {"name": self.jobs[-1]}) if self.jobs else self._create()
        body: dict[str, Any] = {"name": chance.choice(self.vms)}
        if verb == "vm.migrate":
            if chance.random() < 0.4:
                body["to"] = chance.choice(self.hosts)
            elif chance.random() < 0.1:
                body["abort"] = True
        elif verb == "vm.place":
            body["host"] = chance.choice(self.hosts)
        elif verb == "vm.start" and chance.random() < 0.3:
            body["hold"] = True
        elif verb == "vm.shutdown":
            if chance.random() < 0.5:
                body["timeout_seconds"] = 5.0
            if chance.random() < 0.2:
                body["force"] = True
        elif verb == "vm.destroy":
            self.vms.remove(body["name"])
        return verb, body

    def _create(self) -> tuple[str, dict[str, Any]]:
        chance = self.world.chance
        body = self._new_vm()
        name = body["name"]
        if chance.random() < 0.2:
            body["count"] = 2
            self.vms += [f"{name}-{number:02d}" for number in range(2)]
        else:
            self.vms.append(name)
        if chance.random() < 0.2:
            body["hold"] = True
        if chance.random() < 0.2:
            body["host"] = chance.choice(self.hosts)
        if chance.random() < 0.05:
            body["dry_run"] = True
        if not body.keys() & {"hold", "host"} and chance.random() < 0.1:
            body["place"] = False
        return "vm.create", body

    def _new_vm(self) -> dict[str, Any]:
        chance = self.world.chance
        self._made += 1
        return {
            "name": f"{self.name}{self._made}",
            "image": "tiny",
            "cores": chance.choice((1, 1, 2, 3)),
            "memory_bytes": chance.choice((256, 512, 1024)) * MIB,
            "disk_bytes": 1024 * MIB,
        }

    def _answered(self, verb: str, reply: dict[str, Any]) -> None:
        error, promised = reply.get("error"), reply.get("ok") or {}
        self.world.say(self.name, f"is told {verb} {error['code'] + ': ' + error['text'] if error else promised}")
        job = promised.get("job", "")
        if job and not promised.get("dry_run"):
            self.jobs.append(job)
            if self.world.happens(0.05):
                self._misuse(reply["id"], job)
        if job and not promised.get("done") and self.world.happens(0.6):
            self._watch(job, reply.get("revision", 0), 3)
        else:
            self._rest()

    def _watch(self, job: str, after: int, polls: int) -> None:
        """Follow an operation by the change log, some polls long."""
        body = {"after": after, "job": job, "wait_seconds": 2.0}

        def told(reply: dict[str, Any]) -> None:
            page = reply.get("ok") or {}
            for entry in page.get("entries", ()):
                if entry.get("id") == job and entry.get("state") in ("done", "failed", "cancelled"):
                    self.history.end(job, entry["state"])
                    self._rest()
                    return
            if polls > 1:
                self._watch(job, page.get("revision", after), polls - 1)
            else:
                self._rest()

        self.ask("changes", body, told, watch=True)

    def _rest(self) -> None:
        self.world.after(self.world.chance.expovariate(1 / self.pause), self.work)


QUESTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("status", {}),
    ("list", {"noun": "vm", "full": True}),
    ("list", {"noun": "host", "format": "table"}),
    ("list", {"noun": "job", "where": ["state=running"]}),
)

# verb: how often, among things done to what is there
WORK: dict[str, float] = {
    "vm.migrate": 6,
    "vm.start": 4,
    "vm.place": 1,
    "vm.shutdown": 3,
    "vm.destroy": 2,
    "host.drain": 0.6,
    "host.resume": 1.2,
    "job.cancel": 1,
}
