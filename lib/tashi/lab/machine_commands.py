"""The verbs of `tashi-lab` for physical machines: what stands around them fails, and their agent comes and goes."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import msgspec

from tashi.lab import faults
from tashi.lab.lab import Lab
from tashi.lab.machines import MACHINES_HINT
from tashi.wire.errors import Code, Refused


@click.command()
@click.argument("fault", type=click.Choice([faults.OK, *faults.BMC]))
@click.argument("machines", nargs=-1, required=True, metavar="MACHINE...")
@click.pass_obj
def bmc(name: str, fault: str, machines: tuple[str, ...]) -> None:
    """Make the BMC of machines fail in some way, or end all that is wrong with it: ok."""
    with Lab.opened(name) as lab:
        for machine in machines:
            lab.machines.break_bmc(machine, fault)


@click.command()
@click.argument("fault", type=click.Choice([faults.OK, *faults.PDU]))
@click.pass_obj
def pdu(name: str, fault: str) -> None:
    """Make the PDU fail in some way, or end all that is wrong with it: ok."""
    with _with_machines(name) as lab:
        lab.machines.break_pdu(fault)


@click.command()
@click.argument("fault", type=click.Choice([faults.OK, *faults.SWITCH]))
@click.pass_obj
def switch(name: str, fault: str) -> None:
    """Make the switch fail in some way, or end all that is wrong with it: ok."""
    with _with_machines(name) as lab:
        lab.switch.break_(fault)


@click.command("restart-switch")
@click.pass_obj
def restart_switch(name: str) -> None:
    """Let the switch be dark for two seconds and come back with what was saved."""
    with _with_machines(name) as lab:
        lab.switch.restart()


def _zoni_agent(verb: str, text: str, number: signal.Signals | None) -> click.Command:
    """``number``: the signal that ends it; None starts it."""

    @click.command(verb, help=text)
    @click.pass_obj
    def change(name: str) -> None:
        with _with_machines(name) as lab:
            if lab.record.bare:
                raise Refused(Code.WRONG_STATE, f"lab {name}: is bare, it has no zoni agent")
            if number is None:
                lab.zoni.start()
            else:
                lab.zoni.stop(number)

    return change


VERBS = (
    bmc,
    pdu,
    switch,
    restart_switch,
    _zoni_agent("start-zoni-agent", "Start the zoni agent and wait until the controller hears it.", None),
    _zoni_agent("stop-zoni-agent", "Stop the zoni agent in peace.", signal.SIGTERM),
    _zoni_agent("kill-zoni-agent", "Kill the zoni agent (kill -9).", signal.SIGKILL),
)


def status(rows: list[dict[str, Any]], lab: Lab) -> list[dict[str, Any]]:
    """The rows of status with those of the machines and what is around them; a host that has a BMC is one row."""
    known = {each.name: msgspec.to_builtins(each) for each in lab.machines.status()}
    found = [known.pop(row["name"], {}) | row for row in rows]
    pid = lab.zoni.pid()
    agent = [] if lab.record.bare else [{"name": "zoni-agent", "state": "up" if pid else "off", "pid": pid}]
    return [*found, *agent, lab.machines.pdu_status(), lab.switch.status(), *known.values()]


@contextmanager
def _with_machines(name: str) -> Iterator[Lab]:
    with Lab.opened(name) as lab:
        if not lab.record.machines:
            raise Refused(Code.WRONG_STATE, f"lab {name}: has no machines, nor what is around them", MACHINES_HINT)
        yield lab
