"""tashi-backup: an operation on the store itself. The copy is made beside the controller; here it begins and ends."""

from __future__ import annotations

from collections.abc import Mapping

from tashi.core.turn import Turn
from tashi.model.job import JobState
from tashi.wire.errors import Code, Refused
from tashi.wire.messages import Accepted, Backup

VERB, KIND = "backup", "store"
SECONDS = 900.0  # a copy that takes longer keeps the store from using again what it freed


def begin(turn: Turn, body: Backup) -> Accepted:
    path = body.path
    plain = path.startswith("/") and not path.endswith("/") and path.isprintable()
    if not plain or any(part in ("", ".", "..") for part in path[1:].split("/")):
        raise Refused(Code.BAD_REQUEST, f"{path!r}: not the absolute name of a file on the controller's machine")
    if turn.state.copying:
        other = next(iter(turn.state.copying.values()))
        raise Refused(Code.LOCKED, f"{other.id} is writing {other.name}: one backup at a time", f"tjob-wait {other.id}")
    turn.urgent = True  # a store at its limit can be backed up, too
    job = turn.begin(VERB, KIND, "", path, budget_seconds=SECONDS, phase="copying")
    return Accepted(job=job.id, kind="job", objects={job.id: path}, dry_run=body.dry_run)


def ended(turn: Turn, job_id: str, outcome: str, text: str, result: Mapping[str, str | int]) -> None:
    """The child has ended: ``outcome`` is ok, failed or unknown. Whatever it is, nothing else has the file's name."""
    if outcome == "ok":
        turn.end(job_id, JobState.DONE, result=dict(result))
    else:
        turn.end(job_id, JobState.FAILED, text or "the copy ended, nobody knows why")
