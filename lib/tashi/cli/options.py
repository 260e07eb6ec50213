"""The options that commands have in common: each is told once here, and a command's kind says which it has."""

from __future__ import annotations

from typing import Any

import click

from tashi.cli.complete import Printed, complete_fields
from tashi.wire.address import why_not_an_address


def size(text: str) -> int:
    """A click type: bytes, as `tashi.model.units` reads them."""
    from tashi.model.units import parse_size

    try:
        return parse_size(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


class Whole(click.IntRange):
    """A click type: a whole number in digits 0 to 9, where int() takes those of every script, and underscores."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number. Raises click.BadParameter for one in other digits, or out of range."""
        if isinstance(value, str) and not (value.isascii() and value.removeprefix("-").isdigit()):
            self.fail(f"{value[:40]!r} is not a whole number", param, ctx)
        return super().convert(value, param, ctx)


def span(text: str) -> float:
    """A click type: seconds, as `tashi.model.units` reads them."""
    from tashi.model.units import parse_seconds

    try:
        return parse_seconds(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def lasting(text: str) -> float:
    """A click type: seconds, and more than none."""
    seconds = span(text)
    if not seconds:
        raise click.BadParameter(f"{text!r} is no time at all")
    return seconds


def day(text: str) -> int:
    """A click type: when a day or a month begins, in seconds since 1970."""
    from tashi.model.units import parse_day

    try:
        return parse_day(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def instant(text: str) -> float:
    """A click type: seconds since 1970, of a day or a minute of it in UTC, or of a time from now."""
    import time

    from tashi.model.units import parse_day, parse_minute, parse_seconds

    try:
        if "T" in text:
            return float(parse_minute(text))
        return float(parse_day(text)) if "-" in text else time.time() + parse_seconds(text)
    except ValueError:
        raise click.BadParameter(f"{text[:40]!r} is no time: write 2026-12-24, 2026-12-24T18:00 or 8h") from None


def vlans(text: str) -> tuple[int, ...]:
    """A click type: numbers of VLANs, as `tashi.model.vlan` reads them."""
    from tashi.model.vlan import parse_vlans

    try:
        return parse_vlans(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def vlan_set(text: str) -> tuple[int, ...]:
    """The same, also of VLANs that no domain may have. Raises click.UsageError."""
    from tashi.model.vlan import check_number, parse_vlans

    try:
        return parse_vlans(text, check_number)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def addresses(text: str) -> tuple[str, ...]:
    """A click type: where controllers are, comma separated."""
    found = tuple(part.strip() for part in text.split(","))
    for each in found:
        why = why_not_an_address(each)
        if why:
            raise click.BadParameter(why)
    return found


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
        {
            "type": lasting,
            "metavar": "SPAN",
            "help": "Wait no longer than this (90, 30s, 5m), then end with 75; what was begun goes on.",
        },
    ),
    "patience": (
        ("--timeout",),
        {"type": lasting, "metavar": "SPAN", "help": "Bear the controller's silence no longer than this (0.5, 5s)."},
    ),
    "while": (
        ("--timeout",),
        {"type": lasting, "metavar": "SPAN", "help": "With -f: end after this long (90, 30s, 5m)."},
    ),
    "owner": (
        ("--owner",),
        {"default": "", "metavar": "NAME", "help": "Administrators: act for this user; what is made is theirs."},
    ),
    "reason": (("--reason",), {"default": "", "metavar": "TEXT", "help": "Why, for the history."}),
    "controller": (
        ("--controller",),
        {
            "default": None,
            "type": addresses,
            "metavar": "ADDR,...",
            "help": "Ask there: ipc:///DIR or tcp://HOST:PORT.",
        },
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
    "planning": (*_OUTPUT, "quiet", "dry_run", "timeout", "reason", *_REACH),
    "attending": ("quiet", "dry_run", "reason", *_REACH),
    "telling": (*_OUTPUT, "patience", *_REACH),
    "exporting": ("patience", *_REACH),
    "alone": (),
}


def options(kind: str, noun: str, prints: Printed) -> list[click.Option]:
    """Fresh options for a command of this kind. Those of one kind are read into `Call.common` by name."""
    made = []
    owned = ("owner",) if noun == "vm" and "reason" in KINDS[kind] else ()
    for name in (*KINDS[kind], *owned):
        flags, settings = _OPTIONS[name]
        if name == "fields":
            settings = settings | {"shell_complete": complete_fields(prints)}
        made.append(click.Option([_NAMES.get(name, name), *flags], **settings))
    return made


def printed(noun: str) -> Printed:
    """What most commands print: records of their noun, or as the options say a plan or operations."""
    return lambda typed: "plan" if typed.get("dry_run") else "job" if typed.get("submit") else noun


# Those of one name differ in their help alone.
_NAMES = {"nulls": "null", "patience": "timeout", "while": "timeout"}


def attach(args: list[str], params: list[click.Parameter]) -> list[str]:
    """The words as typed, ``--hold`` made ``--hold=`` for every `Attached`: an empty value is one left out."""
    alone = {flag for param in params if isinstance(param, Attached) for flag in param.opts}
    end = args.index("--") if "--" in args else len(args)
    return [f"{word}=" if word in alone else word for word in args[:end]] + args[end:]


def pairs(option: str, words: tuple[str, ...]) -> dict[str, str]:
    """``key=value`` words as a mapping. Raises click.UsageError for one without an equals sign, and for two values."""
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise click.UsageError(f"{option} {word}: not KEY=VALUE")
        if found.setdefault(key, value) != value:
            raise click.UsageError(f"{option}: two values for {key}")
    return found


def below_pool(pool: str, path: str) -> str:
    """A file in the shared pool as the controller names it: relative to the pool.

    An absolute path must begin with the pool's own as tashi.toml here has it; raises click.UsageError otherwise.
    """
    folder = pool.rstrip("/") + "/"
    if path in ("", folder):
        raise click.UsageError(f"{path or 'an empty FILE'}: not the name of a file")
    if not path.startswith("/"):
        return path
    if not path.startswith(folder):
        raise click.UsageError(f"{path}: not in the shared pool, which is {pool} here")
    return path[len(folder) :]
