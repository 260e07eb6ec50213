"""The manual says what is so: options, fields, settings, messages and tables, compared with where they come from."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
import tomllib
from enum import StrEnum
from functools import cache
from typing import Any

import msgspec
import pytest

from tashi.cli.table import PLAN, fields_of
from tashi.config import CHOICES, RANGES, Config, parse
from tashi.core import life
from tashi.core.verbs import VERBS
from tashi.model.fields import FIELDS, Field
from tashi.model.metrics import METRICS
from tashi.sim import deeds, scene, sentence
from tashi.wire import agents, bounds, domains, errors, messages, metal, placing, switching, vlans
from tashi.wire import zoni as metal_agents
from tashid.driver import interface as hypervisor
from tests.house.tree import HERE, ROOT, commands
from zoni.power import calls, pdu
from zoni.power import interface as power
from zoni.switch import calls as switch_calls
from zoni.switch import interface as switch
from zoni.switch import models

Options = dict[str, bool]  # as typed -> whether a value follows

# Asks each command itself, all in one process: what -h prints comes from the same place.
ASK = """
import json, sys, click
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader

def options(command, parent=None):
    found, context = {}, click.Context(command, parent, **command.context_settings)
    for each in command.get_params(context):
        if isinstance(each, click.Option):
            found.update((word, not each.is_flag) for word in each.opts)
    for verb in getattr(command, "commands", {}).values():
        found.update(options(verb, context))
    return found

sys.dont_write_bytecode = True
told = {}
for path in sys.argv[1:]:
    loader = SourceFileLoader("command", path)
    module = module_from_spec(spec_from_loader("command", loader))
    loader.exec_module(module)
    if isinstance(module.main, click.Command):
        told[path] = options(module.main)
print(json.dumps(told))
"""
TYPES = {"text": "string", "size": "integer", "count": "integer", "seconds": "number", "hours": "number"}
TYPES |= {"list": "array", "map": "object", "flag": "boolean", "number": "number"}


# -- reading a page ----------------------------------------------------------------------------------------------------
def page(name: str) -> str:
    """The source of a page: ``tashi.7``, or a command's, whatever its section."""
    (found,) = [each for section in "18" if (each := ROOT / f"man/{name}.{section}").exists()] or [ROOT / f"man/{name}"]
    return found.read_text()


def section(text: str, head: str) -> str:
    """What stands below a heading: ``.Sh NAME`` or ``.Ss name``, up to the next one of its rank."""
    rank = "Sh" if head.startswith(".Sh") else "S[hs]"
    found = re.search(rf"^{re.escape(head)}(?![\w.]).*?\n(.*?)(?=^\.{rank} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no {head}"
    return found[1]


def items(text: str) -> list[tuple[str, str]]:
    """(head, body) of a list's items; the body is its words, without macros."""
    found = []
    for part in re.split(r"^\.It ", text, flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        body = re.split(r"^\.(?:El|Bl)\b", body, maxsplit=1, flags=re.MULTILINE)[0]
        found.append((plain(head), " ".join(plain(re.sub(r"^\.[A-Z][a-z]+ ?", "", line)) for line in body.split("\n"))))
    return [(head, body.strip()) for head, body in found]


def plain(text: str) -> str:
    return text.replace(r"\(dq", '"').replace(r"\&", "").replace(r"\(ti", "~").replace(r"\e", "\\")


def flags(line: str) -> list[str]:
    """Options that a macro line names: ``Fl j | H`` and ``Fl 01`` are several."""
    found = []
    for group in re.findall(r"\bFl ((?:(?![A-Z][a-z]\b)\S+ ?)+)", line):
        for word in group.split():
            if word.startswith("-"):
                found.append(f"-{word}")
            elif word.isalnum():
                found += [f"-{letter}" for letter in word]
    return found


# -- commands ----------------------------------------------------------------------------------------------------------
@cache
def asked() -> dict[str, Options]:
    """Options of each command, as it says itself."""
    paths = [f"cmd/{name}" for name in commands()]
    words = [sys.executable, "-c", ASK, *paths]
    said = subprocess.run(words, cwd=ROOT, env=HERE, check=True, capture_output=True, text=True, timeout=60).stdout
    found: dict[str, Options] = json.loads(said)
    return {name: found.get(f"cmd/{name}") or helped(name) for name in commands()}


def helped(name: str) -> Options:
    """Options in the -h of a daemon, which is not made by click."""
    words = [sys.executable, f"{ROOT}/cmd/{name}", "-h"]
    said = subprocess.run(words, env=HERE, check=True, capture_output=True, text=True, timeout=60).stdout
    rows = [re.split(r" {2,}", line.strip())[0] for line in said.splitlines() if line.startswith("  -")]
    return {word.split()[0]: " " in word for row in rows for word in row.split(", ")}


@pytest.mark.parametrize("name", commands())
def test_a_page_has_the_options_of_its_command(name: str) -> None:
    written: Options = {}
    for line in re.findall(r"^\.It (Fl .*)", page(name), re.MULTILINE):
        for part in line.split(" , "):
            written |= dict.fromkeys(flags(part), False)
        written |= dict.fromkeys([each for part in line.split(" , ") if "Ar" in part for each in flags(part)], True)
    said = asked()[name]
    assert written.keys() == said.keys()
    assert {each for each in said if each.startswith("--") and said[each]} == {
        each for each in written if each.startswith("--") and written[each]
    }


@pytest.mark.parametrize("name", commands())
def test_a_synopsis_names_every_option(name: str) -> None:
    named = {flag for line in section(page(name), ".Sh SYNOPSIS").splitlines() for flag in flags(line)}
    shown = section(page(name), ".Sh DESCRIPTION") + section(page(name), ".Sh EXIT STATUS")
    for line in re.findall(r"^\.It (Fl .*)", shown, re.MULTILINE):
        pairs = flags(line)
        assert named & set(pairs) or "-h" in pairs, line


@pytest.mark.parametrize("name", commands())
def test_tashi_7_says_of_a_command_what_its_page_says(name: str) -> None:
    said = re.search(r"^\.Nd (.*)", page(name), re.MULTILINE)
    assert said
    assert re.search(rf"^\.It Xr {name} [18]\n{re.escape(said[1])}\n", page("tashi.7"), re.MULTILINE)


# -- tables ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", life.TABLES)
def test_life_cycles_are_drawn_as_they_are(kind: str) -> None:
    assert f"\n.Bd -literal\n{life.draw(kind)}.Ed\n" in page("tashi.7")


NOUNS: dict[str, tuple[Field, ...]] = FIELDS | {
    "event": fields_of("event"),
    "status": fields_of("status"),
    "history": fields_of("history"),
    "why": fields_of("why"),
    "wiring": fields_of("wiring"),
    "port": fields_of("port"),
    "vlan": fields_of("vlan"),
    "planned": fields_of("planned"),
    "probe": fields_of("probe"),
    "verdict": fields_of("verdict"),
    "decision": fields_of("decision"),
    "slots": fields_of("slots"),
    "usage": fields_of("usage"),
    "loss": fields_of("loss"),
    "displaced": fields_of("displaced"),
    "move": fields_of("move"),
    "reboot": fields_of("reboot"),
    "plan": PLAN,
}


@pytest.mark.parametrize("noun", NOUNS)
def test_every_field_is_written_about(noun: str) -> None:
    written = items(section(page("tashi-json.5"), f".Ss {noun}"))
    assert written == [(f"Va {each.key} Pq {TYPES[each.kind]}", each.doc) for each in NOUNS[noun]]


LISTS = {"difference": "divergence", "finding": "check"}  # of what is no record


@pytest.mark.parametrize("noun", FIELDS)
def test_a_list_shows_what_its_page_says(noun: str) -> None:
    nouns = {"vm": "tvm", "host": "thost", "image": "timg", "user": "tuser", "job": "tjob", "machine": "zoni"}
    people = {"group": "tuser-groups", "key": "tuser-keys", "pdu": "zoni-pdu", "switch": "zoni-switch"}
    people |= {"domain": "zoni-domain", "reservation": "zoni-reservations"}
    people["zoniagent"] = "zoni-agents"
    name = people.get(noun) or (f"{nouns[noun]}-list" if noun in nouns else f"tashi-{LISTS[noun]}")
    heads = [head for head, _ in items(section(page(name), ".Sh OUTPUT FIELDS"))]
    written = [key for head in heads for key in head.removeprefix("Va ").split(" , ")]
    assert written == [each.key for each in FIELDS[noun] if each.shown]


def test_every_metric_is_written_about() -> None:
    written = items(section(page("tashi-metrics"), ".Sh OUTPUT FIELDS"))
    labels = {each.name: f" Pq {', '.join(each.labels)}" if each.labels else "" for each in METRICS}
    assert written == [(f"Va {each.name}{labels[each.name]}", each.doc) for each in METRICS]


def test_every_error_is_written_about() -> None:
    rows = re.findall(r"^\.It Cm (\S+) Ta (\d+) Ta (yes|no) Ta \S", page("tashi-json.5"), re.MULTILINE)
    assert rows == [
        (code.value, str(status), "yes" if retry else "no") for code, (status, retry) in errors.TABLE.items()
    ]


# -- settings ----------------------------------------------------------------------------------------------------------
def settings() -> dict[tuple[str, str], tuple[str, str]]:
    """(section, key) -> (what is written as its default, what is said of it)."""
    found = {}
    text = section(page("tashi.toml.5"), ".Sh DESCRIPTION")
    for name in re.findall(r"^\.Ss \[([a-z.]+)\]", text, re.MULTILINE):
        for head, body in items(section(text, f".Ss [{name}]")):
            key, _, value = head.removeprefix("Va ").partition(" = ")
            found[name, key] = (value, body)
    return found


def test_every_setting_is_written_about_with_its_default() -> None:
    written = settings()
    document: dict[str, Any] = {}
    for (name, key), (value, _) in written.items():
        place = document
        for part in name.split("."):
            place = place.setdefault(part, {})
        place[key] = tomllib.loads(f"x = {value}")["x"]
    assert parse(document, "")._asdict() == Config()._asdict()
    sections = {name: each for name, each in Config()._asdict().items() if hasattr(each, "_fields")}
    sections["placement.weights"] = Config().placement.weights
    sections["network.default"] = Config().networks["default"]
    assert set(written) == {
        (name, key) for name, each in sections.items() for key in each._fields if f"{name}.{key}" not in sections
    }


def test_what_a_setting_may_be_is_written() -> None:
    written = settings()
    for where, (low, high) in RANGES.items():
        assert f"{low:g} to {high:g}" in written[where][1], where
    for where, words in CHOICES.items():
        assert set(words) <= set(re.findall(r"\w+", written[where][1])), where


# -- interfaces --------------------------------------------------------------------------------------------------------
INTERFACES: dict[tuple[str, str], tuple[type, type[StrEnum]]] = {
    ("tashi-driver.7", ""): (hypervisor.Driver, hypervisor.Capability),
    ("zoni-driver.7", ""): (power.Driver, power.Capability),
    ("zoni-driver.7", " of a switch driver"): (switch.Driver, switch.Capability),
}


def test_every_message_is_written_about() -> None:
    own = [
        each
        for module in (messages, placing, metal, domains, switching, vlans, agents, metal_agents)
        for each in vars(module).values()
        if getattr(each, "__module__", "") == module.__name__
    ]
    structs = [each for each in own if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    names = [each.__name__ for each in structs if each not in (bounds.Strict, bounds.Open, bounds.Alive)]
    assert len(names) > 30
    assert [head for head, _ in items(section(page("tashi-wire.7"), ".Sh MESSAGES"))] == [
        f"Vt {name}" for name in names
    ]


def test_every_verb_is_written_about() -> None:
    rows = re.findall(r"^\.It Cm (\S+) Ta (\S+) Ta (\S+)$", page("tashi-wire.7"), re.MULTILINE)
    assert rows == [(name, verb.body.__name__, verb.role) for name, verb in VERBS.items()]


@pytest.mark.parametrize(("name", "whose"), INTERFACES)
def test_every_call_of_a_driver_is_written_about(name: str, whose: str) -> None:
    text, (interface, capabilities) = page(name), INTERFACES[name, whose]
    own = {name: each for name, each in vars(interface).items() if inspect.isfunction(each) and name[0] != "_"}
    expected = [" ".join(["Fn", name, *list(inspect.signature(each).parameters)[1:]]) for name, each in own.items()]
    assert [head for head, _ in items(section(text, f".Ss Calls{whose}"))] == expected
    assert [head for head, _ in items(section(text, f".Ss Capabilities{whose}"))] == [
        f"Cm {each.value}" for each in capabilities
    ]


@pytest.mark.parametrize(
    ("where", "verbs"), [("Power", calls.CALLS), ("Changes of a switch", switch_calls.CALLS)]
)  # fmt: skip
def test_every_verb_of_a_worker_is_written_about(where: str, verbs: dict[str, object]) -> None:
    heads = [head for head, _ in items(section(page("zoni-driver.7"), f".Ss {where}"))]
    assert {verb for head in heads for verb in head.removeprefix("Cm ").split(" , ")} == verbs.keys()


def test_the_table_of_a_pdu_is_written_about() -> None:
    """Its fields, and a model that is read as the driver reads it."""
    text = section(page("zoni-driver.7"), ".Ss Models of PDUs")
    assert [head for head, _ in items(text)] == [f"Va {name}" for name in pdu.Model.__struct_fields__]
    shown = re.search(r"^\.Bd .*?\n(.*?)^\.Ed", text, re.MULTILINE | re.DOTALL)
    assert shown and list(pdu.read_models(shown[1])) == ["strip"]
    own = pdu.read_models((ROOT / "zoni/power/pdu_models.toml").read_text())
    assert all(name in text for name in own)


def test_the_table_of_a_switch_is_written_about() -> None:
    text = section(page("zoni-driver.7"), ".Ss Models of switches")
    assert [head for head, _ in items(text)] == [f"Va {name}" for name in models.Model.__struct_fields__]
    shown = re.search(r"^\.Bd .*?\n(.*?)^\.Ed", text, re.MULTILINE | re.DOTALL)
    assert shown and list(models.read_models(shown[1])) == ["shelf"]
    own = models.read_models((ROOT / "zoni/switch/switch_models.toml").read_text())
    assert all(name in text for name in own)


# -- scenes ------------------------------------------------------------------------------------------------------------
def test_every_line_of_a_scene_is_written_about() -> None:
    text = page("tashi-scene.5")
    lines = items(section(text, ".Ss What there is"))
    assert lines == [(f"Li {each.usage.text}", each.doc) for each in scene.STATEMENTS]
    assert f"Settings are\n.Cm {' , '.join(scene.SETTINGS)} ;" in text


def test_every_sentence_of_a_scene_is_written_about() -> None:
    lines = items(section(page("tashi-scene.5"), ".Ss Sentences"))
    kinds = [(f"Li {name}", kind.doc) for name, kind in sentence.words_kinds().items()]
    assert lines == [(f"Li {each.usage.text}", each.doc) for each in deeds.DEEDS] + kinds
