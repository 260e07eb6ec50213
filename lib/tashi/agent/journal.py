"""What an agent must not forget: the highest epoch, what it was last told of each VM and how that went, which one-shots
it has begun, and what it still has to tell.

The journal is a list of small records, appended durably before anything follows from them. `replay` rebuilds the same
memory from any prefix that was written; `snapshot` is the shortest list that means the same.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

KEPT = 1000  # VMs that are gone, and one-shots that are over, whose late orders are still known as late


class Told(Struct):
    """The newest row of one VM, and how it went. An empty outcome: begun, or about to be."""

    generation: int
    role: str
    outcome: str = ""
    reason: str = ""
    stats: dict[str, float] = {}


class Memory:
    """All that a journal means."""

    def __init__(self) -> None:
        self.epoch = 0
        self.cluster = ""  # whose guests are ours; empty: no controller has said it yet
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
                before = self.told.pop(record["vm"], None)
                stats = before.stats if before is not None and before.generation == record["generation"] else {}
                self.told[record["vm"]] = Told(record["generation"], record["role"], stats=stats)
            case "outcome":
                told = self.told.get(record["vm"])
                if told is not None and told.generation == record["generation"]:
                    told.stats = record.get("stats") or told.stats
                    if told.role == record["role"]:
                        told.outcome, told.reason = record["outcome"], record.get("reason", "")
            case "forget":
                self.told.pop(record["vm"], None)
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
        """Only the latest word on a guest is kept; that a guest ended by itself is never merged away."""
        seen = message.get("seen")
        if seen is not None:
            for key, other in list(self.outbox.items()):
                older = other.get("seen")
                if older is not None and older["vm"] == seen["vm"] and not older.get("exited"):
                    del self.outbox[key]
        self.outbox[message["incarnation"], message["seq"]] = message

    def is_telling(self, job: str) -> bool:
        """Whether the outcome of this one-shot still waits in the outbox."""
        return any((message.get("shot") or {}).get("job") == job for message in self.outbox.values())

    def prune(self) -> list[dict[str, Any]]:
        """Records that forget the oldest of what is long over."""
        over = [vm for vm, told in self.told.items() if told.role == "absent" and told.outcome == "done"]
        shots = [job for job, done in self.shots.items() if done is not None]
        forget: list[dict[str, Any]] = [{"is": "forget", "vm": vm} for vm in over[:-KEPT]]
        return forget + [{"is": "shot-over", "job": job} for job in shots[:-KEPT]]

    def snapshot(self) -> list[dict[str, Any]]:
        """The shortest journal that means the same."""
        records: list[dict[str, Any]] = [{"is": "epoch", "epoch": self.epoch}]
        records += [{"is": "cluster", "cluster": self.cluster}] if self.cluster else []
        for vm, told in self.told.items():
            records.append({"is": "row", "vm": vm, "generation": told.generation, "role": told.role})
            if told.outcome:
                records.append(outcome_record(vm, told))
        records += [{"is": "shot", "job": job, "done": done} for job, done in self.shots.items()]
        records += [{"is": "tell", "message": message} for message in self.outbox.values()]
        return records


def outcome_record(vm: str, told: Told) -> dict[str, Any]:
    record: dict[str, Any] = {
        "is": "outcome",
        "vm": vm,
        "generation": told.generation,
        "role": told.role,
        "outcome": told.outcome,
    }
    if told.reason:
        record["reason"] = told.reason
    if told.stats:
        record["stats"] = told.stats
    return record
