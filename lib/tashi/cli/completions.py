"""``python -m tashi.cli.completions CMD_DIR OUT_DIR``: completion scripts for bash, zsh and fish, one a command.

They are made from the commands themselves by click, and committed, so that a checkout has them.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader

from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from tashi.cli.tool import Tool

SHELLS: dict[str, tuple[type[ShellComplete], str]] = {
    "bash": (BashComplete, "{}"),
    "zsh": (ZshComplete, "_{}"),
    "fish": (FishComplete, "{}.fish"),
}


def command(path: str) -> Tool | None:
    """The command that a file of cmd/ makes; None for one that is no `Tool`."""
    name = os.path.basename(path)
    loader = SourceFileLoader(name.replace("-", "_"), path)
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    main = getattr(module, "main", None)
    return main if isinstance(main, Tool) else None


def scripts(folder: str) -> dict[str, str]:
    """Path below the folder of completions -> the script, for each command and shell."""
    sys.dont_write_bytecode = True
    made = {}
    for name in sorted(os.listdir(folder)):
        found = command(os.path.join(folder, name))
        if found is None:
            continue
        for shell, (kind, pattern) in SHELLS.items():
            variable = f"_{name}_COMPLETE".replace("-", "_").upper()
            made[os.path.join(shell, pattern.format(name))] = kind(found, {}, name, variable).source().strip() + "\n"
    return made


def main(folder: str, target: str) -> None:
    for path, script in scripts(folder).items():
        place = os.path.join(target, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "w", encoding="utf-8") as file:
            file.write(script)


if __name__ == "__main__":
    main(*sys.argv[1:3])
