"""The one decorator: a function becomes a command with the habits that all of them have.

    @tool("listing", noun="vm", operands="[NAME|FILTER]...")
    def main(call: Call) -> None:
        \"\"\"List virtual machines.\"\"\"

click alone ignores NO_COLOR, makes status 1 of a closed pipe and of Ctrl-C, and writes a traceback when the disk is
full; here the first two are the process's own affair (`tashi.cli`), and every error is one line and a status:
0 done or true, 1 failed or false, 2 wrong usage, and from the table in `tashi.wire.errors` 69, 75 and 77.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import click

from tashi.cli.call import Call
from tashi.cli.complete import Printed, complete_names
from tashi.cli.options import attach, options, printed
from tashi.cli.output import Failure, Output, Unwritable, complain, complain_of_usage
from tashi.wire.errors import Code, TashiError, exit_status

if TYPE_CHECKING:
    from tashi.client import Client


_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class Tool(click.Command):
    """A command of one kind (see `tashi.cli.options`) about one noun."""

    def __init__(
        self,
        noun: str,
        function: Callable[..., None],
        params: list[click.Parameter],
        common: set[str],
        prints: Printed,
        checked: bool,
    ) -> None:
        super().__init__(
            None,
            params=params,
            help=function.__doc__,
            context_settings=_SETTINGS,
        )
        self._function, self._noun, self._common = function, noun, common
        self._prints, self._checked = prints, checked
        self._lasting: Call | None = None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """-o help ends the command whatever is missing; other fields are known to be there before it begins."""
        args = attach(args, self.params)
        if not ctx.resilient_parsing:
            typed = self.make_parser(ctx).parse_args(list(args))[0]
            if typed.get("fields") == "help":
                from tashi.cli.table import fields_of

                fields = fields_of(self._prints(typed))
                click.echo("".join(f"{field.key:<22}{field.doc}\n" for field in fields), nl=False)
                ctx.exit()
        rest = super().parse_args(ctx, args)
        if ctx.params.get("fields") and self._checked and not ctx.resilient_parsing:
            from tashi.cli.table import fields_of, pick

            pick(fields_of(self._prints(ctx.params)), ctx.params["fields"], False)
        return rest

    def invoke(self, ctx: click.Context) -> int:
        """Run the function; returns the exit status."""
        call, own = self._call(ctx)
        self._lasting = call  # hanging up may take as long as the DNS does: that is left to the process' end
        try:
            self._function(call, **own)
            status = call.status()
        except Unwritable:
            raise
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # it says whose -h helps
            raise
        except TashiError as error:  # of the call as a whole, not of one name
            call.output.failure("", Failure(str(error.code), error.text, error.hint))
            status = exit_status(error.code)
        call.output.flush()
        call.tell_of_next_key()
        return status

    def ask(self, name: str, words: list[str], client: Client) -> None:
        """Run the function on words as typed, with this client in place of the one that tashi.toml describes.

        Raises click.UsageError, and whatever the client does.
        """
        with self.make_context(name, words) as ctx:
            call, own = self._call(ctx)
            call.ask_by(client)
            self._function(call, **own)

    def _call(self, ctx: click.Context) -> tuple[Call, dict[str, Any]]:
        """What the function gets: the call, and the values of its own options."""
        common = {key: value for key, value in ctx.params.items() if key in self._common}
        own = {key: value for key, value in ctx.params.items() if key not in common and key != "operands"}
        return Call(ctx.find_root().info_name or "", self._noun, common, ctx.params.get("operands", ())), own

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Run and end the process."""
        end(super().main)


class Verbs(click.Group):
    """A command whose first operand is a verb, each of them a `Tool`: of hardware beside the machine itself."""

    def __init__(self, what: str, **verbs: Tool) -> None:
        super().__init__(None, help=what, no_args_is_help=False, context_settings=_SETTINGS)
        for name, each in verbs.items():
            self.add_command(each, name)

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Run and end the process."""
        end(super().main)


def end(run: Callable[..., Any]) -> NoReturn:
    """Run click's part and end the process. Skips the interpreter's tidying up, which takes longer than a request."""
    prog = os.path.basename(sys.argv[0])
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    try:
        status = run(sys.argv[1:], prog, standalone_mode=False, color=False if plain else None)
        Output(prog, "table").flush()
    except click.UsageError as error:
        complain_of_usage(prog, error.format_message(), f"{error.ctx.command_path if error.ctx else prog} -h")
        status = exit_status(Code.BAD_REQUEST)
    except TashiError as error:
        complain(prog, error.text, error.hint)
        status = exit_status(error.code)
    except OSError as error:
        complain(
            prog, f"{'standard output' if error.filename is None else error.filename or repr('')}: {error.strerror}"
        )
        status = 1
    os._exit(int(status))


def tool(
    kind: str, noun: str = "", operands: str = "", prints: Printed | None = None, owned: bool = True
) -> Callable[[Callable[..., None]], Tool]:
    """Make a command of a function, which is called with a `Call` and the values of its own click options.

    ``operands`` is how the synopsis names them; without it the command takes none. ``prints`` says whose fields -o
    picks from where that is not as usual (`printed`). ``owned``: what changes VMs takes --owner.
    """
    prints = prints or printed(noun)
    checked = kind not in ("listing", "showing")  # there the controller checks them, and nothing is changed

    def decorate(function: Callable[..., None]) -> Tool:
        own: list[click.Parameter] = list(reversed(getattr(function, "__click_params__", [])))
        common = options(kind, noun if owned else "", prints)
        if operands:
            complete = None if kind == "alone" or not noun else complete_names(noun)
            own.append(click.Argument(["operands"], nargs=-1, metavar=operands, shell_complete=complete))
        names = {str(option.name) for option in common}
        return Tool(noun, function, [*own, *common], names, prints, checked)

    return decorate
