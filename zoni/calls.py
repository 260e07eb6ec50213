"""A worker's calls to devices: arguments checked, a driver opened for one call, the call done, the driver closed.

A worker belongs to no device, and no session stays open behind a device's back. All that a call needs comes over the
channel, secrets included; none of them leaves again, whatever a library writes into its errors.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from tashi.run import child
from tashi.run.clock import Clock, RealClock
from tashi.wire.errors import Code
from zoni.outcome import DeviceError, Unproven
from zoni.path import Path
from zoni.pauses import Steps, pass_time

SECONDS = 30.0  # for a change, unless it is said
EXCHANGE_SECONDS = (2.0, 5.0)  # that a device may take for one answer: the call's own time, within these bounds

Seconds = Annotated[float, Meta(ge=0, le=3600)]
Open = Callable[[Any, float], Any]


class Verb(NamedTuple):
    """``changes``: what is asked for may happen although the call failed. ``shape`` has ``path`` and ``seconds``."""

    shape: type[Any]
    changes: bool
    call: Callable[[Any, Any, Clock], Steps[object]]


def read_args(calls: Mapping[str, Verb], verb: str, args: Mapping[str, Any]) -> Any:
    """The arguments of a verb of the table, checked. Raises DeviceError: nothing was done, and no value is told."""
    try:
        return msgspec.convert(args, type=calls[verb].shape, str_keys=True)  # as JSON has them
    except msgspec.ValidationError as error:
        raise DeviceError(Code.BAD_REQUEST, f"{verb}: {error}") from error


def bind(calls: Mapping[str, Verb], open_path: Open, clock: Clock | None = None) -> Mapping[str, child.Verb]:
    """The table for `tashi.run.child.serve`."""
    passing = clock or RealClock()

    def bound(name: str) -> child.Verb:
        def run(args: dict[str, Any]) -> object:
            read, (least, most) = read_args(calls, name, args), EXCHANGE_SECONDS
            path: Path = read.path
            secrets = [secret for access in path.accesses() for secret in access.secrets()]
            try:
                with closing(open_path(path, min(max(read.seconds, least), most))) as driver:
                    return pass_time(calls[name].call(driver, read, passing), passing)
            except (DeviceError, Unproven) as error:
                raise type(error)(error.code, hide(error.text, secrets), error.hint) from None
            except Exception as error:
                raise RuntimeError(hide(f"{path.where}: {type(error).__name__}: {error}", secrets)) from None

        return run

    return {name: bound(name) for name in calls}


def hide(text: str, secrets: list[str]) -> str:
    """The text without any of the secrets, the longest first."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def serve(calls: Mapping[str, Verb], open_path: Open) -> None:
    """Serve until the parent closes the channel. Libraries keep no log here."""
    logging.disable(logging.CRITICAL)
    child.serve(child.take_channel(), bind(calls, open_path), (DeviceError,))
