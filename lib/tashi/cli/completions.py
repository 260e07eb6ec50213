"""``python -m tashi.cli.completions CMD_DIR OUT_DIR``: completion scripts for bash, zsh and fish, one a command.

They are made from the commands themselves, by click where a command is click's, else from the options that its -h
shows; and committed, so that a checkout has them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete


class _Fish(FishComplete):
    """Only the first comma of a line ends its type; the others are the value's own."""

    source_template = FishComplete.source_template.replace('string split ","', 'string split -m 1 ","')


SHELLS: dict[str, tuple[type[ShellComplete], str]] = {
    "bash": (BashComplete, "{}"),
    "zsh": (ZshComplete, "_{}"),
    "fish": (_Fish, "{}.fish"),
}

# For the daemons: their few options, all of which take a file.
_PLAIN = {
    "bash": ('complete -o default -W "{all}" {name}', "--{option}", " "),
    "zsh": ("#compdef {name}\n_arguments {all}", "'--{option}=:file:_files'", " "),
    "fish": ("{all}", "complete --command {name} --long-option {option} --require-parameter", "\n"),
}


def main_of(path: str) -> object:
    """What a file of cmd/ calls main."""
    loader = SourceFileLoader(os.path.basename(path).replace("-", "_"), path)
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return getattr(module, "main", None)


def scripts(folder: str) -> dict[str, str]:
    """Path below the folder of completions -> the script, for each command and shell."""
    sys.dont_write_bytecode = True
    made = {}
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        main = main_of(path)
        words = [] if isinstance(main, click.Command) else _options(path)
        for shell, (kind, pattern) in SHELLS.items():
            if isinstance(main, click.Command):
                variable = f"_{name}_COMPLETE".replace("-", "_").upper()
                text = kind(main, {}, name, variable).source()
            else:
                text = _plain(shell, name, words)
            made[os.path.join(shell, pattern.format(name))] = text.strip() + "\n"
    return made


def _options(path: str) -> list[str]:
    """The long options that take a value, as ``-h`` shows them."""
    done = subprocess.run([sys.executable, path, "-h"], capture_output=True, text=True, timeout=30, check=True)
    return sorted(set(re.findall(r"--([a-z-]+) [A-Z]", done.stdout)))


def _plain(shell: str, name: str, options: list[str]) -> str:
    whole, each, between = _PLAIN[shell]
    return whole.format(name=name, all=between.join(each.format(name=name, option=option) for option in options))


def write(folder: str, target: str) -> None:
    for path, script in scripts(folder).items():
        place = os.path.join(target, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "w", encoding="utf-8") as file:
            file.write(script)


if __name__ == "__main__":
    write(*sys.argv[1:3])
