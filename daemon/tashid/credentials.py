"""The agent's part in certificates: it makes the host's key, asks the controller, keeps what it gets, has it used.

The driver puts what is kept where hypervisors look for it; that is done again at every start, and after a failure until
it works.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from tashi.agent.credential import Own, to_ask, until
from tashi.config import Agent
from tashi.model.shorten import shorten
from tashi.run.log import Log
from tashi.run.loop import Loop
from tashi.run.workers import Outcome
from tashi.wire.agents import Certified, Certify, Pulse
from tashid.credential_files import asking, keep, read_own

AGAIN_SECONDS = 5.0  # between two questions, and between two tries to have it used


def addresses_of(settings: Agent) -> tuple[str, ...]:
    """Where the other hosts' hypervisors reach this one, as their certificate check sees it."""
    if settings.driver == "fake":
        return ()  # all of them are one machine
    named = urlsplit(settings.migrate_uri).hostname if settings.migrate_uri else settings.address
    return (named or socket.gethostname(),)


class Credentials:
    """``ask`` sends to the controller, ``use`` has the driver put what is kept in place."""

    def __init__(
        self,
        loop: Loop,
        settings: Agent,
        log: Log,
        ask: Callable[[Certify], None],
        use: Callable[[Callable[[Outcome], None]], None],
        wall: Callable[[], float],
    ) -> None:
        self._loop, self._log, self._state = loop, log, settings.state
        self._ask, self._use, self._wall = ask, use, wall
        self._addresses = addresses_of(settings)
        self._own = read_own(self._state)
        self._ask_at = 0.0
        self._using = self._again = False
        self.certificate = self.revocation = 0  # numbers of what is in use
        self.trouble = self._failed = ""  # why there is none in use; what went wrong last

    def start(self) -> None:
        """Put in place what there is."""
        if self._own is not None:
            self._have_used()

    def pulse(self, pulse: Pulse) -> None:
        """What the controller says with each heartbeat."""
        wanted = to_ask(self._own, self._addresses, pulse, self._wall())
        if not wanted or self._loop.now() < self._ask_at:
            return
        self._ask_at = self._loop.now() + AGAIN_SECONDS
        if wanted == "list":
            self._ask(Certify())
            return
        fresh = asking(self._state, self._addresses)
        self._ask(Certify(fresh.request, list(fresh.addresses)))

    def hear(self, message: Certified) -> None:
        """The answer."""
        if message.credential is None:
            self._fail(f"no certificate: {message.reason}", shown=self._own is None)
            return
        own = keep(self._state, message.credential, self._wall())
        if own is None:
            self._log.warning("a certificate that was not asked for", number=message.credential.number)
            return
        self._own, self._ask_at = own, 0.0
        self._have_used()

    def _have_used(self) -> None:
        self._again = self._using
        if not self._using:
            self._using = True
            own = self._own
            self._use(lambda outcome: self._used(own, outcome))

    def _used(self, own: Own | None, outcome: Outcome) -> None:
        """It is in place, or not yet."""
        assert own is not None
        self._using = False
        if outcome.outcome != "ok":
            self._fail(f"certificate not in use: {outcome.text}", shown=True)
            self._loop.after(AGAIN_SECONDS, self._have_used)
            return
        self.trouble = self._failed = ""
        given = own.credential
        if (given.number, given.revocation) != (self.certificate, self.revocation):
            note = {"note": outcome.value} if outcome.value else {}
            self._log.notice("certificate", number=given.number, until=until(own), revocation=given.revocation, **note)
        self.certificate, self.revocation = given.number, given.revocation
        if self._again:
            self._have_used()

    def _fail(self, why: str, shown: bool) -> None:
        """It is tried again; the log is told once."""
        if why != self._failed:
            self._log.warning("certificate", why=why, again_seconds=AGAIN_SECONDS)
        self._failed = why
        self.trouble = shorten(why, 200) if shown else self.trouble
