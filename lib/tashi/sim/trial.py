"""tashi-sim: scenes and seeds are tried, and told; what is not as it was accepted, as a diff."""

from __future__ import annotations

import sys
from difflib import unified_diff
from pathlib import Path
from typing import Any

from tashi.cli.call import Call
from tashi.cli.output import Failure
from tashi.sim.run import run
from tashi.sim.scene import RULE, Scene, read, script_of
from tashi.sim.stage import Played, play
from tashi.wire.errors import Code, Refused

EVERY_LINE = 0


def try_scenes(call: Call, paths: tuple[str, ...], show_log: bool, accept: bool) -> None:
    """Play each file's scene and tell how it went; with ``accept`` write the log into the file instead."""
    for path in paths:
        text = _text(path)
        scene = read(path, text)
        played = play(scene)
        if accept and not played.violation and not played.unmet:
            _accept(path, text, played)
            scene = scene._replace(log=played.log)
        _tell(call, scene, played, show_log)
        call.output.flush()


def verdict(scene: Scene, played: Played) -> str:
    """What is wrong with a scene as it was played; empty when nothing is."""
    if played.violation:
        return played.violation
    if played.unmet:
        return "; ".join(played.unmet)
    if scene.log is not None and scene.log != played.log:
        return "it does not go as it was accepted"
    return ""


def difference(scene: Scene, played: Played) -> str:
    """How the log differs from the accepted one, as a diff; empty where nothing was accepted or nothing differs."""
    wanted = played.log if scene.log is None else scene.log
    lines = unified_diff(wanted, played.log, f"{scene.name} (accepted)", f"{scene.name} (now)", lineterm="")
    return "".join(f"{line}\n" for line in lines)


def try_seed(call: Call, seed: int) -> None:
    """A run in which people work and things go wrong by chance: its whole log, and how it ended."""
    result = run(seed, keep_lines=EVERY_LINE)
    wrong = result.violation
    if call.output.style == "json":
        ended = dict(sorted(result.ended.items()))
        told = {"seed": seed, "events": result.events, "seconds": result.seconds, "ended": ended}
        call.output.record(told | {"violation": wrong or None, "log": result.lines})
    else:
        counts = [f"{count:6d} {what}" for what, count in sorted(result.ended.items())]
        last = f"{result.events} events in {result.seconds:.0f} simulated seconds"
        call.output.text("\n".join([*result.lines, "", *counts, last, ""]))
    if wrong:
        call.fail(f"seed {seed}", Failure("violation", wrong))


def _tell(call: Call, scene: Scene, played: Played, show_log: bool) -> None:
    wrong, diff = verdict(scene, played), difference(scene, played)
    if call.output.style == "json":
        call.output.record(_record(scene, played, wrong, diff))
    elif show_log or scene.log is None:
        call.output.text("".join(f"{line}\n" for line in played.log))
    else:
        call.output.text(diff or ("" if wrong else f"{scene.name}: as accepted\n"))
    if wrong:
        call.output.flush()
        call.fail(scene.name, Failure("violation" if played.violation else "differs", wrong))


def _record(scene: Scene, played: Played, wrong: str, diff: str) -> dict[str, Any]:
    return {
        "name": scene.name,
        "ok": not wrong,
        "violation": played.violation or None,
        "unmet": played.unmet,
        "diff": diff.splitlines(),
        "log": played.log,
    }


def _text(path: str) -> str:
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise Refused(Code.BAD_REQUEST, f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _accept(path: str, text: str, played: Played) -> None:
    if path == "-":
        raise Refused(Code.BAD_REQUEST, "what comes from standard input can't be written there", "name a file")
    Path(path).write_text(script_of(text) + RULE + "\n" + "".join(f"{line}\n" for line in played.log), encoding="utf-8")
