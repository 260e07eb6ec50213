"""The power drivers' worker: ``python -m zoni.power.worker``, no arguments.

It serves one call at a time over the channel of tashi.run.child and may be killed at any moment. A call opens its path,
is done, and closes it: a worker belongs to no device, and no session stays open behind a device's back. All that a call
needs comes over the channel, secrets included; none of them leaves again, whatever a library writes into its errors,
and libraries keep no log here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from tashi.run.child import Verb, serve, take_channel
from tashi.run.clock import Clock, RealClock
from zoni.power.calls import CALLS, read_args
from zoni.power.change import pass_time
from zoni.power.interface import Driver, PowerError, Unproven
from zoni.power.open import open_driver
from zoni.power.paths import AnyPath

EXCHANGE_SECONDS = (2.0, 5.0)  # that a device may take for one answer: the call's own time, within these bounds

Open = Callable[[AnyPath, float], Driver]


def verbs(open_path: Open = open_driver, clock: Clock | None = None) -> Mapping[str, Verb]:
    """The table for `serve`: arguments checked, the path opened, the call done, the path closed."""
    passing = clock or RealClock()

    def bind(name: str) -> Verb:
        def run(args: dict[str, Any]) -> object:
            read, (least, most) = read_args(name, args), EXCHANGE_SECONDS
            secrets = [secret for access in read.path.accesses() for secret in access.secrets()]
            try:
                with closing(open_path(read.path, min(max(read.seconds, least), most))) as driver:
                    return pass_time(CALLS[name].call(driver, read, passing), passing)
            except (PowerError, Unproven) as error:
                raise type(error)(error.code, hide(error.text, secrets), error.hint) from None
            except Exception as error:
                raise RuntimeError(hide(f"{read.path.where}: {type(error).__name__}: {error}", secrets)) from None

        return run

    return {name: bind(name) for name in CALLS}


def hide(text: str, secrets: list[str]) -> str:
    """The text without any of the secrets, the longest first."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def main() -> None:
    """Serve until the parent closes the channel."""
    logging.disable(logging.CRITICAL)
    serve(take_channel(), verbs(), (PowerError,))


if __name__ == "__main__":
    main()
