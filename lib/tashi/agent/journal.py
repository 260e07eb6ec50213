"""What an agent must not forget: the highest epoch, what it was last told of each object and how that went, which
one-shots it has begun, and what it still has to tell. Objects are VMs or machines, as the ``noun`` of its records says.

The journal is a list of small records, appended durably before anything follows from them. `replay` rebuilds the same
memory from any prefix that was written; `snapshot` is the shortest list that means the same.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from msgspec import Struct

KEPT = 1000  # objects that are gone, and one-shots that are over, whose late orders are still known as late


class Told(Struct):
    """The newest row of one object, and how it went. An empty outcome: begun, or about to be."""

    generation: int
    role: str
    outcome: str = ""
    reason: str = ""
    stats: dict[str, float] = {}


class Memory:
    """All that a journal means."""

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self.epoch = 0
        self.cluster = ""  # whose objects are ours; empty: no controller has said it yet
        self.told: dict[str, Told] = {}
        self.shots: dict[str, dict[str, Any] | None] = {}  # operation -> its ShotDone, None while it is under way
        self.outbox: dict[tuple[int, int], dict[str, Any]] = {}  # (incarnation, seq) -> message

    def apply(self, record: dict[str, Any]) -> None:
        """Take one record in. An unknown kind is a newer version's and is ignored."""
        match record.get("is"):
            case "epoch":
                self.epoch = max(self.epoch, record["epoch"])
            case "cluster":
                self.cluster = record["cluster"]
            case "row":
                before = self.told.pop(record[self.noun], None)
                stats = before.stats if before is not None and before.generation == record["generation"] else {}
                self.told[record[self.noun]] = Told(record["generation"], record["role"], stats=stats)
            case "outcome":
                told = self.told.get(record[self.noun])
                if told is not None and told.generation == record["generation"]:
                    told.stats = record.get("stats") or told.stats
                    if told.role == record["role"]:
                        told.outcome, told.reason = record["outcome"], record.get("reason", "")
            case "forget":
                self.told.pop(record[self.noun], None)
            case "shot":
                self.shots[record["job"]] = record.get("done")
            case "shot-over":
                self.shots.pop(record["job"], None)
            case "tell":
                self._keep(record["message"])
            case "acked":
                for seq in record["seqs"]:
                    self.outbox.pop((record["incarnation"], seq), None)

    def _keep(self, message: dict[str, Any]) -> None:
        """Only the latest word on an object is kept; that a guest ended by itself is never merged away."""
        seen = message.get("seen")
        if seen is not None:
            for key, other in list(self.outbox.items()):
                older = other.get("seen")
                if older is not None and older[self.noun] == seen[self.noun] and not older.get("exited"):
                    del self.outbox[key]
        self.outbox[message["incarnation"], message["seq"]] = message

    def is_telling(self, job: str) -> bool:
        """Whether the outcome of this one-shot still waits in the outbox."""
        return any((message.get("shot") or {}).get("job") == job for message in self.outbox.values())

    def unheard(self) -> set[str]:
        """Objects of which something still waits in the outbox."""
        every = (message.get("seen") for message in self.outbox.values())
        return {seen[self.noun] for seen in every if seen is not None}

    def prune(self) -> list[dict[str, Any]]:
        """Records that forget the oldest of what is long over."""
        over = [of for of, told in self.told.items() if told.role == "absent" and told.outcome == "done"]
        shots = [job for job, done in self.shots.items() if done is not None]
        forget: list[dict[str, Any]] = [{"is": "forget", self.noun: of} for of in over[:-KEPT]]
        return forget + [{"is": "shot-over", "job": job} for job in shots[:-KEPT]]

    def snapshot(self) -> list[dict[str, Any]]:
        """The shortest journal that means the same."""
        records: list[dict[str, Any]] = [{"is": "epoch", "epoch": self.epoch}]
        records += [{"is": "cluster", "cluster": self.cluster}] if self.cluster else []
        for of, told in self.told.items():
            records.append({"is": "row", self.noun: of, "generation": told.generation, "role": told.role})
            if told.outcome:
                records.append(outcome_record(self.noun, of, told))
        records += [{"is": "shot", "job": job, "done": done} for job, done in self.shots.items()]
        records += [{"is": "tell", "message": message} for message in self.outbox.values()]
        return records


def why_stale(told: Told | None, generation: int, role: str, same: Container[tuple[str, str]] = ()) -> str:
    """Why a row is not obeyed; empty when it is. Only a newer order overrides an older one.

    ``same``: (role, role that may follow it) in one generation.
    """
    if told is None or generation > told.generation:
        return ""
    if generation < told.generation:
        return f"generation {generation} is older than {told.generation}"
    if role == told.role or (told.role, role) in same:
        return ""
    return f"generation {generation} was already given as {told.role}"


def outcome_record(noun: str, of: str, told: Told) -> dict[str, Any]:
    """The record that says how the newest row ``of`` an object went."""
    record: dict[str, Any] = {
        "is": "outcome",
        noun: of,
        "generation": told.generation,
        "role": told.role,
        "outcome": told.outcome,
    }
    if told.reason:
        record["reason"] = told.reason
    if told.stats:
        record["stats"] = told.stats
    return record
