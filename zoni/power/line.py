"""The worker of one machine's console: ``python -m zoni.power.line``, no arguments. It carries that and ends.

What is asked for: ``{"path": ..., "force": ...}``.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from tashi.run import child, line
from tashi.wire.errors import Code, TashiError
from zoni.calls import hide
from zoni.power import change
from zoni.power.interface import Capability, Console, PowerError
from zoni.power.open import open_driver
from zoni.power.paths import AnyPath, read_path

WORKER = [sys.executable, "-P", "-m", "zoni.power.line"]
EXCHANGE_SECONDS = 5.0


class Secretive:
    """A console, and the driver that it is part of; nothing that either raises has a secret in it."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._path: AnyPath = read_path(order["path"])
        self._secrets = [secret for access in self._path.accesses() for secret in access.secrets()]
        self._driver = self._hidden(open_driver, self._path, EXCHANGE_SECONDS)
        self._hidden(change.need, self._driver, Capability.CONSOLE)
        self._console: Console = self._hidden(self._driver.console, bool(order["force"]))
        self.note = hide(self._console.note, self._secrets)

    def read(self, seconds: float) -> bytes:
        data: bytes = self._hidden(self._console.read, seconds)
        return data

    def write(self, data: bytes) -> int:
        taken: int = self._hidden(self._console.write, data)
        return taken

    def send_break(self) -> bool:
        sent: bool = self._hidden(self._console.send_break)
        return sent

    def close(self) -> None:
        self._console.close()
        self._driver.close()

    def _hidden(self, call: Any, *args: Any) -> Any:
        try:
            return call(*args)
        except TashiError as error:
            raise PowerError(error.code, hide(error.text, self._secrets), error.hint) from None
        except Exception as error:
            text = f"{self._path.where}: {type(error).__name__}: {error}"
            raise PowerError(Code.UNAVAILABLE, hide(text, self._secrets)) from None


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    line.serve(child.take_channel(), Secretive)
