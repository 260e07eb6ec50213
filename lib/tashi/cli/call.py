"""One call of a command: its options, whom it asks, what it says, and how it went."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from tashi.cli.output import CONTROL, Failure, Output, complain
from tashi.wire.errors import TashiError, exit_status

if TYPE_CHECKING:
    from tashi.client import Client
    from tashi.config import Config


class Call:
    """What a command's function gets first.

    The exit status: 0 when nothing failed. When everything failed and always for a reason of the same status, that
    status, so one NAME gives its own and ten that found no room give 75; otherwise 1.
    """

    def __init__(self, prog: str, noun: str, common: dict[str, Any], operands: Sequence[str]) -> None:
        self.prog, self.noun, self.operands = prog, noun, operands
        self.common = common
        self.null: bool = common.get("null", False)
        self.one: bool = common.get("one", False)
        self.dry_run: bool = common.get("dry_run", False)
        self.submit: bool = common.get("submit", False)
        self.reason: str = common.get("reason", "")
        self.owner: str = common.get("owner", "")
        self.timeout: float | None = common.get("timeout")
        if common.get("json") and common.get("bare"):
            raise click.UsageError("-j or -H, not both")
        style = "json" if common.get("json") else "tabs" if common.get("bare") else "table"
        self.output = Output(prog, style, common.get("fields", ""), common.get("quiet", False))
        self.succeeded = 0
        self._failed: list[int] = []
        self._config: Config | None = None
        self._client: Client | None = None

    @property
    def names(self) -> list[str]:
        """The operands as names, `-` read."""
        from tashi.cli.names import read_names

        return read_names(self.operands, self.noun, self.null)

    @property
    def config(self) -> Config:
        """What tashi.toml says of the way to the controller, with --controller in place of its own."""
        if self._config is None:
            config = self.settings("client")
            named = self.common.get("controller")
            self._config = config._replace(client=config.client._replace(controller=named)) if named else config
        return self._config

    def settings(self, section: str) -> Config:
        """This section of tashi.toml. Raises TashiError (bad-request) for a mistake in it."""
        from tashi.config import load

        return load(self.common.get("config"), (section,))

    @property
    def client(self) -> Client:
        if self._client is None:
            from tashi.client import client_for

            self._client = client_for(self.config, self.timeout)
        return self._client

    def ask_by(self, client: Client) -> None:
        """Ask by this client, whatever tashi.toml says."""
        self._client = client

    def fail(self, name: str, problem: TashiError | Failure) -> None:
        """Tell at once that something failed; the command goes on."""
        if isinstance(problem, TashiError):
            problem = Failure(str(problem.code), problem.text, problem.hint)
        self.output.failure(name, problem)
        self._failed.append(exit_status(problem.code))

    def tell_of_next_key(self) -> None:
        """Tell whoever sits at a terminal that the controller's key is about to be another. Scripts are left alone."""
        instead = self._client.instead if self._client is not None else ""
        if instead and sys.stderr is not None and sys.stderr.isatty():
            complain(self.prog, "the controller's key is about to end", f"put into tashi.toml: {instead}")

    def untrue(self) -> None:
        """The answer is no: status 1, and nothing more to tell."""
        self._failed.append(1)

    def status(self) -> int:
        """The exit status so far."""
        if not self._failed:
            return 0
        return self._failed[0] if not self.succeeded and len(set(self._failed)) == 1 else 1

    def confirm(self, action: str, names: Sequence[str], least: int = 2, so: str = "") -> bool:
        """Ask before ``least`` or more are destroyed, where there is somebody to ask: a terminal and no -y.

        ``so``: what follows from it.
        """
        asked = not self.common.get("yes") and not self.dry_run and len(names) >= least
        if not asked or "-" in self.operands or not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
            return True
        which = f"{', '.join(names[:8])}{'...' if names[8:] else ''}".translate(CONTROL)
        follows = f", {so}" if so else ""
        sys.stderr.write(f"{self.prog}: {action} {len(names)}: {which}{follows}? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return True
        complain(self.prog, "nothing was done")
        self._failed.append(1)
        return False
