"""What people asked and what they were answered, as an outside observer writes it down.

The invariants hold the cluster to it: what was promised here must be found later, whatever crashed in between.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tashi.sim.world import Violation

BY_THE_CLOCK = ("machine.reserve", "reservation.extend")  # what they name may be over when they arrive
TRANSIENT = frozenset({"unavailable", "busy", "locked", "no-room"})  # may be answered differently the next time


@dataclass
class Asked:
    """One request: however often it was sent, it is one."""

    by: str
    verb: str
    body: dict[str, Any]
    job: str = ""
    objects: dict[str, str] = field(default_factory=dict)
    refused: str = ""


class History:
    """All requests by (principal, request id)."""

    def __init__(self) -> None:
        self.asked: dict[tuple[str, str], Asked] = {}
        self.jobs: dict[str, Asked] = {}  # promised operations
        self.created: dict[str, Asked] = {}  # promised VMs, by id
        self.names: dict[str, str] = {}  # of all VMs that ever were, by id
        self.ended: dict[str, str] = {}  # operations that somebody was told the end of
        self.verbs: dict[str, int] = {}  # how many of each were promised

    def ask(self, by: str, request: str, verb: str, body: dict[str, Any]) -> None:
        self.asked.setdefault((by, request), Asked(by, verb, body))

    def answer(self, by: str, request: str, reply: dict[str, Any]) -> None:
        """An answer has left the controller. Raises Violation when it contradicts an earlier one."""
        asked = self.asked.get((by, request)) or Asked(by, "a question", {})  # those who only look promise nothing
        error = reply.get("error")
        if error is not None:
            self._refuse(asked, request, error)
            return
        promised = reply.get("ok") or {}
        job = promised.get("job", "")
        if not job or promised.get("dry_run"):
            return
        if asked.job and asked.job != job:
            raise Violation(f"I1 request {request} ({asked.verb}) was answered {asked.job}, then {job}")
        if not asked.job:
            asked.job, asked.objects = job, dict(promised.get("objects") or {})
            self.jobs[job] = asked
            self.verbs[asked.verb] = self.verbs.get(asked.verb, 0) + 1
            if asked.verb == "vm.create":
                self.created.update(dict.fromkeys(asked.objects, asked))

    def end(self, job: str, state: str) -> None:
        """Somebody was told how an operation ended. Raises Violation when it ended otherwise before."""
        before = self.ended.setdefault(job, state)
        if before != state:
            raise Violation(f"I4 {job} ended {before}, then {state}")

    def destroy_asked(self, vm: str) -> bool:
        """Whether anybody ever asked for the end of this VM, by name or id, or to call its creation back."""
        return self._asked("vm.destroy", self._names(vm)) or self._asked("job.cancel", self._jobs(vm, ("vm.create",)))

    def end_asked(self, vm: str) -> bool:
        """Whether anybody ever asked for this VM not to run: destroyed, cut off, or a start of it called back."""
        return (
            self._asked("vm.destroy", self._names(vm))
            or self._asked("vm.shutdown", self._names(vm), force=True)
            or self._asked("job.cancel", self._jobs(vm, ("vm.create", "vm.start", "vm.place")))
        )

    def _names(self, vm: str) -> set[str]:
        return {vm, self.names.get(vm, vm)}

    def _jobs(self, vm: str, verbs: tuple[str, ...]) -> set[str]:
        return {job for job, asked in self.jobs.items() if asked.verb in verbs and vm in asked.objects}

    def _asked(self, verb: str, about: set[str], **words: Any) -> bool:
        return any(
            asked.verb == verb and asked.body.get("name") in about and asked.body.items() >= words.items()
            for asked in self.asked.values()
        )

    def _refuse(self, asked: Asked, request: str, error: dict[str, Any]) -> None:
        code = error["code"]
        if code in ("fault", "unknown-verb") or (code == "bad-request" and asked.verb not in BY_THE_CLOCK):
            raise Violation(f"I4 request {request} ({asked.verb} {asked.body}) was answered {code}: {error['text']}")
        if asked.job and code not in TRANSIENT and code != "conflict":
            raise Violation(
                f"I1 request {request} ({asked.verb}) was promised {asked.job}, then refused: {error['text']}"
            )
        asked.refused = code
