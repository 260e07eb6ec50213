"""One machine as a zoni agent knows it: its row, what each of its power paths says, and what is under way on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct, field

from tashi.agent.errand import Errand
from tashi.agent.events import Called
from tashi.agent.journal import Told
from tashi.agent.verdict import Reading, Verdict, judge
from tashi.model.shorten import shorten
from tashi.wire.errors import Code
from tashi.wire.zoni import MetalRow, MetalSeen

REFUSED_SECONDS = 300.0  # until a path that was refused is judged once more
TEXT_MAX = 200  # characters of a text to the controller
OLDEST_SECONDS = 31_536_000.0  # what was read is never said to be older
REFUSALS = ("conflict", "wrong-state")  # codes of a path of another machine, and of one with an open door


class Path(Struct):
    """``spec`` is its plain form for a driver, ``where`` the same in words without passwords.

    ``trusted``: it was found to be this machine's, and to keep strangers out. ``began``: when it was looked
    at last; -1 for not since the last change.
    """

    spec: dict[str, Any]
    where: str
    outlet: bool
    trusted: bool = False
    fresh: bool = True  # no call was made with these settings yet
    reading: str = ""
    at: float = 0.0
    began: float = -1.0
    looks: bool = False  # a look is under way
    asked: bool = False  # since the last change, to the end
    trouble: str = ""
    code: str = ""  # of that trouble
    refused_until: float = 0.0


class Known(Struct):
    """``answer``: the newest question that was answered, ``ask`` the one that is open since ``asked_at``.

    ``doubted``: its paths have contradicted each other, and are asked once more before that is believed.
    """

    row: MetalRow
    paths: list[Path] = field(default_factory=list)
    errand: Errand | None = None
    waiting: MetalRow | None = None
    again: bool = False  # look once more when the looks under way are over
    other_paths: bool = False  # the row has others, which are taken when the errand is over
    ask: int = 0
    answer: int = 0
    asked_at: float = 0.0
    doubted: bool = False
    uuid: str = ""
    serial: str = ""
    told: tuple[Any, ...] = ()  # what was told last

    def take_paths(self, where: Callable[[dict[str, Any]], str]) -> None:
        """The row's paths, none of which is trusted yet."""
        self.paths = [
            Path(spec, shorten(where(spec), TEXT_MAX), spec.get("driver") == "pdu") for spec in self.row.paths
        ]
        self.other_paths, self.told = False, ()

    def read(self, path: Path, called: Called, judges: bool, now: float) -> None:
        """What the end of a call says of its path; ``judges``: and of whether it may be used."""
        value = called.value
        if called.outcome == "ok" and judges and isinstance(value, dict):
            path.trusted, path.refused_until = True, 0.0
            # A device says as much of itself as it likes; the controller could not read a text that is too long, nor
            # the inventory of all machines that it is in.
            told = {key: shorten(text, TEXT_MAX) for key, text in value.get("identity", {}).items()}
            self.uuid, self.serial = self.uuid or told.get("uuid", ""), self.serial or told.get("serial", "")
        if called.outcome != "ok":
            path.reading = ""
            if not path.trouble or called.code != Code.UNAVAILABLE:  # one that is left alone has the trouble it had
                path.trouble, path.code = shorten(called.text, TEXT_MAX), called.code or called.outcome
            if judges and called.code in REFUSALS:
                path.trusted, path.refused_until = False, now + REFUSED_SECONDS
            return
        power = value.get("power", "unknown") if isinstance(value, dict) else value
        path.reading, path.at, path.trouble, path.code = str(power), now, "", ""

    def verdict(self) -> Verdict:
        """What its paths say together."""
        return judge([Reading(path.where, path.outlet, path.reading, path.at) for path in self.paths])

    def whole(self) -> bool:
        """Whether each path was asked since the last change, and has answered or can't."""
        return all(path.asked for path in self.paths)

    def answered(self) -> bool:
        """Whether the open question can be answered: by the first path that knows, or when all have had their say."""
        if self.ask <= self.answer:
            return False
        first = next((path for path in self.paths if path.reading in ("on", "off") and not path.outlet), None)
        if first is not None and first.began >= self.asked_at and not first.looks:
            return True
        return all(path.began >= self.asked_at and not path.looks for path in self.paths)

    def trouble(self) -> str:
        """Paths that don't answer or are not to be used, in words."""
        return "; ".join(path.trouble for path in self.paths if path.trouble)

    def outlets(self) -> tuple[list[bool], list[str]]:
        """Which paths are outlets, and what those say."""
        return [path.outlet for path in self.paths], [path.reading for path in self.paths if path.outlet]

    def looks(self) -> bool:
        return any(path.looks for path in self.paths)

    def sight(self) -> tuple[Any, ...]:
        """What is news when it changes: not the words of a trouble, which count seconds."""
        verdict = self.verdict()
        troubles = tuple(path.code if path.trouble else "" for path in self.paths)
        return verdict.power, verdict.source, verdict.contradiction, troubles, self.uuid, self.serial, self.whole()

    def seen(self, told: Told | None, now: float) -> MetalSeen:
        """What the controller is told of it; ``told`` is what became of its newest order."""
        verdict = self.verdict()
        return MetalSeen(
            self.row.machine,
            verdict.power,
            verdict.source,
            min(max(0.0, now - verdict.at), OLDEST_SECONDS) if verdict.source else 0.0,
            shorten(verdict.contradiction, TEXT_MAX),
            shorten(self.trouble(), TEXT_MAX),
            self.whole() and self.errand is None,
            self.uuid,
            self.serial,
            self.row.mark,
            told.generation if told is not None else 0,
            told.outcome if told is not None else "",  # type: ignore[arg-type]
            told.reason if told is not None else "",
            answer=self.answer,
        )
