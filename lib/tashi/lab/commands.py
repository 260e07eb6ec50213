"""The verbs of `tashi-lab`: each finds its lab, does one thing to it, says nothing when that is done."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import click
import msgspec
from click.exceptions import NoArgsIsHelpError

from tashi.config import parse
from tashi.lab import machine_commands, network
from tashi.lab.beats_command import beats
from tashi.lab.lab import Lab, down
from tashi.lab.programs import pages_path, search_path
from tashi.lab.record import Kind, Settings, names
from tashi.wire.errors import Code, Refused, TashiError, exit_status

SECTIONS = ("agent", "controller", "fake", "pool", "zoni")  # that --set may change
COLUMNS = {key: key.upper() for key in ("name", "state", "pid", "agent", "libvirtd", "network")}
COLUMNS |= {"rate_bits_per_second": "RATE", "address": "ADDRESS"}
MACHINE_COLUMNS = {key: key.upper() for key in ("ipmi", "redfish", "outlet", "faults")}
HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class Verbs(click.Group):
    """Errors as all commands tell them: one line, a hint, a status."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        try:
            status = super().main(*args, **extra | {"standalone_mode": False}) or 0
        except NoArgsIsHelpError as error:
            error.show()
            status = exit_status(Code.BAD_REQUEST)
        except click.UsageError as error:
            status = _tell_of_usage(error)
        except TashiError as error:
            status = _tell(error)
        except OSError as error:
            status = _tell(TashiError(Code.FAULT, f"{error.filename or 'system'}: {error.strerror}"))
        except click.Abort:  # Ctrl-C
            status = 128 + signal.SIGINT
        sys.exit(status)


# The commands' own words are loaded only where the process ends: with them come signals that a lab at work can't use.
def _tell(error: TashiError) -> int:
    """An error as a line, each of its hints as another; returns the exit status."""
    from tashi.cli.output import complain

    first, *others = error.hint.split("\n")
    complain("tashi-lab", error.text, first)
    for hint in others:
        click.echo(f"hint: {hint}", err=True)
    return exit_status(error.code)


def _tell_of_usage(error: click.UsageError) -> int:
    from tashi.cli.output import complain_of_usage

    verb = error.ctx.info_name if error.ctx and error.ctx.parent else ""
    complain_of_usage("tashi-lab", error.format_message(), " ".join(filter(None, ("tashi-lab", verb, "-h"))))
    return exit_status(Code.BAD_REQUEST)


@click.group(cls=Verbs, context_settings=HELP)
@click.option("--name", default="lab", envvar="TASHI_LAB", show_default=True, help="Which lab; several may be up.")
@click.pass_context
def main(ctx: click.Context, name: str) -> None:
    """A whole cluster on this machine, to learn, to test and to break: hosts, controller, agents and guests.

    The hosts are h1, h2 and so on, physical machines m1, m2 and so on. `eval "$(tashi-lab env)"` makes all other
    commands speak to the lab.
    """
    ctx.obj = name


def lab_option(function: Any) -> Any:
    """--name after the verb as well as before it."""

    def use(ctx: click.Context, option: click.Parameter, value: str | None) -> None:
        if value is not None:
            ctx.obj = value

    return click.option("--name", expose_value=False, callback=use, help="Which lab.")(function)


# -- the lab as a whole ------------------------------------------------------------------------------------------------
@main.command()
@lab_option
@click.option("--hosts", default=3, show_default=True, metavar="N", help="How many.")
@click.option(
    "--driver", default="libvirt", show_default=True, type=click.Choice(["libvirt", "fake"]), help="Of what kind."
)
@click.option("--machines", default=0, show_default=True, metavar="N", help="Physical machines m1, m2 and so on.")
@click.option("--bare", is_flag=True, help="Hosts alone: no controller, no agents, no images registered.")
@click.option(
    "--set", "settings", multiple=True, metavar="SECTION.KEY=VALUE", help="A setting for every tashi.toml of it."
)
@click.pass_obj
def up(name: str, hosts: int, driver: Kind, machines: int, bare: bool, settings: tuple[str, ...]) -> None:
    """Make a lab. libvirt: real hosts and guests, as root; fake: large hosts whose guests run nothing, as anybody."""
    Lab.up(name, hosts, driver, machines=machines, bare=bare, settings=_settings(settings))


@main.command("down")
@lab_option
@click.option("--all", "every", is_flag=True, help="All labs of this user.")
@click.pass_obj
def down_command(name: str, every: bool) -> None:
    """Remove a lab and leave nothing of it, whatever state it is in."""
    for each in names() if every else [name]:
        down(each)


@main.command()
@lab_option
@click.pass_obj
def env(name: str) -> None:
    """Print the exports that make commands speak to the lab: eval "$(tashi-lab env)"."""
    lab = Lab.seen(name)
    variables = lab.environment() | {"PATH": search_path()}
    if lab.pages.is_dir():
        variables["MANPATH"] = pages_path(lab.pages)
    for key, value in variables.items():
        click.echo(f"export {key}={shlex.quote(value)}")


@main.command()
@lab_option
@click.option("-j", "--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def status(name: str, as_json: bool) -> None:
    """Show controller, hosts and machines: whether they are up, their processes, their network and power."""
    lab = Lab.seen(name)
    controller = lab.controller.process()
    rows: list[dict[str, Any]] = []
    if not lab.record.bare:
        state = "up" if controller else "off"
        rows.append({"name": "controller", "state": state, "pid": controller.pid if controller else None})
    rows += [msgspec.to_builtins(host.status()) for host in lab.hosts.values()]
    columns = COLUMNS.copy()
    if lab.record.machines:
        columns |= MACHINE_COLUMNS
        rows = machine_commands.status(rows, lab)
    if as_json:
        click.echo("\n".join(msgspec.json.encode(row).decode() for row in rows))
    else:
        cells = [["-" if row.get(key) is None else str(row[key]) for key in columns] for row in rows]
        _table([list(columns.values()), *cells])


# -- one host ----------------------------------------------------------------------------------------------------------
@main.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@lab_option
@click.argument("host")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def exec_command(name: str, host: str, command: tuple[str, ...]) -> None:
    """Run a command in a host, or in the network of a machine that is on."""
    argv = Lab.seen(name).command(host, command)
    sys.stdout.flush()
    os.execvp(argv[0], argv)


@main.command()
@lab_option
@click.argument("hosts", nargs=-1, required=True, metavar="HOST...")
@click.pass_obj
def crash(name: str, hosts: tuple[str, ...]) -> None:
    """Cut the power of hosts: all that runs in them ends at once."""
    with Lab.opened(name) as lab:
        for host in hosts:
            lab.host(host).power_off()


@main.command()
@lab_option
@click.argument("hosts", nargs=-1, required=True, metavar="HOST...")
@click.pass_obj
def start(name: str, hosts: tuple[str, ...]) -> None:
    """Start hosts again: a new boot, the same disks; the agent starts with them."""
    with Lab.opened(name) as lab:
        for host in hosts:
            lab.host(host).power_on()
            if not lab.record.bare:
                lab.host(host).start("agent")


def _cable(verb: str, is_cut: bool, text: str) -> None:
    @main.command(verb, help=text)
    @lab_option
    @click.argument("hosts", nargs=-1, required=True, metavar="HOST...")
    @click.pass_obj
    def change(name: str, hosts: tuple[str, ...]) -> None:
        with Lab.opened(name) as lab:
            for host in hosts:
                lab.host(host).set_cable(is_cut)


_cable("cut", True, "Cut hosts off the network: silence in both directions, no connection is closed.")
_cable("heal", False, "Connect hosts again.")


@main.command()
@lab_option
@click.option("--rate", required=True, metavar="RATE", help="20mbit, 500kbit, 1gbit, or off.")
@click.argument("hosts", nargs=-1, required=True, metavar="HOST...")
@click.pass_obj
def slow(name: str, rate: str, hosts: tuple[str, ...]) -> None:
    """Limit the network of hosts, each direction for itself."""
    bits = network.parse_rate(rate)
    with Lab.opened(name) as lab:
        for host in hosts:
            lab.host(host).set_rate(bits)


# -- daemons -----------------------------------------------------------------------------------------------------------
def _daemon(verb: str, text: str, number: signal.Signals | None) -> None:
    """``number``: the signal that ends the daemon; None starts it."""
    service: Any = verb.partition("-")[2]

    @main.command(verb, help=text)
    @lab_option
    @click.argument("hosts", nargs=-1, required=True, metavar="HOST...")
    @click.pass_obj
    def change(name: str, hosts: tuple[str, ...]) -> None:
        with Lab.opened(name) as lab:
            for host in hosts:
                if number is None:
                    lab.host(host).start(service)
                else:
                    lab.host(host).stop(service, number)


_daemon("start-agent", "Start the agent of hosts.", None)
_daemon("stop-agent", "Stop the agent of hosts in peace.", signal.SIGTERM)
_daemon("kill-agent", "Kill the agent of hosts (kill -9).", signal.SIGKILL)
_daemon("start-libvirtd", "Start the libvirtd of hosts.", None)
_daemon("kill-libvirtd", "Kill the libvirtd of hosts (kill -9).", signal.SIGKILL)


@contextmanager
def _with_controller(name: str) -> Iterator[Lab]:
    with Lab.opened(name) as lab:
        if lab.record.bare:
            raise Refused(Code.WRONG_STATE, f"lab {name}: is bare, it has no controller")
        yield lab


@main.command("start-controller")
@lab_option
@click.pass_obj
def start_controller(name: str) -> None:
    """Start the controller and wait until it answers."""
    with _with_controller(name) as lab:
        lab.controller.start()


@main.command("stop-controller")
@lab_option
@click.pass_obj
def stop_controller(name: str) -> None:
    """Stop the controller in peace."""
    with _with_controller(name) as lab:
        lab.controller.stop(signal.SIGTERM)


@main.command("kill-controller")
@lab_option
@click.pass_obj
def kill_controller(name: str) -> None:
    """Kill the controller (kill -9)."""
    with _with_controller(name) as lab:
        lab.controller.stop(signal.SIGKILL)


# -- what the verbs share ----------------------------------------------------------------------------------------------
def _settings(texts: tuple[str, ...]) -> Settings:
    """``agent.accel=tcg`` as {"agent": {"accel": "tcg"}}: a value is TOML where it can be, else a text.

    Raises TashiError (bad-request) for what no tashi.toml of a lab may say.
    """
    found: Settings = {}
    for text in texts:
        where, _, value = text.partition("=")
        section, _, key = where.partition(".")
        if not (section and key and value):
            raise Refused(Code.BAD_REQUEST, f"--set {text}: write SECTION.KEY=VALUE")
        if section not in SECTIONS:
            raise Refused(Code.BAD_REQUEST, f"--set {text}: no section to set", f"there are {', '.join(SECTIONS)}")
        try:
            found.setdefault(section, {})[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found.setdefault(section, {})[key] = value
    parse(found, "--set")
    return found


def _table(rows: list[list[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


for each in (beats, *machine_commands.VERBS):
    main.add_command(lab_option(each))
