"""tashi-agent: what a VM host's agent has of its own: workers, hypervisor events, and the host's certificate."""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from typing import Any

import msgspec

from tashi.agent.events import Call, Called, DriverEvent, DriverUp, Identity
from tashi.agent.mind import Mind
from tashi.config import Config
from tashi.model.host import Facts
from tashi.run import agent_main
from tashi.run.agent import Agent, Own
from tashi.run.enroll import Enrolled
from tashi.run.events import EventSource
from tashi.run.identity import Machine
from tashi.run.log import Log
from tashi.run.loop import Loop
from tashi.run.notify import Notifier
from tashi.run.outbox import Outbox
from tashi.run.workers import Outcome, Pool, why_stuck
from tashi.wire.agents import Beat, Certified, ControllerMessage, Pulse
from tashi.wire.bounds import Alive
from tashi.wire.errors import Refused
from tashid.credentials import Credentials, addresses_of
from tashid.driver.interface import DriverError
from tashid.driver.open import open_driver
from tashid.driver.settings import DriverSettings, dump_settings
from tashid.enroll import HOST, enroll

FACTS_SECONDS = 100.0  # the accelerator's self-test is in it
AGAIN_SECONDS = 5.0  # between two tries of what has to work before the agent can do anything
USE_SECONDS = 30.0  # for certificates put in place, and libvirtd's reading of them
# A migration's caller waits for hours: it must not stand in the way of calls that take moments.
LONG_CALLS = ("migrate",)

_controller_message = msgspec.json.Decoder(ControllerMessage).decode


def main(argv: list[str] | None = None) -> int:
    """Parse, run, and return the exit status."""
    what = "Make this host's guests as the controller wants them, and tell it how they are."
    return agent_main.main(argv, HOST, what, serve)


def serve(config: Config, options: argparse.Namespace, log: Log) -> None:
    """Enrol, or run until told to stop. Raises TashiError or OSError for what keeps it from that."""

    def register(file: str) -> None:
        name = enroll(config.agent.state, file, addresses_of(config.agent))
        sys.stdout.write(f"{name}: enrolled\n")
        try:
            # At once, for a libvirtd that is told to speak TLS does not start without.
            open_driver(_driver_settings(config, name)).use_certificate()
        except (DriverError, OSError) as error:
            log.warning("the certificate is not in use; the agent tries again", why=error)

    def run(me: Enrolled, who: Machine, outbox: Outbox) -> None:
        _Host(config, me, who, outbox, log).run()

    agent_main.live(config.agent, HOST, log, options.enroll, register, run)


class _Host:
    """The agent, its workers, and what they are for."""

    def __init__(self, config: Config, me: Enrolled, who: Machine, outbox: Outbox, log: Log) -> None:
        self._log, self._outbox = log, outbox
        self._identity = Identity(me.name, who.uuid, who.boot_id, who.incarnation)
        self._loop = Loop(Notifier())
        settings = dump_settings(_driver_settings(config, me.name)).decode()
        worker = [sys.executable, "-P", "-m", "tashid.driver.worker", settings]
        self._short = Pool(self._loop, worker, config.agent.workers)
        self._long = Pool(self._loop, worker, config.agent.workers)
        self._events_argv = [sys.executable, "-P", "-m", "tashid.driver.events", settings]
        self._events: EventSource | None = None
        self._mind: Mind | None = None
        own = Own(_controller_message, self._begin, self._unwell, self._dress, self._heard)
        self._agent = Agent(self._loop, log, outbox, config.agent.state, HOST, me, own)
        self._credentials = Credentials(
            self._loop, config.agent, log, self._agent.send,
            partial(self._short.call, "use_certificate", {}, USE_SECONDS), time.time,
        )  # fmt: skip

    def run(self) -> None:
        try:
            self._ask_facts()
            self._loop.run(f"host {self._identity.name}")
        finally:
            for pool in (self._short, self._long):
                pool.close()
            if self._events is not None:
                self._events.close()
            self._agent.close()
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
            "started", host=who.name, incarnation=who.incarnation, boot=who.boot_id,
            cores=facts.cores, memory_bytes=facts.memory_bytes, accelerator=facts.accelerator,
            journal_lines=self._outbox.lines,
        )  # fmt: skip
        self._events = EventSource(self._loop, self._events_argv, self._happened, self._events_up)
        self._credentials.start()
        self._agent.start(self._mind)

    # -- calls --------------------------------------------------------------------------------------------------------
    def _begin(self, call: Call) -> None:
        pool = self._long if call.verb in LONG_CALLS else self._short
        pool.call(call.verb, call.args, call.seconds, partial(self._called, call.id, call.verb))

    def _called(self, number: int, verb: str, outcome: Outcome) -> None:
        if outcome.outcome != "ok":
            self._log.warning("call", verb=verb, outcome=outcome.outcome, why=outcome.text)
        self._agent.step(Called(number, outcome.outcome, outcome.value, outcome.text))

    # -- the controller -----------------------------------------------------------------------------------------------
    def _dress(self, beat: Alive) -> Alive:
        assert isinstance(beat, Beat)
        mine = self._credentials
        return msgspec.structs.replace(beat, certificate=mine.certificate, revocation=mine.revocation)

    def _unwell(self) -> str:
        return why_stuck(self._short.stuck + self._long.stuck) or self._credentials.trouble

    def _heard(self, message: ControllerMessage) -> None:
        """What is about the host's certificate."""
        newest = self._mind.memory.epoch if self._mind is not None else 0
        if not isinstance(message, Pulse | Certified) or message.epoch < newest:
            return
        try:
            if isinstance(message, Pulse):
                self._credentials.pulse(message)
            else:
                self._credentials.hear(message)
        except (OSError, Refused) as error:
            self._log.error("can't keep a certificate", error=error)

    # -- the hypervisor -----------------------------------------------------------------------------------------------
    def _happened(self, line: Any) -> None:
        if "connected" in line:
            self._agent.step(DriverUp(bool(line["connected"]), str(line.get("why", ""))))
        else:
            self._agent.step(DriverEvent(str(line["vm"]), str(line.get("event", "")), str(line.get("why", ""))))

    def _events_up(self, up: bool, why: str) -> None:
        if up:
            self._log.info("hypervisor events are heard")
        else:
            self._log.warning("hypervisor events are not heard", why=why)
            self._agent.step(DriverUp(False, f"events: {why}"))


def _driver_settings(config: Config, host: str) -> DriverSettings:
    own = config.agent
    return DriverSettings(
        driver="fake" if own.driver == "fake" else "libvirt",
        uri=own.uri,
        accel="kvm" if own.accel == "kvm" else "tcg" if own.accel == "tcg" else "auto",
        max_downtime_seconds=own.max_downtime_seconds,
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
