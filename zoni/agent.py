"""zoni-agent: what the agent of a hardware network has of its own: the queues of its devices, and their workers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from tashi.agent.consoles import CONSOLE, CUT
from tashi.agent.events import Call, Called, Identity, Opened
from tashi.agent.metal import Metal
from tashi.config import Config
from tashi.run import agent_main
from tashi.run.agent import Agent, Own
from tashi.run.consoles import Consoles
from tashi.run.document import Document
from tashi.run.enroll import Enrolled, Place, enroll
from tashi.run.identity import Machine
from tashi.run.log import Log
from tashi.run.loop import Loop
from tashi.run.notify import Notifier
from tashi.run.outbox import Outbox
from tashi.run.stream import Port, Ticket, reached_at
from tashi.run.workers import Outcome, why_stuck
from tashi.wire.errors import Code
from tashi.wire.messages import EnrollZoni
from tashi.wire.zoni import MetalOrder
from zoni.caller import Caller
from zoni.path import Path
from zoni.power import calls as power
from zoni.power import line
from zoni.power.paths import read_path
from zoni.queue import Limits
from zoni.switch import calls as switch
from zoni.switch.paths import read_path as read_switch

PLACE = Place("agent", "zoni-agents add", "zoni-agent", "zoniagent.enroll", "agent")
QUIET = ("power", "enroll")  # looks, whose failures the controller is told and the log is not, again and again

_order = msgspec.json.Decoder(MetalOrder).decode


def main(argv: list[str] | None = None) -> int:
    """Parse, run, and return the exit status."""
    what = "Do what the controller wants of physical machines, and tell it how they are."
    return agent_main.main(argv, PLACE, what, serve)


def serve(config: Config, options: argparse.Namespace, log: Log) -> None:
    """Enrol, or run until told to stop. Raises TashiError or OSError for what keeps it from that."""

    def register(file: str) -> None:
        name, _ = enroll(config.zoni.state, file, PLACE, _request)
        sys.stdout.write(f"{name}: enrolled\n")

    def run(me: Enrolled, who: Machine, outbox: Outbox) -> None:
        _Zoni(config, me, who, outbox, log).run()

    agent_main.live(config.zoni, PLACE, log, options.enroll, register, run)


def where(spec: dict[str, Any]) -> str:
    """A power path in words; one that no driver would take by its kind."""
    try:
        return read_path(spec).where
    except ValueError:
        return str(spec.get("driver", "a power path"))


def _request(document: Document, public: str) -> EnrollZoni:
    return EnrollZoni(document.token, document.name, public)


class _Zoni:
    """The agent and its devices."""

    def __init__(self, config: Config, me: Enrolled, who: Machine, outbox: Outbox, log: Log) -> None:
        self._log, own = log, config.zoni
        self._loop = Loop(Notifier())
        limits = Limits(
            in_flight=own.in_flight, late=own.in_flight, rack_changes=own.rack_changes,
            stagger=own.stagger_seconds, rack_stagger=own.rack_stagger_seconds,
        )  # fmt: skip
        self._caller = Caller(self._loop, power.WORKER, power.CALLS, limits)
        self._switches = Caller(
            self._loop, switch.WORKER, switch.CALLS, Limits(in_flight=own.in_flight, late=own.in_flight)
        )
        self._settings: dict[str, Path] = {}  # of switches, at the last call
        who_ = Identity(me.name, who.uuid, who.boot_id, who.incarnation)
        stream = reached_at(own.stream, own.stream_address) if own.stream else ""
        self._port = Port(self._loop, log, own.stream, me.pair) if own.stream else None
        self._consoles = Consoles(self._loop, self._port, line.WORKER) if self._port is not None else None
        self._mind = Metal(outbox.records, who_, where, stream)
        self._agent = Agent(self._loop, log, outbox, own.state, PLACE, me, Own(_order, self._begin, self._unwell))
        log.notice("started", agent=me.name, incarnation=who.incarnation, journal_lines=outbox.lines)

    def run(self) -> None:
        try:
            self._agent.start(self._mind)
            self._loop.run("zoni agent")
        finally:
            self._caller.close()
            self._switches.close()
            if self._consoles is not None and self._port is not None:
                self._port.close()
                self._consoles.close()
            self._agent.close()
            self._loop.close()

    def _unwell(self) -> str:
        return why_stuck(self._caller.stuck + self._switches.stuck)

    def _begin(self, call: Call) -> None:
        args = dict(call.args)
        if call.verb == CUT:
            if self._consoles is not None:
                self._consoles.cut(args["console"], args["code"], args["reason"])
            self._loop.after(0, partial(self._called, call, Outcome("ok")))
            return
        if call.verb == CONSOLE:
            self._open_console(call, args)
            return
        if "switch" in args:
            self._ask(self._switches, call, args, read_switch, args.pop("switch"))
            return
        rack, fresh = args.pop("rack"), args.pop("fresh")
        self._ask(self._caller, call, args, read_path, args.pop("path"), rack, fresh)

    def _open_console(self, call: Call, args: dict[str, Any]) -> None:
        if self._consoles is None:  # it was told of before this agent started anew, without
            self._loop.after(0, partial(self._called, call, Outcome("failed", text="there is no stream port any more")))
            return
        seconds, only = args["ticket_seconds"], args["read_only"]
        ticket = Ticket(args["job"], args["key"], CONSOLE, args["machine"], args["name"], seconds, only)
        order = {"path": args["path"], "force": args["force"]}
        opened = partial(self._agent.step, Opened(call.id))
        self._consoles.begin(call.id, ticket, order, opened, partial(self._called, call))

    def _ask(
        self, caller: Caller, call: Call, args: dict[str, Any], read: Callable[[object], Path], spec: object,
        rack: str = "", fresh: bool | None = None,
    ) -> None:  # fmt: skip
        """Put a call through to the device that ``spec`` leads to.

        ``fresh``: no call was made with these settings yet; of switches, whose calls don't say so, it is seen here.
        """
        try:
            path = read(spec)
        except ValueError as error:
            outcome = Outcome("failed", text=str(error), code=Code.BAD_REQUEST)
            self._loop.after(0, partial(self._called, call, outcome))
            return
        caller.queue.add(path.device, rack)
        if fresh is None:
            fresh = self._settings.get(path.device) != path
            self._settings[path.device] = path
        if fresh:
            caller.queue.trust(path.device)
        caller.ask(path.device, call.verb, path, partial(self._called, call), **args)

    def _called(self, call: Call, outcome: Outcome) -> None:
        if outcome.outcome != "ok" and call.verb not in QUIET:
            self._log.warning("call", verb=call.verb, outcome=outcome.outcome, why=outcome.text)
        self._agent.step(Called(call.id, outcome.outcome, outcome.value, outcome.text, outcome.code))
