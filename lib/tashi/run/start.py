"""What every daemon sees to before anything else: limits, folders, the library's version, where they are told to go."""

from __future__ import annotations

import argparse
import os
import resource
import stat
from collections.abc import Callable

import zmq

from tashi.config import Config, load
from tashi.run.log import Log
from tashi.wire.errors import Code, Refused, TashiError, exit_status

LIBZMQ = (4, 3, 5)  # older ones have known holes (CVE-2019-13132, CVE-2020-15166) and fewer options


def parser(name: str, what: str) -> argparse.ArgumentParser:
    """The options of every daemon."""
    made = argparse.ArgumentParser(prog=name, description=what, allow_abbrev=False)
    made.add_argument("--config", metavar="FILE", help="tashi.toml to read, not $TASHI_CONFIG or /etc/tashi/tashi.toml")
    return made


def run(name: str, options: argparse.Namespace, main: Callable[[Config, argparse.Namespace, Log], None]) -> int:
    """Call ``main``; what it can't do is one line in the log, and the exit status that goes with it."""
    log = Log(name)
    try:
        check_libzmq()
        main(load(options.config), options, log)
    except TashiError as error:
        log.error(error.text, **({"hint": error.hint} if error.hint else {}))
        return exit_status(error.code)
    except OSError as error:
        log.error(str(error))
        return 1
    return 0


def check_libzmq() -> None:
    """Raise Refused when libzmq is older than what was tested."""
    if zmq.zmq_version_info() < LIBZMQ:
        wanted = ".".join(map(str, LIBZMQ))
        raise Refused(Code.IMPOSSIBLE, f"libzmq {zmq.zmq_version()} is too old", f"{wanted} or newer, as in pyzmq 25")


def raise_file_limit() -> int:
    """As many descriptors as we may have; returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def private_folder(path: str) -> None:
    """Make the folder for secrets and state, or refuse (denied) one that others may read or write.

    Others may pass through it: the pool may be beneath.
    """
    os.makedirs(path, mode=0o700, exist_ok=True)
    _check(path, 0o066, "others may read or write it", "chmod 700 {path}")


def public_folder(path: str) -> None:
    """Make the folder for sockets, or refuse (denied) one in which others could put theirs."""
    os.makedirs(path, mode=0o755, exist_ok=True)
    _check(path, 0o022, "others may write to it", "chmod 755 {path}")


def _check(path: str, forbidden: int, why: str, hint: str) -> None:
    state = os.stat(path)
    if state.st_mode & forbidden:
        mode = stat.S_IMODE(state.st_mode)
        raise Refused(Code.DENIED, f"{path}: mode {mode:04o}: {why}", hint.format(path=path))
    if state.st_uid not in (os.geteuid(), 0):
        raise Refused(Code.DENIED, f"{path}: belongs to uid {state.st_uid}", f"chown it to uid {os.geteuid()}")
