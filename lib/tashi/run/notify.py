"""What a service tells systemd: ready, alive, stopping (sd_notify(3)), without libsystemd.

Outside of systemd every call does nothing.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class Notifier:
    """One daemon's line to its service manager."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        given = os.environ if environment is None else environment
        self._address = given.get("NOTIFY_SOCKET", "")
        self._watchdog_usec = _watchdog(given)

    @property
    def watchdog_seconds(self) -> float:
        """How often `alive` has to be called: half of what the unit allows; 0: nobody waits for it."""
        return self._watchdog_usec / 2e6

    def ready(self, status: str = "") -> None:
        """Start-up is over."""
        self._send(f"READY=1\nSTATUS={status}")

    def alive(self) -> None:
        """The loop still turns."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Shutting down in good order."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        # A leading @ stands for the zero byte of an abstract socket.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
            line.setblocking(False)
            try:
                line.sendto(text.encode(), address)
            except (BlockingIOError, ConnectionError, FileNotFoundError):
                # The manager is restarting or its queue is full; the next watchdog call comes soon.
                return


def _watchdog(environment: Mapping[str, str]) -> int:
    usec, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    ours = not pid or pid == str(os.getpid())
    return int(usec) if ours and usec.isdecimal() else 0
