"""A scene: hosts, machines, people, what happens when, what is expected; and its log. Read from a text.

A line is a statement; ``#`` begins a comment. First what there is (host, machine, user...), then what happens,
each with its second: ``5 ann$ tvm-create web ...`` is a person at work, ``7 kill controller`` one of the sentences of
`tashi.sim.deeds`, and ``when "h2 runs web": cut h1 h2`` waits for a line of the log. A line of dashes ends it; below
is the log as it was accepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from tashi.core.settings import Settings
from tashi.model.name import check_name
from tashi.model.units import parse_seconds, parse_size
from tashi.model.vlan import parse_vlans
from tashi.sched.policy import parse_policy
from tashi.sim.cast import HostSize, Person
from tashi.sim.deed import Deed
from tashi.sim.deeds import DEEDS, MESSAGES, refuse_usage
from tashi.sim.devices import Plug
from tashi.sim.sentence import Kind, Names, Usage, Values, words_kinds
from tashi.sim.typed import asks_of
from tashi.wire.envelope import Ask
from tashi.wire.errors import Code, Refused, TashiError

RULE = "-" * 8
AFTERWARDS_SECONDS = 30.0  # a scene goes on so long after its last line
_WHEN = re.compile(r'when "([^"]+)"(?: \+(\S+))?: (.*)')
_TYPED = re.compile(r"([a-z][a-z0-9-]*)( again)?\$ (.*)")


class Typed(NamedTuple):
    """A command line of a person, and what it asks; ``again``: under the id of that person's last request."""

    by: str
    line: str
    asks: list[Ask]
    again: bool = False


class Done(NamedTuple):
    deed: Deed
    values: Values


class Act(NamedTuple):
    """What happens ``at`` seconds; ``line`` is where it is written, ``text`` what is written there.

    With ``cue``: so many seconds after a line of the log says that, if one does so from then on.
    """

    line: int
    text: str
    at: float
    what: Typed | Done
    cue: str = ""
    later: float = 0.0


class Scene(NamedTuple):
    name: str
    hosts: list[HostSize]
    people: list[Person]
    settings: Settings
    plugs: list[Plug]
    domains: dict[str, tuple[int, ...]]
    acts: list[Act]
    seconds: float
    unmended: bool  # at its end, so that it need not come to rest
    log: list[str] | None  # as accepted; None when there is none yet
    faults: list[int]
    attacks: list[int]


def read(name: str, text: str) -> Scene:
    """A scene from its text. Raises Refused naming file and line."""
    script, rule, log = text.partition(f"\n{RULE}")
    reader = _Reader()
    for number, line in enumerate(script.splitlines(), 1):
        words = line.split("#", 1)[0].strip() if "$ " not in line else line.strip()
        if words:
            try:
                reader.take(number, words)
            except TashiError as error:
                raise Refused(Code.BAD_REQUEST, f"{name}:{number}: {error.text}", error.hint) from None
            except ValueError as error:
                raise Refused(Code.BAD_REQUEST, f"{name}:{number}: {error}") from None
    if not reader.acts:
        raise Refused(Code.BAD_REQUEST, f"{name}: nothing happens in it", "tashi-scene(5) tells how one is written")
    seconds = reader.end if reader.end is not None else reader.at + AFTERWARDS_SECONDS
    accepted = log.partition("\n")[2].splitlines() if rule else None
    there = reader.hosts, reader.people, reader.settings, reader.plugs, reader.domains
    return Scene(name, *there, reader.acts, seconds, reader.unmended, accepted, reader.faults, reader.attacks)


def script_of(text: str) -> str:
    """What is above the log."""
    return text.partition(f"\n{RULE}")[0].rstrip("\n") + "\n"


class _Reader:
    """Takes one statement after the other."""

    def __init__(self) -> None:
        self.hosts: list[HostSize] = []
        self.people: list[Person] = []
        self.settings = Settings()
        self.plugs: list[Plug] = []
        self.domains: dict[str, tuple[int, ...]] = {}
        self.acts: list[Act] = []
        self.at = 0.0
        self.end: float | None = None
        self.unmended = False
        self.faults: list[int] = []
        self.attacks: list[int] = []

    def take(self, number: int, text: str) -> None:
        head, *rest = text.split()
        statement = next((each for each in STATEMENTS if each.usage.head == head), None)
        if statement is not None:
            values = statement.usage.match(text.split(), _KINDS)
            if self.acts and statement.first:
                raise Refused(Code.BAD_REQUEST, f"{head}: this is said before anything happens")
            getattr(self, f"_{head}")(*values)
            return
        cue = _WHEN.fullmatch(text)
        if cue:
            later = parse_seconds(cue[2]) if cue[2] else 0.0
            self.acts.append(Act(number, text, self.at, self._what(cue[3]), cue[1], later))
            return
        at = parse_seconds(head)
        if at < self.at:
            raise Refused(Code.BAD_REQUEST, f"{head}: the line before is later, at {self.at:g}")
        self.at = at
        if rest:
            self.acts.append(Act(number, text, at, self._what(text.split(maxsplit=1)[1])))

    # -- what there is -------------------------------------------------------------------------------------------------
    def _host(self, name: str, cores: int, memory_bytes: int) -> None:
        if name in (host.name for host in self.hosts):
            raise Refused(Code.BAD_REQUEST, f"there is a host {name} already")
        self.hosts.append(HostSize(name, cores, memory_bytes))

    def _machine(self, name: str, port: tuple[str, str], other: tuple[str, str] | None) -> None:
        if name in (plug.name for plug in self.plugs):
            raise Refused(Code.BAD_REQUEST, f"there is a machine {name} already")
        self.plugs.append(Plug(name, (port, *([other] if other else []))))

    def _domain(self, name: str, vlans: tuple[int, ...]) -> None:
        if name in self.domains:
            raise Refused(Code.BAD_REQUEST, f"there is a domain {name} already")
        self.domains[name] = vlans

    def _user(self, name: str, role: str | None) -> None:
        self.people.append(Person(name, role or "user"))

    def _set(self, key: str, value: str) -> None:
        default = Settings()._asdict().get(key)
        if key not in SETTINGS or default is None:
            raise Refused(Code.BAD_REQUEST, f"{key} can't be set in a scene", f"these can: {', '.join(SETTINGS)}")
        if key == "policy":
            if value not in ("pack", "spread"):
                raise Refused(Code.BAD_REQUEST, f"{value}: policies are pack and spread")
            self.settings = self.settings._replace(policy=parse_policy(value))
        elif isinstance(default, int):
            self.settings = self.settings._replace(**{key: int(value)})  # type: ignore[arg-type]
        else:
            self.settings = self.settings._replace(**{key: parse_seconds(value)})  # type: ignore[arg-type]

    def _end(self, at: float, unmended: bool | None) -> None:
        self.end, self.unmended = at, bool(unmended)

    def _fault(self, number: int) -> None:
        self.faults.append(number)

    def _attack(self, number: int) -> None:
        self.attacks.append(number)

    # -- what happens --------------------------------------------------------------------------------------------------
    def _what(self, text: str) -> Typed | Done:
        self.hosts = self.hosts or [HostSize("h1"), HostSize("h2"), HostSize("h3")]
        self.people = self.people or [Person("ann")]
        typed = _TYPED.fullmatch(text)
        people = [person.name for person in self.people]
        if typed:
            if typed[1] not in [*people, "root"]:
                raise Refused(Code.BAD_REQUEST, f"{typed[1]} is nobody of this scene: {', '.join(people)}, root")
            return Typed(typed[1], typed[3], asks_of(typed[3]), bool(typed[2]))
        words = text.split()
        fitting = [deed for deed in DEEDS if _starts(words, deed.usage.head.split())]
        if not fitting:
            raise refuse_usage(words)
        deed = max(fitting, key=lambda each: len(each.usage.head))
        switches = sorted({switch for plug in self.plugs for switch, _ in plug.ports})
        machines, hosts = [plug.name for plug in self.plugs], [host.name for host in self.hosts]
        names = Names(hosts, people, MESSAGES, machines, switches, list(self.domains))
        return Done(deed, deed.usage.match(words, words_kinds(names)))


def _starts(words: list[str], head: list[str]) -> bool:
    return words[: len(head)] == head


def _size(word: str) -> int:
    return parse_size(word)


def _port(word: str) -> tuple[str, str]:
    switch, colon, port = word.partition(":")
    if not (colon and port):
        raise ValueError(f"{word!r} is not SWITCH:PORT")
    return _name(switch), port


def _name(word: str) -> str:
    check_name(word)
    return word


class Statement(NamedTuple):
    usage: Usage
    doc: str
    first: bool = True


STATEMENTS = (
    Statement(Usage("host NAME COUNT cores SIZE"), "A host with so many cores and so much memory."),
    Statement(
        Usage("machine NAME PORT [PORT]"),
        "A physical machine, off, and where it is plugged in; a zoni agent is there for all of them.",
    ),
    Statement(Usage("domain NAME VLANS"), "A domain of machines: root's, with these VLANs."),
    Statement(Usage("user NAME [user|operator|admin]"), "Who may type commands; a user if nothing else is said."),
    Statement(Usage("set KEY VALUE"), "A setting of the controller other than its default."),
    Statement(Usage("fault COUNT"), "The scene is a test of that row of tashi-faults(7)."),
    Statement(Usage("attack COUNT"), "The same, for an attack."),
    Statement(
        Usage("end SPAN [unmended]"),
        "The scene goes on until then; else 30 seconds after its last line. Unmended: what is broken stays so.",
        first=False,
    ),
)
SETTINGS = (
    "policy", "heartbeat_seconds", "missed", "moves_per_host", "start_seconds", "stop_seconds", "move_seconds",
    "image_seconds", "resend_max_seconds",
)  # fmt: skip


def _kinds() -> Iterator[tuple[str, Kind]]:
    yield from words_kinds().items()
    yield "NAME", Kind("a name", _name)
    yield "SIZE", Kind("a size: 512M, 8G", _size)
    yield "PORT", Kind("a port of a switch: s1:p1", _port)
    yield "VLANS", Kind("numbers: 100,200-203", parse_vlans)
    yield "KEY", Kind("a setting", str)
    yield "VALUE", Kind("its value", str)


_KINDS = dict(_kinds())
