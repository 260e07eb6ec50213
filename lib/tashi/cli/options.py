"""The options that commands have in common: each is told once here, and a command's kind says which it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from tashi.cli.complete import complete_fields


def size(text: str) -> int:
    """A click type: bytes, as `tashi.model.units` reads them."""
    from tashi.model.units import parse_size

    try:
        return parse_size(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def span(text: str) -> float:
    """A click type: seconds, as `tashi.model.units` reads them."""
    from tashi.model.units import parse_seconds

    try:
        return parse_seconds(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


class Attached(click.Option):
    """An option whose value may be left out; when there is one it follows an equals sign and is never the next word."""


# name: (how it is written, what click must know)
_OPTIONS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "json": (("-j", "--json"), {"is_flag": True, "help": "Print one JSON object a line."}),
    "bare": (("-H", "--no-header"), {"is_flag": True, "help": "Print no header, TAB between fields, exact numbers."}),
    "fields": (
        ("-o", "--fields"),
        {"default": "", "metavar": "A,B,+C", "help": "Print these fields; +C adds one; help lists them."},
    ),
    "one": (("-1", "--one"), {"is_flag": True, "help": "Exactly one must match, else print nothing and end with 1."}),
    "null": (("-0", "--null"), {"is_flag": True, "help": "Names read from - end with NUL, not newline."}),
    "nulls": (
        ("-0", "--null"),
        {"is_flag": True, "help": "What is read from - and printed ends with NUL, not newline; prints names."},
    ),
    "quiet": (("-q", "--quiet"), {"is_flag": True, "help": "Print no records."}),
    "dry_run": (("-n", "--dry-run"), {"is_flag": True, "help": "Change nothing, print what would be."}),
    "yes": (("-y", "--yes"), {"is_flag": True, "help": "Don't ask, not even on a terminal."}),
    "submit": (("--submit",), {"is_flag": True, "help": "Don't wait: print the operation's id at once."}),
    "timeout": (
        ("--timeout",),
        {"type": span, "help": "Wait no longer than this (90, 30s, 5m), then end with 75; what was begun goes on."},
    ),
    "patience": (
        ("--timeout",),
        {"type": span, "help": "Bear the controller's silence no longer than this (0.5, 5s)."},
    ),
    "while": (("--timeout",), {"type": span, "help": "With -f: end after this long (90, 30s, 5m)."}),
    "reason": (("--reason",), {"default": "", "metavar": "TEXT", "help": "Why, for the history."}),
    "controller": (
        ("--controller",),
        {"default": "", "metavar": "ADDR,...", "help": "Ask there: ipc:///DIR or tcp://HOST:PORT."},
    ),
    "config": (
        ("--config",),
        {"default": None, "type": click.Path(), "metavar": "FILE", "help": "Read FILE instead of tashi.toml."},
    ),
}

_OUTPUT = ("json", "bare", "fields")
_REACH = ("controller", "config")
KINDS: dict[str, tuple[str, ...]] = {
    "listing": (*_OUTPUT, "one", "nulls", "patience", *_REACH),
    "showing": (*_OUTPUT, "null", "patience", *_REACH),
    "watching": (*_OUTPUT, "null", "while", *_REACH),
    "waiting": (*_OUTPUT, "null", "quiet", "timeout", *_REACH),
    "changing": (*_OUTPUT, "null", "quiet", "dry_run", "submit", "timeout", "reason", *_REACH),
    "destroying": (*_OUTPUT, "null", "quiet", "dry_run", "yes", "submit", "timeout", "reason", *_REACH),
    "telling": (*_OUTPUT, "patience", *_REACH),
    "alone": (),
}


def options(kind: str, noun: str) -> list[click.Option]:
    """Fresh options for a command of this kind. Those of one kind are read into `Call.common` by name."""
    made = []
    for name in KINDS[kind]:
        flags, settings = _OPTIONS[name]
        if name == "fields":
            settings = settings | {"shell_complete": complete_fields(noun), "is_eager": True, "callback": _help(noun)}
        made.append(click.Option([_NAMES.get(name, name), *flags], **settings))
    return made


def _help(noun: str) -> Callable[[click.Context, click.Parameter, str], str]:
    """-o help prints what -o takes, key and meaning, and ends the command whatever else was typed."""

    def callback(context: click.Context, parameter: click.Parameter, value: str) -> str:
        if value == "help":
            from tashi.cli.table import fields_of

            click.echo("".join(f"{field.key:<22}{field.doc}\n" for field in fields_of(noun)), nl=False)
            context.exit()
        return value

    return callback


# Those of one name differ in their help alone.
_NAMES = {"nulls": "null", "patience": "timeout", "while": "timeout"}


def attach(args: list[str], params: list[click.Parameter]) -> list[str]:
    """The words as typed, ``--hold`` made ``--hold=`` for every `Attached`: an empty value is one left out."""
    alone = {flag for param in params if isinstance(param, Attached) for flag in param.opts}
    end = args.index("--") if "--" in args else len(args)
    return [f"{word}=" if word in alone else word for word in args[:end]] + args[end:]


def pairs(option: str, words: tuple[str, ...]) -> dict[str, str]:
    """``key=value`` words as a mapping. Raises click.UsageError for one without an equals sign."""
    for word in words:
        if not word.partition("=")[0] or "=" not in word:
            raise click.UsageError(f"{option} {word}: not KEY=VALUE")
    return dict(word.split("=", 1) for word in words)


def below_pool(pool: str, path: str) -> str:
    """A file in the shared pool as the controller names it: relative to the pool.

    An absolute path must begin with the pool's own as tashi.toml here has it; raises click.UsageError otherwise.
    """
    if not path.startswith("/"):
        return path
    folder = pool.rstrip("/") + "/"
    if not path.startswith(folder):
        raise click.UsageError(f"{path}: not in the shared pool, which is {pool} here")
    return path[len(folder) :]
