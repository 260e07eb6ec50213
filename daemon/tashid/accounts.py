"""Names of uids, from the accounts of this machine: asked for outside of the loop, remembered, and never guessed.

Theory. `/etc/passwd` is a local file and is read here and now, so root, the controller and whoever else is in it are
known at any time. For others the system's directory of users is asked (nsswitch.conf(5)). That may be a server that
takes seconds or never answers, so a child asks it (see `tashid.passwd`), which can be killed. Meanwhile the messages of
that uid are held, and nobody else's. A name is good for a quarter of an hour; after that it is used on and asked for
again, and after twice that time it has to be confirmed first. Should the directory not answer then, the name still
stands for what a user may do; what an operator changes is refused (`Principal.doubt`): silence gives nobody more.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial

from tashi.model.units import format_seconds
from tashi.run.log import Log
from tashi.run.loop import Loop, Timer
from tashi.run.workers import Outcome, Pool
from tashi.wire.errors import Unavailable
from tashid.incoming import Incoming
from tashid.passwd import in_file, look_up
from tashid.principal import Named

LOOK_SECONDS = 3.0  # for an answer; a command gives up on a controller that is silent for longer
FRESH_SECONDS, KEPT_SECONDS = 900.0, 1800.0  # used as it is; used while it is asked for again
NOBODY_SECONDS = 60.0  # that a uid is no account is asked for again sooner: somebody may just be making one
AGAIN_SECONDS = 60.0  # after no answer, for a name that is known
NAMES_KEPT = 1000
CHILDREN = 4
HELD_EACH, HELD_BYTES = 1000, 4 * 2**20  # messages of one uid whose name is asked for
SILENT = "the directory of users does not answer"
WORKER = (sys.executable, "-P", "-m", "tashid.passwd")


class _Known:
    """A name, and when (monotonic seconds) it was confirmed last, and was last asked for in vain."""

    __slots__ = ("at", "failed_at", "fresh", "name")

    def __init__(self, name: str, at: float, fresh: float) -> None:
        self.name, self.at, self.fresh, self.failed_at = name, at, fresh, float("-inf")


class _Held:
    """What waits for one name, and until when it does."""

    def __init__(self, timer: Timer) -> None:
        self.timer, self.bytes = timer, 0
        self.messages: list[Incoming] = []


class Accounts:
    """``wake`` is called, from the loop, when `released` has something to say."""

    def __init__(self, loop: Loop, log: Log, wake: Callable[[], None], worker: Sequence[str] = WORKER) -> None:
        self._loop, self._log, self._wake = loop, log, wake
        self._ours = _ours()
        self._pool = Pool(loop, worker, CHILDREN)
        self._known: dict[int, _Known] = {}
        self._asking: set[int] = set()
        self._held: dict[int, _Held] = {}
        self._released: deque[tuple[Incoming, str]] = deque()
        self._silent = False

    def named(self, uid: int) -> Named | None:
        """What a uid is called; None while that is asked for."""
        if uid in self._ours:
            return Named(self._ours[uid])
        now = self._loop.now()
        known = self._known.get(uid)
        if known is not None and now - known.at <= known.fresh:
            return Named(known.name)
        local = in_file(uid)
        if local:
            return Named(self._remember(uid, local).name)
        failed = known is not None and now - known.failed_at <= AGAIN_SECONDS
        if not failed:
            self._ask(uid)
        if known is None or (now - known.at > KEPT_SECONDS and not failed):
            return None
        if now - known.at <= KEPT_SECONDS:
            return Named(known.name)
        return Named(known.name, f"{SILENT}; it was last asked who you are {format_seconds(now - known.at)} ago")

    def called(self, uid: int) -> str:
        """The account's name, if it has one and that is known at once."""
        named = self.named(uid)
        return "" if named is None or named.name == f"uid:{uid}" else named.name

    def hold(self, message: Incoming) -> None:
        """Keep the message of somebody without a name until there is one. Raises Unavailable for too many."""
        uid, size = message.peer.uid, len(message.payload or b"")
        held = self._held.get(uid)
        if held is None:
            held = self._held[uid] = _Held(self._loop.after(LOOK_SECONDS, lambda: self._late(uid)))
        if len(held.messages) >= HELD_EACH or held.bytes + size > HELD_BYTES:
            raise Unavailable(f"uid {uid}: {SILENT} yet, and too much waits for it")
        held.messages.append(message)
        held.bytes += size

    def released(self, refuse: Callable[[Incoming, Unavailable], None]) -> Iterator[Incoming]:
        """What need not wait any more, in the order in which it came. Whose sender has no name is refused."""
        while self._released:
            message, why = self._released.popleft()
            if why:
                hint = f"getent passwd {message.peer.uid} on the controller's machine tells whether it does"
                refuse(message, Unavailable(why, hint))
            else:
                yield message

    @property
    def news(self) -> bool:
        return bool(self._released)

    def close(self) -> None:
        """Kill the children."""
        self._pool.close()

    def _ask(self, uid: int) -> None:
        if uid not in self._asking:
            self._asking.add(uid)
            self._pool.call("name", {"uid": uid}, LOOK_SECONDS, partial(self._answered, uid))

    def _answered(self, uid: int, outcome: Outcome) -> None:
        self._asking.discard(uid)
        if outcome.outcome == "ok":
            if self._silent:
                self._log.notice("the directory of users answers again")
            self._silent = False
            self._remember(uid, outcome.value)
            self._release(uid, "")
            return
        if not self._silent:
            self._log.warning(SILENT, uid=uid, why=outcome.text)
        self._silent = True
        self._late(uid)

    def _late(self, uid: int) -> None:
        """No answer in time. Who has an old name goes on with that."""
        known = self._known.get(uid)
        if known is not None:
            known.failed_at = self._loop.now()
        self._release(uid, "" if known is not None else f"uid {uid}: {SILENT}")

    def _release(self, uid: int, why: str) -> None:
        held = self._held.pop(uid, None)
        if held is not None:
            held.timer.cancel()
            self._released.extend((message, why) for message in held.messages)
            self._wake()

    def _remember(self, uid: int, name: str | None) -> _Known:
        self._known.pop(uid, None)
        if len(self._known) >= NAMES_KEPT:
            del self._known[next(iter(self._known))]  # the one that was confirmed longest ago
        fresh = NOBODY_SECONDS if name is None else FRESH_SECONDS
        known = self._known[uid] = _Known(name or f"uid:{uid}", self._loop.now(), fresh)
        return known


def _ours() -> dict[int, str]:
    """Root and whoever the controller runs as: they may do everything at any time, whatever becomes of a directory.

    Only where the controller's own account is in no file, the directory is asked for it, before anything is served.
    """
    own = os.geteuid()
    name = in_file(own)
    if not name:
        with suppress(OSError):
            name = look_up(own) or ""
    return {own: name or f"uid:{own}", 0: in_file(0) or "root"}
