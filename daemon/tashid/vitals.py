"""What the controller's process counts of itself since its start, for the metrics."""

from __future__ import annotations

from collections import Counter

from tashi.core.decision import Decision
from tashi.core.verbs import VERBS
from tashi.wire.errors import Code
from tashi.wire.messages import Sample


class Vitals:
    """``began``: monotonic seconds."""

    def __init__(self, began: float) -> None:
        self.began = began
        self.requests: Counter[tuple[str, str]] = Counter()
        self.messages = self.batches = self.failed = 0
        self.seconds = self.longest = 0.0

    def decided(self, verb: str, decision: Decision) -> Decision:
        """Count what a request is answered; returns that. Verbs that we don't know are one."""
        error = decision.reply.error if decision.reply is not None else None
        self.requests[verb if verb in VERBS else "unknown", "ok" if error is None else error.code] += 1
        return decision

    def stored(self, seconds: float) -> None:
        """A turn of the loop ended well."""
        self.batches += 1
        self.seconds += seconds
        self.longest = max(self.longest, seconds)

    def samples(self, now: float) -> list[Sample]:
        denied = sum(count for (_, outcome), count in self.requests.items() if outcome == Code.DENIED)
        return [
            Sample("tashi_up_seconds", round(now - self.began, 3)),
            *(Sample("tashi_requests_total", count, [*which]) for which, count in sorted(self.requests.items())),
            Sample("tashi_denied_total", denied),
            Sample("tashi_messages_total", self.messages),
            Sample("tashi_batches_total", self.batches),
            Sample("tashi_batch_seconds_total", round(self.seconds, 6)),
            Sample("tashi_batch_seconds_max", round(self.longest, 6)),
            Sample("tashi_commits_failed_total", self.failed),
        ]
