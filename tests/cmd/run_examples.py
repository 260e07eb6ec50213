#!/usr/bin/env python3
"""Run the EXAMPLES of the manual as a reader would type them, in one fake laboratory: ``run_examples.py [PAGE...]``.

An example is a line that begins with ``$ ``, with the lines after it that begin with ``> ``. It ends with 0, or with N
where its last words are ``# status N``. In a pipe no part may fail, but for one whose reader has had enough.

tashi(7) comes first: it makes the laboratory. Every page after it finds the laboratory as tashi(7) says, in an empty
folder of its own. One line for each example that did not do so, with what it said, and one at the end.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from tashi.client import Client
from tashi.wire.envelope import Answer

ROOT = Path(__file__).resolve().parents[2]
PAGE_SECONDS = 60.0
HOSTS, IMAGES, VMS = {"h1", "h2", "h3"}, {"tiny", "linux"}, {"web", "db"}
VM = {"image": "tiny", "cores": 1, "memory_bytes": 512 * 2**20, "nics": ["default"], "host": "h1"}

# check STATUS COMMAND PIPESTATUS...: tell when it is another one
CHECK = r"""
check() {
  local want=$1 command=$2 got=0 each
  shift 2
  for each; do [[ $each == 0 || $each == 141 ]] || got=$each; done
  [[ $got == "$want" ]] || printf 'status %s, not %s: %s\n' "$got" "$want" "${command//$'\n'/ }" >&3
}
"""


class Example(NamedTuple):
    command: str
    status: int


def examples(page: Path) -> list[Example]:
    """The examples of a page, as mandoc shows it."""
    shown = subprocess.run(
        ["mandoc", "-T", "ascii", "-O", "width=200", page], check=True, capture_output=True, text=True, timeout=20
    ).stdout
    plain = re.sub(r".\x08", "", shown)
    section = re.search(r"^EXAMPLES$(.*?)^(?=\S)", plain, re.MULTILINE | re.DOTALL)
    found: list[str] = []
    for line in section[1].splitlines() if section else ():
        sign, word = line.strip()[:2], line.strip()[2:]
        if sign == "$ ":
            found.append(word)
        elif sign == "> ":
            found[-1] += f"\n{word}"
    return [Example(each, _status(each)) for each in found]


def _status(command: str) -> int:
    said = re.search(r"# status (\d+)$", command)
    return int(said[1]) if said else 0


def run(page: Path, surroundings: dict[str, str]) -> list[str]:
    """Type the examples of a page; what went wrong. ``surroundings`` becomes as the page leaves it."""
    script = [CHECK]
    for command, status in examples(page):
        quoted = "'" + command.replace("'", "'\\''") + "'"
        script += [command, f'check {status} {quoted} "${{PIPESTATUS[@]}}"']
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryFile("w+") as wrong,
        tempfile.TemporaryFile() as end,
    ):
        script.append(f"env -0 >&{end.fileno()}")
        done = subprocess.run(
            ["bash", "-c", f"exec 3>&{wrong.fileno()}\n" + "\n".join(script)],
            cwd=folder, env=surroundings, pass_fds=(wrong.fileno(), end.fileno()), timeout=PAGE_SECONDS,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        wrong.seek(0)
        found = [f"{page.name}: {line}" for line in wrong.read().splitlines()]
        end.seek(0)
        left = end.read().decode().split("\0")
    if not left[0]:
        found.append(f"{page.name}: its shell ended with {done.returncode}")
    kept = (each.partition("=") for each in left if each.startswith(("TASHI_", "PATH=")))
    surroundings |= {key: value for key, _, value in kept}
    return [*found, *(f"    {line}" for line in done.stdout.splitlines())] if found else []


def restore(client: Client) -> None:
    """Make the laboratory as tashi(7) left it, whatever a page did."""
    for host in rows(client, "host"):
        if host["state"] != "normal":
            ask(client, "host.resume", host["id"])
    good = {vm["name"] for vm in rows(client, "vm") if vm["state"] == "running" and vm["host"] == "h1"} & VMS
    ended = [ask(client, "vm.destroy", vm["id"]) for vm in rows(client, "vm") if vm["name"] not in good]
    wait(client, ended)
    for held in rows(client, "reservation"):
        ask(client, "machine.release", held["id"])
    nothing = set[str]()
    nouns = dict.fromkeys(("domain", "machine", "pdu", "switch", "user"), nothing) | {"host": HOSTS, "image": IMAGES}
    for noun, kept in nouns.items():
        for record in rows(client, noun):
            if record["name"] not in kept:
                ask(client, f"{noun}.remove", record["id"])
    wait(client, [client.ask("vm.create", VM | {"name": name}) for name in sorted(VMS - good)])


def rows(client: Client, noun: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in client.ask("list", {"noun": noun}).rows.splitlines()]


def ask(client: Client, verb: str, name: str) -> Answer:
    return client.ask(verb, {"name": name})


def wait(client: Client, answers: list[Answer]) -> None:
    """Until each of these operations has ended."""
    for answer in answers:
        revision = answer.revision
        over = bool(answer.ok.get("done"))
        while not over:
            page = client.watch(revision, job=answer.ok["job"])
            revision = page.revision
            over = any(entry["id"] == answer.ok["job"] and entry["state"] != "running" for entry in page.entries)


def main(pages: list[Path]) -> int:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TASHI_")}
    surroundings = kept | {"TASHI_LAB": f"man-{os.getpid()}"}
    wrong: list[str] = []
    try:
        wrong += run(ROOT / "man/tashi.7", surroundings)
        for page in [] if wrong else pages:
            restore(Client((surroundings["TASHI_CONTROLLER"],), 10.0))
            wrong += run(page, surroundings)
    finally:
        subprocess.run(["tashi-lab", "down"], env=surroundings, check=True, timeout=60)
    failed = sum(not line.startswith(" ") for line in wrong)
    count = sum(len(examples(page)) for page in [ROOT / "man/tashi.7", *pages])
    print("\n".join([*wrong, f"{count} examples of {len(pages) + 1} pages, {failed} failed"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the laboratory is taken down all the same
    given = [Path(each) for each in sys.argv[1:]]
    sys.exit(main(given or sorted((ROOT / "man").glob("*.[18]"))))
