"""What is fuzzed: all that reads what somebody else wrote. Each target is given bytes; they are taken, or refused in
the way that is meant for it. Anything else that is raised is a fault of ours, and so is a promise that does not hold.

Deterministic and quick: an input does the same whatever came before it.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import click
import msgspec

from tashi.agent import events
from tashi.agent.mind import Mind
from tashi.cli import machine_rows
from tashi.cli.names import LONGEST, read_operands
from tashi.config import load
from tashi.core.cluster import Principal
from tashi.model import machine_words, name, units
from tashi.model.guest import Guest
from tashi.model.host import Facts
from tashi.wire import agents, messages, metal
from tashi.wire.envelope import Answer, reply
from tashi.wire.errors import Refused, TashiError
from tashid.driver import domain_xml, image_header
from tests.core.world import GIB, ROOT, World
from tests.fuzz import metal as zoni
from tests.fuzz import stream, words

ANNA = Principal("u-9", "user")


def values(data: bytes) -> None:
    """Sizes, durations, days and names, as people type them."""
    text = data.decode(errors="surrogateescape")
    with suppress(ValueError):
        size = units.parse_size(text)
        assert 0 < size <= units.SIZE_MAX
        assert units.parse_size(str(size)) == size
        assert units.parse_size(units.format_size(size))
    with suppress(ValueError):
        seconds = units.parse_seconds(text)
        assert seconds >= 0
        units.format_seconds(seconds)
    with suppress(ValueError):
        assert units.month_begin(units.parse_day(text)) <= units.parse_day(text)
    with suppress(ValueError):
        named = name.check_name(text)
        assert named.isascii() and named.isprintable() and not set(named) & set("/ \\\"'") and ".." not in named
        assert name.kind_of_id(named) is None


def operands(data: bytes) -> None:
    """What a command is given: one operand a line, `-` then reads all of it again as standard input."""
    lines = data.decode(errors="surrogateescape").split("\n")
    for null in (False, True):
        sys.stdin, before = SimpleNamespace(buffer=io.BytesIO(data)), sys.stdin  # type: ignore[assignment]
        try:
            for typed in (lines, ["-"]):
                with suppress(click.UsageError):
                    found = read_operands(typed, "vm", null)
                    assert all(0 < len(each) <= LONGEST for each in found.names)
                    json.dumps(found.names, ensure_ascii=False).encode()
        finally:
            sys.stdin = before


def rack(data: bytes) -> None:
    """A spreadsheet of machines: the rows that are taken can be sent, the others say why not, and never a password."""
    for style in ("csv", "json", ""):
        with suppress(Refused):
            for row in machine_rows.read_rows(data, style):
                assert bool(row.why) != bool(row.machine)
                parts = row.machine.get("parts", {})
                for word in row.machine and parts.get("power_paths", ()):
                    with suppress(ValueError):
                        path = machine_words.parse_path(word)
                        assert machine_words.parse_path(machine_words.path_text(path, path.pdu)) == path
                if row.machine:
                    msgspec.convert(row.machine, type=metal.NewMachine)


def answer(data: bytes) -> None:
    """What a controller answers a command."""
    with suppress(ValueError):
        _, what = reply(data.split(b"\n", 1))
        if isinstance(what, Answer):
            assert isinstance(what.ok, dict)
        else:
            assert isinstance(what, TashiError)
            str(what.text + what.hint)


def settings(data: bytes) -> None:
    """tashi.toml."""
    file = os.memfd_create("tashi.toml")
    path = f"/proc/self/fd/{file}"
    try:
        os.write(file, data)
        config = load(path)
    except TashiError as error:
        assert path in error.text
    else:
        assert config.agent.memory >= 0
        assert all(name.check_name(each) for each in config.networks)
    finally:
        os.close(file)


def image(data: bytes) -> None:
    """The header of an image: the first half of a byte of it says how much longer the file is than what is here."""
    longer = 1 << (data[0] & 63) if data else 0
    for form in ("raw", "qcow2"):
        with suppress(image_header.BadImage):
            header = image_header.parse_header(data[1:], len(data) - 1 + longer, form)
            assert header.format == form
            assert 0 < header.size_bytes <= image_header.SIZE_MAX
            assert 0 <= header.snapshots <= image_header.SNAPSHOTS_MAX


def domain(data: bytes) -> None:
    """A domain's XML, as far as it is ours."""
    with suppress(domain_xml.etree.ParseError):
        text = data.decode(errors="replace")
        mark = domain_xml.read_metadata(text)
        if mark is not None:
            guest = domain_xml.read_guest(mark)
            assert guest is None or isinstance(guest, Guest)
            again = domain_xml.read_metadata(domain_xml.mark_xml(mark))
            assert again == mark


@cache
def world() -> World:
    """A cluster with something of everything; who decides on it goes back to where it was."""
    made = World(2)
    made.ok("user.add", name="anna", uid=1000)
    made.create("web")
    made.create("far")
    made.ok("vm.migrate", name="far", to="h2")
    made.ok("vm.shutdown", name="far")
    made.run(1)
    made.cluster.durable()
    return made


REMEMBERED = {"decision", "meta"}  # of a refusal: why no host was good enough, and its number


def request(data: bytes) -> None:
    """A request of an administrator, and of a user: one reply, and a refusal changes nothing."""
    try:
        asked = msgspec.json.decode(data, type=messages.Request)
    except (ValueError, RecursionError):
        return
    cluster = world().cluster
    for who in (ROOT, ANNA, Principal("", "enroll")):
        mark = cluster.mark()
        decision = cluster.request(who, asked, None, world().now())
        assert not decision.fault, decision.fault
        assert (decision.reply is None) != (decision.park is None)
        if decision.reply is not None:
            msgspec.json.decode(msgspec.json.encode(decision.reply), type=messages.Reply)
            if decision.reply.error is not None:
                changed = {table for table, *_ in cluster.puts_since(mark)}
                assert changed <= REMEMBERED and not decision.effects, changed
                assert {entry.kind for entry in decision.log} <= {"denied", "decision"}
        for entry in decision.log:
            json.loads(entry.value)
        cluster.rollback(mark)


def report(data: bytes) -> None:
    """What an agent says after its hello, a message a line."""
    cluster, now = world().cluster, world().now()
    host = next(iter(world().hosts))
    mark = cluster.mark()
    hello = agents.Hello("h1", "uuid-h1", "boot-1", 7, 1, Facts(8, 8 * GIB, 100 * GIB), protocol=2)
    for line in [msgspec.json.encode(hello), *data.split(b"\n")]:
        try:
            said = msgspec.json.decode(line, type=agents.AgentMessage)
        except (ValueError, RecursionError):
            continue
        decision = cluster.agent_said(host, "here", said, now)
        assert not decision.fault, decision.fault
        for entry in decision.log:
            assert json.loads(entry.value)["kind"] in ("vm", "host", "job", "image")
    cluster.rollback(mark)


def order(data: bytes) -> None:
    """What a controller tells an agent, a message a line: what the agent then writes and says can be written and said.

    Every call to the hypervisor fails, by turns with and without knowing how.
    """
    who, facts, now = events.Identity("h1", "uuid-h1", "boot-1", 1), Facts(8, 8 * GIB, 100 * GIB), world().now()
    mind = Mind([], who, facts)
    journal: list[dict[str, Any]] = []
    coming: list[events.Event] = [events.Connected()]
    for line in data.split(b"\n"):
        with suppress(ValueError, RecursionError):
            coming.append(events.Heard(msgspec.json.decode(line, type=agents.ControllerMessage)))
    while coming:
        steps = mind.step(coming.pop(0), now)
        journal += steps.journal
        for message in steps.messages:
            msgspec.json.decode(msgspec.json.encode(message), type=agents.AgentMessage)
        for call in steps.calls:
            json.dumps(call.args, default=msgspec.to_builtins)
            coming.append(events.Called(call.id, ("failed", "unknown")[call.id % 2], None, "not here"))
        assert len(coming) < 1000, "an agent that never comes to rest"
    Mind(json.loads(json.dumps(journal)), who, facts)


class Target(NamedTuple):
    """``words`` is what its inputs are made of, for whoever makes some up; ``json``: each line is a JSON object."""

    run: Callable[[bytes], None]
    words: tuple[str, ...]
    json: bool = False


TARGETS = {
    "values": Target(values, words.VALUES),
    "operands": Target(operands, words.OPERANDS, json=True),
    "rack": Target(rack, words.RACK, json=True),
    "answer": Target(answer, words.REPLY, json=True),
    "settings": Target(settings, words.SETTINGS),
    "image": Target(image, words.IMAGE),
    "domain": Target(domain, words.DOMAIN),
    "request": Target(request, words.REQUEST, json=True),
    "report": Target(report, words.REPORT, json=True),
    "order": Target(order, words.ORDER, json=True),
    "metal_report": Target(zoni.metal_report, words.METAL_REPORT, json=True),
    "stream": Target(stream.words, words.STREAM, json=True),
    "metal_order": Target(zoni.metal_order, words.METAL_ORDER, json=True),
}
