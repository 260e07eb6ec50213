"""A terminal that is lent to a machine: raw while a console is open, as it was before in whatever way that ends.

Escapes are those of ssh(1) and ipmitool(1): a tilde at the beginning of a line, and what follows it.
"""

from __future__ import annotations

import os
import signal
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

END, BREAK, HELP = "end", "break", "help"
WORDS = {ord("."): END, ord("B"): BREAK, ord("?"): HELP}
TILDE = ord("~")
LINE_ENDS = b"\r\n"
HELP_TEXT = (
    "At the beginning of a line:\r\n  ~.  end the console\r\n  ~B  send a break\r\n  ~?  this\r\n  ~~  a tilde\r\n"
)
KILLERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Signalled(Exception):
    """A signal that is to end the process, once the terminal is as it was."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Escapes:
    """What is typed, told from what is said to us."""

    def __init__(self) -> None:
        self._fresh, self._tilde = True, False

    def feed(self, typed: bytes) -> list[bytes | str]:
        """Bytes for the machine, and words for us, in their order."""
        found: list[bytes | str] = []
        plain = bytearray()
        for byte in typed:
            if self._tilde:
                self._tilde = False
                if byte in WORDS:
                    if plain:
                        found.append(bytes(plain))
                        plain.clear()
                    found.append(WORDS[byte])
                    self._fresh = True
                    continue
                plain.append(TILDE)
                if byte == TILDE:
                    self._fresh = False
                    continue
            elif byte == TILDE and self._fresh:
                self._tilde = True
                continue
            plain.append(byte)
            self._fresh = byte in LINE_ENDS
        return [*found, bytes(plain)] if plain else found


@contextmanager
def lent(handle: int) -> Iterator[bool]:
    """Have the terminal ``handle`` raw meanwhile; whether it is one. Signals that end the process end what is within by

    `Signalled` first, and so does nothing else: who reads our output may go, and we may not die of that before the
    terminal is as it was.
    """
    is_terminal = os.isatty(handle)
    before = termios.tcgetattr(handle) if is_terminal else []

    def signalled(number: int, frame: FrameType | None) -> None:
        raise Signalled(number)

    former = {number: signal.signal(number, signalled) for number in KILLERS}
    former[signal.SIGPIPE] = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    died_of = 0
    try:
        if is_terminal:
            tty.setraw(handle, termios.TCSADRAIN)
        yield is_terminal
    except Signalled as end:
        died_of = end.number
    except BrokenPipeError:
        died_of = signal.SIGPIPE
    finally:
        for number in KILLERS:
            signal.signal(number, signal.SIG_IGN)  # not in the middle of this
        if is_terminal:
            with suppress(termios.error):  # it may be gone
                termios.tcsetattr(handle, termios.TCSADRAIN, before)
        for number, action in former.items():
            signal.signal(number, action)
    if died_of:
        signal.signal(died_of, signal.SIG_DFL)
        os.kill(os.getpid(), died_of)
