"""A driver's calls as they travel: each verb, and the shape of its arguments.

The names are those of interface.py. One table; a verb that is not in it does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tashi.model.guest import Guest
from tashid.driver.interface import DriverError


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Arguments of one call. A call without any has this one.

    ``cluster``: whose guests are ours, for a driver's attribute of that name.
    """

    cluster: str = ""


class Vm(Shape, frozen=True):
    vm: str


class VmGeneration(Shape, frozen=True):
    vm: str
    generation: int


class Start(Shape, frozen=True):
    guest: Guest
    generation: int


class Remove(Shape, frozen=True):
    vm: str
    only_if: str = ""
    disks: list[str] = []


class Migrate(Shape, frozen=True):
    guest: Guest
    peer: str
    generation: int


class Image(Shape, frozen=True):
    path: str
    format: str
    kernel: str = ""
    initrd: str = ""


SHAPES: dict[str, type[Shape]] = {
    "facts": Shape,
    "inventory": Shape,
    "look": Vm,
    "start": Start,
    "stop": VmGeneration,
    "remove": Remove,
    "stamp": VmGeneration,
    "press_power_button": Vm,
    "migrate": Migrate,
    "moving": Vm,
    "abort_move": Vm,
    "use_certificate": Shape,
    "inspect_image": Image,
}


def read_args(verb: str, args: Mapping[str, Any]) -> Any:
    """The arguments of a verb of the table, checked. Raises DriverError: nothing was done."""
    try:
        return msgspec.convert(args, type=SHAPES[verb])
    except msgspec.ValidationError as error:
        raise DriverError(f"{verb}: {error}") from error
