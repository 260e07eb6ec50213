"""How kinds of switch save: tables, ours beside this file, others in a file of theirs."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from tashi.wire.errors import Code
from zoni.switch.interface import SwitchError

Number = Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)+$")]


class Model(Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of switch; see switch_models.toml."""

    about: str
    save: list[list[tuple[Number, int]]]
    state: Number | None = None
    done: int = 0
    failed: int = 0
    known_by: list[Number] = []


def read_models(text: str) -> dict[str, Model]:
    """The models of a table file. Raises ValueError that names the model and the field."""
    try:
        return msgspec.convert(tomllib.loads(text), type=dict[str, Model])
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


def all_models(file: str, where: str) -> dict[str, Model]:
    """Ours, and those of ``file``. Raises SwitchError."""
    try:
        own = read_models(resources.files("zoni.switch").joinpath("switch_models.toml").read_text())
        return own | (read_models(Path(file).read_text()) if file else {})
    except (OSError, ValueError) as error:
        raise SwitchError(Code.BAD_REQUEST, f"{where}: {file}: {error}") from error


def fitting(models: dict[str, Model], there: Collection[str], system: str) -> tuple[str, ...]:
    """Those that are for a switch with these of their objects, which calls its kind ``system`` (sysObjectID)."""

    def is_known(number: str) -> bool:
        return number in there or f"{system}.".startswith(f"{number}.")

    return tuple(name for name, model in models.items() if any(map(is_known, model.known_by)))


def find_model(name: str, models: dict[str, Model], where: str) -> Model:
    """The model of this name. Raises SwitchError."""
    if name not in models:
        raise SwitchError(Code.NOT_FOUND, f"{where}: no model {name}; there are {', '.join(sorted(models))}")
    return models[name]
