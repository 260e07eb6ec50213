"""The tree as git knows it: which files belong to it, and what each is."""

from __future__ import annotations

import ast
import functools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# For what a test starts: this tree, whichever environment the test itself runs in.
HERE = os.environ | {"PYTHONPATH": ":".join(str(ROOT / part) for part in ("lib", "daemon", "."))}
PACKAGES = ("lib/tashi", "daemon/tashid", "zoni")


@functools.cache
def files() -> list[str]:
    """Every file of the tree, also what is new and not ignored; paths from the root."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=30).stdout
    found = sorted(name for name in set(listed.split("\0")) if name and (ROOT / name).is_file())
    assert "pyproject.toml" in found
    return found


def commands() -> list[str]:
    """Names of the files in cmd/: each is a command."""
    return [name.removeprefix("cmd/") for name in files() if name.startswith("cmd/")]


def modules() -> list[str]:
    """Python files of the packages."""
    return [
        name for name in files() if name.startswith(tuple(f"{each}/" for each in PACKAGES)) and name.endswith(".py")
    ]


def shell_scripts() -> list[str]:
    """Files that begin with a shell's name."""
    return [
        name for name in files() if first_line(name).startswith(("#!/bin/sh", "#!/bin/bash", "#!/usr/bin/env bash"))
    ]


def first_line(name: str) -> str:
    """How a file begins, as far as that is text."""
    with (ROOT / name).open("rb") as stream:
        return stream.readline(200).decode(errors="replace").rstrip("\n")


def dotted(name: str) -> str:
    """The module that a file of a package is: lib/tashi/wire/errors.py -> tashi.wire.errors."""
    path = name.removeprefix("lib/").removeprefix("daemon/").removesuffix(".py").removesuffix("/__init__")
    return path.replace("/", ".")


@functools.cache
def parsed(name: str) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse((ROOT / name).read_bytes(), name)


def imports(name: str, *, at_start: bool = False) -> Iterator[tuple[int, str]]:
    """(line, module) for all that a file imports, wherever it stands; `from a import b` gives a.b.

    ``at_start``: only what runs when the file itself is imported: not in functions, not for the type checker alone.
    """
    pending: list[ast.AST] = [parsed(name)]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from ((node.lineno, each.name) for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: a relative import"
            yield from ((node.lineno, f"{node.module}.{each.name}") for each in node.names)
        elif at_start and (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _for_types(node)):
            continue
        else:
            pending.extend(ast.iter_child_nodes(node))


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
