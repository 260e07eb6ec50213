"""`tashi-lab beats`: what a guest's own heart says about an interruption, for people and scripts."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from typing import IO

import click
import msgspec

from tashi.lab.beats import Listener, Silence, listening
from tashi.lab.lab import Lab
from tashi.wire.errors import Code, Refused, Unavailable

_MAC = re.compile(r"52:54:00(?::[0-9a-f]{2}){3}")
FIRST_SECONDS = 60.0  # the longest wait for a guest's first beat: it may be booting
SETTLE_SECONDS = 1.0  # listened on after the command: the silence that it made must have an end


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--vm", metavar="NAME", help="Only this VM's guest.")
@click.option("--ip", metavar="ADDRESS", help="Only the guest with this address.")
@click.option("--seconds", type=float, metavar="S", help="How long to listen; without a command 5.")
@click.option(
    "--output", type=click.File("w"), metavar="FILE", help="Write there, as time(1) does, not to standard output."
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def beats(
    name: str,
    vm: str | None,
    ip: str | None,
    seconds: float | None,
    output: IO[str] | None,
    command: tuple[str, ...],
) -> None:
    """Listen to Linux guests and tell the longest silence of each, one JSON object a line.

    With a COMMAND: while it runs, and a second longer; then the status is its own. Each such guest beats 100 times a
    second, so a gap of 0.01 s is none.
    """
    lab = Lab.seen(name)
    if lab.record.kind == "fake":
        raise Refused(Code.WRONG_STATE, f"lab {name}: fake guests have no heart")
    mac = _mac(lab, vm) if vm else None
    status = 0
    with listening(lab.plan.listener) as listener:
        if mac or ip:
            _first(listener, mac, ip)
        since = time.time()
        if command:
            sys.stdout.flush()
            status = subprocess.run(command, check=False).returncode
            time.sleep(seconds or SETTLE_SECONDS)
        else:
            time.sleep(seconds or 5.0)
        found = [silence for each in listener.macs() if _meant(silence := listener.silence(each, since), mac, ip)]
    for each in found:
        click.echo(msgspec.json.encode(each).decode(), file=output)
    sys.exit(status if status >= 0 else 128 - status)


def _meant(silence: Silence, mac: str | None, ip: str | None) -> bool:
    return (mac is None or silence.mac == mac) and (ip is None or silence.address == ip)


def _first(listener: Listener, mac: str | None, ip: str | None) -> None:
    """Wait for the first beat of a guest that was asked for."""
    deadline = time.monotonic() + FIRST_SECONDS
    while not any(_meant(listener.silence(each), mac, ip) for each in listener.macs()):
        if time.monotonic() > deadline:
            raise Unavailable(f"{mac or ip}: no beat in {FIRST_SECONDS:g} s", "only the image linux beats")
        time.sleep(0.02)


def _mac(lab: Lab, vm: str) -> str:
    """The MAC of a VM's first network card, as the controller knows it."""
    rows = lab.controller.rows("vm", (vm,))
    found = _MAC.search(str(rows[0]["nics"])) if rows else None
    if not found:
        raise Refused(Code.WRONG_STATE, f"{vm}: has no network card, its heart can't be heard")
    return found[0]
