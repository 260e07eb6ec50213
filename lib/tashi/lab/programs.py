"""Where the project's own programs are, and what surroundings a lab starts them in.

From a checkout they are in cmd/, run by this very interpreter, so that an edit shows at the next start; installed, they
stand beside it.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tashi.lab.process import MARK
from tashi.wire.errors import Unavailable

ROOT = Path(__file__).resolve().parents[3]


def checkout() -> Path | None:
    """The root of the checkout that this runs from; None for an installed copy."""
    return ROOT if (ROOT / "cmd").is_dir() and (ROOT / "lib" / "tashi").is_dir() else None


def program(name: str) -> list[str]:
    """The command line that starts ``tashi-agent`` and the like. Raises Unavailable when it is nowhere."""
    here = checkout()
    found = here / "cmd" / name if here else Path(sys.executable).parent / name
    if not found.exists():
        beside = shutil.which(name)
        if beside is None:
            raise Unavailable(f"{name}: not found in {found.parent} or PATH")
        found = Path(beside)
    return [sys.executable, str(found)]


def search_path() -> str:
    """PATH with the project's commands, this interpreter and the system tools, each once."""
    here = checkout()
    first = [str(here / "cmd")] if here else []
    parts = [*first, str(Path(sys.executable).parent), *os.environ.get("PATH", "").split(":"), "/usr/sbin", "/sbin"]
    return ":".join(dict.fromkeys(part for part in parts if part))


def lay_out_pages(folder: Path) -> None:
    """Make of the checkout's pages, which lie side by side, a tree as man wants it; installed ones are in one."""
    here = checkout()
    if here is None:
        return
    folder.mkdir()
    for section in {page.suffix.removeprefix(".") for page in (here / "man").iterdir()}:
        (folder / f"man{section}").symlink_to(here / "man")


def pages_path(folder: Path) -> str:
    """MANPATH with this tree first; its empty part is what man would read anyway."""
    return ":".join(dict.fromkeys([str(folder), *os.environ.get("MANPATH", "").split(":")]))


def surroundings(mark: str) -> dict[str, str]:
    """The environment of a lab's process: ours, without what would point it at another cluster."""
    here = checkout()
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TASHI_")}
    own = [str(here / part) for part in ("lib", "daemon", ".")] if here else []
    python = [*own, *kept.get("PYTHONPATH", "").split(":")]
    return kept | {
        "PATH": search_path(),
        "PYTHONPATH": ":".join(dict.fromkeys(part for part in python if part)),
        MARK: mark,
    }
