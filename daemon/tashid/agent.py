"""tashi-agent: the wiring of mind, journal, workers, hypervisor events and the line to the controller."""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from collections import deque
from functools import partial
from typing import Any

import msgspec

from tashi.agent.events import (
    Called,
    Connected,
    Disconnected,
    DriverEvent,
    DriverUp,
    Event,
    Heard,
    Identity,
    Now,
    Steps,
)
from tashi.agent.events import Tick as TimePassed
from tashi.agent.greeting import why_unfit
from tashi.agent.lines import learned
from tashi.agent.mind import Mind
from tashi.config import Config
from tashi.model.host import Facts
from tashi.model.shorten import shorten
from tashi.run.events import EventSource
from tashi.run.log import Log
from tashi.run.loop import Loop, Timer
from tashi.run.notify import Notifier
from tashi.run.outbox import Outbox
from tashi.run.workers import Outcome, Pool
from tashi.wire.agents import AgentMessage, Beat, Certified, ControllerMessage, Pulse, Rejected, Welcome
from tashi.wire.errors import Refused, Unavailable
from tashid import start
from tashid.credentials import Credentials, addresses_of
from tashid.driver.interface import DriverError
from tashid.driver.open import open_driver
from tashid.driver.settings import DriverSettings, dump_settings
from tashid.enroll import Enrolled, enroll, enrolled, keep_lines
from tashid.identity import Machine, identity, lock_state
from tashid.link import Link

NAME = "tashi-agent"
FACTS_SECONDS = 100.0  # the accelerator's self-test is in it
AGAIN_SECONDS = 5.0  # between two tries of what has to work before the agent can do anything
USE_SECONDS = 30.0  # for certificates put in place, and libvirtd's reading of them
CHECK_SECONDS = 0.5
PATIENCE_SECONDS, PATIENCE_MAX_SECONDS = 2.0, 10.0  # without a welcome; then another socket
HELLO_SECONDS = 3.0  # without a welcome on a line that is up; then another hello, for the first may be lost
RENEW_BEATS, RENEW_SECONDS = 5, 60.0  # until the controller's newest key is tried, and tried again
COMPACT_LINES = 2000
# A migration's caller waits for hours: it must not stand in the way of calls that take moments.
LONG_CALLS = ("migrate",)

_controller_message = msgspec.json.Decoder(ControllerMessage).decode
_encode = msgspec.json.Encoder().encode


def main(argv: list[str] | None = None) -> int:
    """Parse, run, and return the exit status."""
    parser = start.parser(NAME, "Make this host's guests as the controller wants them, and tell it how they are.")
    wanted = "register this host with the document that thost-add printed (-: standard input), and end"
    parser.add_argument("--enroll", metavar="FILE", help=wanted)
    return start.run(NAME, parser.parse_args(argv), serve)


def serve(config: Config, options: argparse.Namespace, log: Log) -> None:
    """Enrol, or run until told to stop. Raises TashiError or OSError for what keeps it from that."""
    state = config.agent.state
    log.format = config.agent.log_format
    start.raise_file_limit()
    start.private_folder(state)
    lock = lock_state(state)
    try:
        if options.enroll is not None:
            name = enroll(state, options.enroll, addresses_of(config.agent))
            sys.stdout.write(f"{name}: enrolled\n")
            try:
                # At once, for a libvirtd that is told to speak TLS does not start without.
                open_driver(_driver_settings(config, name)).use_certificate()
            except (DriverError, OSError) as error:
                log.warning("the certificate is not in use; the agent tries again", why=error)
            return
        me, who = enrolled(state), identity(state)
        outbox = Outbox(os.path.join(state, "journal"))
        try:
            _Agent(config, me, who, outbox, log).run()
        finally:
            outbox.close()
        log.notice("stopped")
    finally:
        os.close(lock)


def clock() -> Now:
    """The machine's two clocks."""
    return Now(time.monotonic(), time.time())


class _Agent:
    """Everything with a file descriptor, and the mind that tells it what to do."""

    def __init__(self, config: Config, me: Enrolled, who: Machine, outbox: Outbox, log: Log) -> None:
        self._log, self._outbox, self._me = log, outbox, me
        self._identity = Identity(me.host, who.uuid, who.boot_id, who.incarnation)
        self._loop = Loop(Notifier())
        settings = dump_settings(_driver_settings(config, me.host)).decode()
        worker = [sys.executable, "-P", "-m", "tashid.driver.worker", settings]
        self._short = Pool(self._loop, worker, config.agent.workers)
        self._long = Pool(self._loop, worker, config.agent.workers)
        self._events_argv = [sys.executable, "-P", "-m", "tashid.driver.events", settings]
        self._events: EventSource | None = None
        self._link = Link(self._loop, me.lines, me.pair, self._linked, self._hear)
        self._state = config.agent.state
        self._credentials = Credentials(
            self._loop, config.agent, log, self._send, partial(self._short.call, "use_certificate", {}, USE_SECONDS),
            time.time,
        )  # fmt: skip
        self._mind: Mind | None = None
        self._held: deque[Steps] = deque()  # what the mind decided and the journal has not taken yet
        self._journal_trouble = ""
        self._timer: Timer | None = None
        self._welcomed = False
        self._patience = PATIENCE_SECONDS
        self._patient_until = self._hello_at = 0.0
        self._renew_at = float("inf")
        self._compact_at = COMPACT_LINES
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.on_signal(number, self._loop.stop)
        self._loop.on_signal(signal.SIGHUP, lambda: log.notice("SIGHUP: settings are read at a start only"))

    def run(self) -> None:
        try:
            self._ask_facts()
            self._loop.run(f"host {self._me.host}")
        finally:
            for pool in (self._short, self._long):
                pool.close()
            if self._events is not None:
                self._events.close()
            self._link.close()
            self._loop.close()

    # -- before there is a mind ---------------------------------------------------------------------------------------
    def _ask_facts(self) -> None:
        self._short.call("facts", {}, FACTS_SECONDS, self._got_facts)

    def _got_facts(self, outcome: Outcome) -> None:
        if outcome.outcome != "ok":
            self._log.error("can't learn what this host has", why=outcome.text, again_seconds=AGAIN_SECONDS)
            self._loop.after(AGAIN_SECONDS, self._ask_facts)
            return
        facts = msgspec.convert(outcome.value, Facts)
        who = self._identity
        self._mind = Mind(self._outbox.records, who, facts)
        self._log.notice(
            "started", host=who.host, incarnation=who.incarnation, boot=who.boot_id,
            cores=facts.cores, memory_bytes=facts.memory_bytes, accelerator=facts.accelerator,
            journal_lines=self._outbox.lines,
        )  # fmt: skip
        self._events = EventSource(self._loop, self._events_argv, self._happened, self._events_up)
        self._credentials.start()
        self._rebuild()
        self._check()
        self._step(TimePassed())

    # -- the mind's steps ---------------------------------------------------------------------------------------------
    def _step(self, event: Event) -> None:
        assert self._mind is not None
        self._held.append(self._mind.step(event, clock()))
        self._carry_on()
        if self._mind.welcomed != self._welcomed:
            self._welcomed = self._mind.welcomed
            self._log.notice("welcome" if self._welcomed else "without controller", controller=self._link.address)
            self._patience = PATIENCE_SECONDS
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.at(self._mind.next_tick(), lambda: self._step(TimePassed()))

    def _carry_on(self) -> None:
        """Journal, then call, then send. What the journal does not take waits, and so does all that comes after it."""
        while self._held:
            steps = self._held[0]
            if steps.journal:
                try:
                    self._outbox.append(steps.journal)
                except Unavailable as error:
                    self._journal_failed(error)
                    return
            self._held.popleft()
            for call in steps.calls:
                pool = self._long if call.verb in LONG_CALLS else self._short
                pool.call(call.verb, call.args, call.seconds, partial(self._called, call.id, call.verb))
            for message in steps.messages:
                self._send(message)
        if self._journal_trouble:
            self._log.notice("the journal can be written again")
            self._journal_trouble = ""
        if self._outbox.lines >= self._compact_at:
            self._compact()

    def _journal_failed(self, error: Unavailable) -> None:
        """Nothing is done that could be forgotten. That we are alive, and unwell, is said all the same."""
        if error.text != self._journal_trouble:
            self._log.error("can't write the journal: nothing is done until it works", error=error.text)
            self._journal_trouble = error.text
        for message in self._held[-1].messages:
            if isinstance(message, Beat):
                self._send(message)

    def _compact(self) -> None:
        assert self._mind is not None
        records = self._mind.memory.snapshot()
        try:
            self._outbox.rewrite(records)
        except Unavailable as error:
            self._log.warning("can't shorten the journal", error=error.text)
        self._compact_at = max(COMPACT_LINES, 2 * self._outbox.lines)

    def _called(self, number: int, verb: str, outcome: Outcome) -> None:
        if outcome.outcome != "ok":
            self._log.warning("call", verb=verb, outcome=outcome.outcome, why=outcome.text)
        self._step(Called(number, outcome.outcome, outcome.value, outcome.text))

    # -- the controller -----------------------------------------------------------------------------------------------
    def _send(self, message: AgentMessage) -> None:
        if isinstance(message, Beat):
            mine = self._credentials
            message = msgspec.structs.replace(
                message, degraded=message.degraded or self._unwell(),
                certificate=mine.certificate, revocation=mine.revocation,
            )  # fmt: skip
        self._link.send(_encode(message))

    def _unwell(self) -> str:
        stuck = self._short.stuck + self._long.stuck
        if self._journal_trouble:
            return shorten(f"journal: {self._journal_trouble}", 200)
        return f"{stuck} workers hang and can't be killed" if stuck else self._credentials.trouble

    def _hear(self, frame: bytes) -> None:
        try:
            message = _controller_message(frame)
        except (ValueError, RecursionError) as error:
            self._log.warning("the controller said what this agent does not understand", error=error)
            return
        assert self._mind is not None
        if isinstance(message, Welcome) and (why := why_unfit(message, self._mind.memory.cluster)):
            message = Rejected(why)
        if isinstance(message, Rejected):
            self._log.warning("not accepted", controller=self._link.address, reason=message.reason)
            self._hello_at = min(self._hello_at, self._later())
            self._patient_until = self._hello_at + PATIENCE_MAX_SECONDS
        self._step(Heard(message))
        if isinstance(message, Welcome) and self._mind.welcomed:
            self._learn(message)
        newest = self._mind.memory.epoch if self._mind is not None else 0
        if isinstance(message, Pulse | Certified) and message.epoch >= newest:
            self._certificates(message)

    def _learn(self, welcome: Welcome) -> None:
        """Which keys the controller has: kept before they are used. With the newest one it is tried soon."""
        lines = learned(self._link.lines, self._link.line, welcome.keys)
        if lines != self._link.lines:
            try:
                keep_lines(self._state, self._me.host, lines)
            except OSError as error:
                self._log.error("can't keep the controller's keys", error=error)
                return
            self._link.lines = lines
            self._log.notice("keys of the controller", server_keys=" ".join(line.server_key for line in lines))
        beats = random.uniform(0, RENEW_BEATS)  # not all agents at once
        self._renew_at = self._loop.now() + beats * welcome.heartbeat_seconds

    def _certificates(self, message: Pulse | Certified) -> None:
        try:
            if isinstance(message, Pulse):
                self._credentials.pulse(message)
            else:
                self._credentials.hear(message)
        except (OSError, Refused) as error:
            self._log.error("can't keep a certificate", error=error)

    def _linked(self, up: bool) -> None:
        self._patient_until = self._later()
        self._hello_at = self._hello_again() if up else float("inf")
        self._step(Connected() if up else Disconnected())

    def _check(self) -> None:
        """Whether the line still works; if not, another."""
        assert self._mind is not None
        self._loop.after(CHECK_SECONDS, self._check)
        now = clock()
        if self._held:
            self._carry_on()
        if self._mind.deaf(now):
            self._log.warning("the controller is not heard any more", controller=self._link.address)
            self._step(Disconnected())
            self._rebuild()
        elif not self._mind.welcomed and now.monotonic >= self._hello_at:
            self._hello_at = self._hello_again()
            self._step(Connected())
        elif not self._mind.welcomed and now.monotonic >= self._patient_until:
            self._rebuild()
        elif self._mind.welcomed and now.monotonic >= self._renew_at:
            self._renew_at = self._loop.now() + RENEW_SECONDS
            self._link.renew()

    def _rebuild(self) -> None:
        self._hello_at = float("inf")
        self._patient_until = self._later()
        self._link.rebuild()

    def _hello_again(self) -> float:
        return self._loop.now() + HELLO_SECONDS * random.uniform(0.5, 1.5)

    def _later(self) -> float:
        """When to try again: later each time, and never all agents at once."""
        seconds = self._patience * random.uniform(0.5, 1.0)
        self._patience = min(self._patience * 2, PATIENCE_MAX_SECONDS)
        return self._loop.now() + seconds

    # -- the hypervisor -----------------------------------------------------------------------------------------------
    def _happened(self, line: Any) -> None:
        if "connected" in line:
            self._step(DriverUp(bool(line["connected"]), str(line.get("why", ""))))
        else:
            self._step(DriverEvent(str(line["vm"]), str(line.get("event", "")), str(line.get("why", ""))))

    def _events_up(self, up: bool, why: str) -> None:
        if up:
            self._log.info("hypervisor events are heard")
        else:
            self._log.warning("hypervisor events are not heard", why=why)
            self._step(DriverUp(False, f"events: {why}"))


def _driver_settings(config: Config, host: str) -> DriverSettings:
    own = config.agent
    return DriverSettings(
        driver="fake" if own.driver == "fake" else "libvirt",
        uri=own.uri,
        accel="kvm" if own.accel == "kvm" else "tcg" if own.accel == "tcg" else "auto",
        lab=own.lab,
        pool=config.pool.path,
        state=own.state,
        networks={name: network.bridge for name, network in config.networks.items()},
        address=own.address,
        migrate_uri=own.migrate_uri,
        cores=own.cores,
        memory_bytes=own.memory,
        disk_bytes=own.disk,
        host=host,
        world=config.fake.path,
        seconds_start=config.fake.seconds_start,
        seconds_per_gib=config.fake.seconds_per_gib,
    )
