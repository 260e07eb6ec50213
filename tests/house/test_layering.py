"""Imports go one way, the thinking rooms know nothing of the world, and each foreign library has one door."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.house.tree import ROOT, commands, dotted, files, imports, modules, parsed

# Who may import what of ours: the longest matching name rules. A room always may import itself.
DOORS: dict[str, tuple[str, ...]] = {
    "tashi.model": (),
    "tashi.wire": ("tashi.model",),
    "tashi.config": ("tashi.wire", "tashi.model"),
    "tashi.stream": ("tashi.wire", "tashi.model"),
    "tashi.client": ("tashi.config", "tashi.wire", "tashi.run.keys", "tashi.model"),
    "tashi.cli": (
        "tashi.client",
        "tashi.stream",
        "tashi.config",
        "tashi.wire",
        "tashi.model",
        "tashi.run.keys",
        "tashi.run.server_keys",
        "tashi.run.authority",
        "tashi.run.document",
        "tashi.run.files",
    ),
    "tashi.sched": ("tashi.wire.errors", "tashi.model"),
    "tashi.core": ("tashi.sched", "tashi.wire", "tashi.model"),
    "tashi.agent": ("tashi.wire", "tashi.model"),
    "tashi.run": ("tashi.agent", "tashi.config", "tashi.wire", "tashi.model"),
    "tashi.sim": ("tashi",),
    "tashi.lab": ("tashi",),
    "tashid": ("tashi.core", "tashi.agent", "tashi.sched", "tashi.wire", "tashi.run", "tashi.model", "tashi.config"),
    "zoni": ("tashi.agent", "tashi.config", "tashi.wire", "tashi.run", "tashi.model"),
    "cmd": ("tashi.cli", "tashi.client", "tashi.config", "tashi.sched", "tashi.wire", "tashi.run.keys", "tashi.model"),
    "cmd/tashi-sim": ("tashi.cli", "tashi.sim", "tashi.wire", "tashi.model"),
    "cmd/tashi-lab": ("tashi.cli", "tashi.lab", "tashi.wire", "tashi.model"),
    "cmd/tashi-check": ("tashi.cli", "tashid.check"),
    "cmd/tashi-restore": ("tashi.cli", "tashi.config", "tashid.restore"),
    "cmd/tashi-export": ("tashi.cli", "tashi.config", "tashid.exports"),
    "cmd/tashi-import": ("tashi.cli", "tashi.config", "tashid.exports"),
    "cmd/tashi-controller": ("tashid.controller",),
    "cmd/tashi-agent": ("tashid.agent",),
    "cmd/zoni-agent": ("zoni.agent",),
    "cmd/convertz": ("tashi.cli", "zoni.image"),
}
OURS = ("tashi", "tashid", "zoni")

PURE = ("tashi.model", "tashi.core", "tashi.sched", "tashi.agent", "zoni.queue", "zoni.breaker", "zoni.latency")
PURE += ("zoni.power.sol", "zoni.switch.interface", "zoni.switch.steps", "zoni.switch.plan")
CLOCK_AND_CHANCE = {"time", "random", "secrets", "uuid"}
FILES = {"os", "io", "pathlib", "glob", "shutil", "tempfile", "fcntl", "lmdb", "logging", "locale", "sys"}
NETWORK = {"socket", "select", "selectors", "ssl", "zmq", "libvirt"}
THREADS = {"threading", "multiprocessing", "concurrent", "asyncio", "queue", "subprocess", "signal", "resource"}
WORLD = CLOCK_AND_CHANCE | FILES | NETWORK | THREADS | {"ctypes", "platform"}
# Calls that reach the world without an import, or read its clock.
WORLDLY_CALLS = {"open", "input", "print", "exec", "eval", "__import__", "now", "utcnow", "today"}

# Each library and its doors: one for each package that needs it, and for each thing that it is needed for.
DOORS_OF = {
    "libvirt": {"daemon/tashid/driver/libvirt.py", "zoni/power/libvirt.py"},
    "lmdb": {"daemon/tashid/store/lmdb.py"},
    "cryptography": {"lib/tashi/run/authority.py", "lib/tashi/run/vault.py"},
    "pyghmi": {"zoni/power/ipmi.py"},
    "pysnmp": {"zoni/snmp.py"},
    "sushy": {"zoni/power/redfish.py"},
    "requests": {"zoni/power/redfish.py"},
}
# The laboratory's devices: programs that stand on the same libraries' other side.
PEERS = "lib/tashi/lab/peers/"
# What every command loads has to be cheap to load.
LIGHT = ("tashi.model.units", "tashi.model.name", "tashi.model.fields", "tashi.wire.envelope", "tashi.wire.errors")
LIGHT_ROOMS = ("tashi.config", "tashi.client", "tashi.cli", "cmd")
HEAVY = {"msgspec", "asyncio", "logging", "rich", "pydantic", "libvirt", "lxml", "lmdb", "cryptography"}
HEAVY |= {"pyghmi", "pysnmp", "sushy", "requests"}
HEAVY_COMMANDS = {"tashi-controller", "tashi-agent", "zoni-agent", "tashi-sim", "tashi-lab", "convertz"}


def everything() -> list[str]:
    return [*modules(), *(f"cmd/{name}" for name in commands())]


def within(module: str, rooms: tuple[str, ...]) -> bool:
    """Whether a module is one of these rooms or inside one."""
    return any(module == room or module.startswith((f"{room}.", f"{room}/")) for room in rooms)


def called(name: str) -> str:
    return name if name.startswith("cmd/") else dotted(name)


def room_of(module: str) -> str:
    rooms = [room for room in DOORS if within(module, (room,))]
    return max(rooms, key=len, default="")


@pytest.mark.parametrize("name", everything())
def test_imports_go_one_way(name: str) -> None:
    room = room_of(called(name))
    if dotted(name) in OURS:
        assert not list(imports(name)), "a package's own __init__ loads nothing"
        return
    assert room, f"{name} is in no room that this table knows"
    allowed = (room, *DOORS[room])
    wrong = [
        f"{name}:{line}: {what}" for line, what in imports(name) if within(what, OURS) and not within(what, allowed)
    ]
    assert not wrong, f"{room} may import {', '.join(DOORS[room]) or 'nothing of ours'}"


@pytest.mark.parametrize("name", [name for name in modules() if within(dotted(name), PURE)])
def test_the_thinking_rooms_know_nothing_of_the_world(name: str) -> None:
    reached = [f"{name}:{line}: {what}" for line, what in imports(name) if what.split(".")[0] in WORLD]
    assert not reached + list(worldly_calls(name))


def worldly_calls(name: str) -> Iterator[str]:
    for node in ast.walk(parsed(name)):
        if isinstance(node, ast.Call):
            function = node.func
            word = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
            # A method of our own may be called open; a clock is read through an attribute.
            clock = isinstance(function, ast.Attribute) and word in {"now", "utcnow", "today"}
            if clock or (isinstance(function, ast.Name) and word in WORLDLY_CALLS):
                yield f"{name}:{node.lineno}: {word}()"


@pytest.mark.parametrize(("library", "doors"), DOORS_OF.items())
def test_a_foreign_library_has_one_door(library: str, doors: set[str]) -> None:
    used = {name for name in everything() for _, what in imports(name) if what.split(".")[0] == library}
    assert {name for name in used if not name.startswith(PEERS)} == doors


@pytest.mark.parametrize("name", [name for name in everything() if not name.startswith(PEERS)])
def test_nothing_imports_a_peer(name: str) -> None:
    assert not [f"{name}:{line}: {what}" for line, what in imports(name) if within(what, ("tashi.lab.peers",))]


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in everything()
        if within(called(name), (*LIGHT, *LIGHT_ROOMS)) and name.removeprefix("cmd/") not in HEAVY_COMMANDS
    ],
)
def test_what_commands_load_is_light(name: str) -> None:
    assert not [f"{name}:{line}: {what}" for line, what in imports(name, at_start=True) if what.split(".")[0] in HEAVY]


def test_cmd_is_no_package() -> None:
    """A package called cmd would hide the standard library's module, which pdb needs."""
    assert not (ROOT / "cmd/__init__.py").exists()
    assert not [name for name in files() if name.startswith("cmd/") and ("." in name or name.count("/") > 1)]
