"""Scenes: each fault at its moment, and the log that the cluster makes of it, as it was read and accepted.

A scene that goes otherwise fails with the difference; where that is as it should be, ``make bless`` accepts it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tashi.sim.scene import Scene, read
from tashi.sim.stage import play
from tashi.sim.trial import difference, verdict
from tashi.wire.errors import Refused
from tests.house.tree import ROOT
from tests.sim import bugs

SCENES = sorted(Path(__file__).with_name("scenes").glob("*.scene"))
CREATE = "0 ann$ tvm-create web --image tiny --cores 1 --memory 512M\n"


def scene(name: str) -> Scene:
    (path,) = [path for path in SCENES if path.stem == name]
    return read(path.name, path.read_text())


@pytest.mark.parametrize("path", SCENES, ids=lambda path: path.stem)
def test_a_scene_goes_as_it_was_accepted(path: Path) -> None:
    wanted = read(path.name, path.read_text())
    played = play(wanted)
    assert not verdict(wanted, played), difference(wanted, played) + "\n".join(played.log[-20:])
    assert wanted.log is not None, "nobody has accepted its log"
    assert wanted.faults or wanted.attacks, "of which fault is it a test?"


@pytest.mark.parametrize(
    ("bug", "name", "breaks"),
    [
        (bugs.orders_leave_before_the_commit, "04-after-agent-before-result-create", "I1"),
        (bugs.replies_leave_before_the_commit, "01-before-commit-create", "I1"),
        (bugs.source_is_resumed_on_silence, "29-destination-runs-and-is-cut-off", "I2"),
        (bugs.silence_is_taken_for_death, "35-power-loss", "line 7"),
        (bugs.agent_forgets_generations, "44-start-comes-after-its-destruction", "I7"),
        (bugs.one_shots_are_not_written_down, "43-power-button-a-hundred-times", "I7"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_scene_finds_the_bug_that_it_is_about(
    bug: Callable[[pytest.MonkeyPatch], None], name: str, breaks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bug(monkeypatch)
    wanted = scene(name)
    played = play(wanted)
    assert breaks in verdict(wanted, played) + "\n".join(played.log)


def test_a_scene_is_the_same_in_another_process() -> None:
    path = ROOT / "tests/sim/scenes/29-hosts-cut-at-switch-over.scene"
    words = [sys.executable, str(ROOT / "cmd/tashi-sim"), "--log", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == play(read(path.name, path.read_text())).log


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "nothing happens in it"),
        ("5 dance", "a.scene:1: 'dance' is no sentence"),
        ("5 kill controller twice", "'twice' is too much"),
        ("5 cut power h9", "'h9' is no host of this scene: h1, h2, h3"),
        ("5 cut power", "where is HOST"),
        ("5 lose 0 rows from controller to h1", "'0' is not a number from 1"),
        ("5 lose 1 letters from controller to h1", "'letters' is no kind of message"),
        ("5 mend all\n4 mend all", "a.scene:2: 4: the line before is later"),
        ("5 mend all\nhost h4 1 cores 1G", "before anything happens"),
        ("host h1 1 cores 1G\nhost h1 1 cores 1G\n5 mend all", "there is a host h1 already"),
        ("machine m1 s1:p1\nmachine m1 s1:p2\n5 mend all", "there is a machine m1 already"),
        ("machine m1 s1\n5 mend all", "'s1' is not SWITCH:PORT"),
        ("domain red 100\ndomain red 200\n5 mend all", "there is a domain red already"),
        ("machine m1 s1:p1\n5 mute h1", "'h1' is no device of this scene: m1, s1"),
        ("5 kill agent zoni", "'zoni' is no agent of this scene: h1, h2, h3"),
        ("5 eve$ tvm-destroy web", "eve is nobody of this scene"),
        ("5 ann$ tvm-destroy", "which vm"),
        ("5 ann$ tvm-list", "asks the controller for nothing that changes"),
        ("5 ann$ rm -rf web", "no command that asks the controller"),
        ("5 ann$ tvm-destroy -", "no standard input"),
        ("5 ann$ tvm-destroy --help", "only tells about itself"),
        ("set colour blue\n5 mend all", "colour can't be set"),
        ("set policy scatter\n5 mend all", "policies are pack and spread"),
        ("soon mend all", "'soon' is not a duration"),
    ],
)
def test_what_is_no_scene_is_told_so(text: str, why: str) -> None:
    with pytest.raises(Refused) as refused:
        read("a.scene", text)
    assert why in refused.value.text


def test_an_expectation_that_is_not_met_is_told() -> None:
    played = play(read("a.scene", CREATE + "5 expect vm web running on h3\n5 expect no guest web\n5 expect line storm"))
    assert [unmet.rpartition(": ")[2] for unmet in played.unmet] == [
        "web is running on h1",
        "web runs on h1",
        "no line says so",
    ]


def test_an_expectation_of_a_machine_that_is_not_met_is_told() -> None:
    there = "machine m1 s1:p1\nmachine m2 s1:p2\ndomain red 100\n"
    there += "0 root$ zoni-reserve m2 --until 2026-01-02T00:00Z\n1 root$ zoni-allocate m2 --domain red\n"
    is_there = ("machine {} in red", "ports {} in red", "power {} on")
    is_not = ("machine {} in none", "ports {} in none", "power {} off")
    asked = [f"20 expect {what.format(name)}" for name in ("m1", "m2") for what in (*is_there, *is_not)]
    played = play(read("a.scene", there + "\n".join(asked)))
    assert [unmet.rpartition(": ")[2] for unmet in played.unmet] == [
        "m1 is in none", "its ports pass nothing", "m1 is not on",
        "m2 is in red", "its ports pass 100", "m2 is not off",
    ]  # fmt: skip


def test_machines_whose_names_have_the_same_letters_are_two() -> None:
    there = "machine m12 s1:p1\nmachine m21 s1:p2\n"
    played = play(read("a.scene", there + "5 expect power m12 off\n5 expect power m21 off"))
    assert not played.violation and not played.unmet


def test_a_cue_that_never_comes_is_told() -> None:
    played = play(read("a.scene", CREATE + 'when "h2 runs web": mend all'))
    assert played.unmet == ['a.scene:2: when "h2 runs web": mend all: no line of the log says that']


def test_settings_are_the_controllers() -> None:
    create = CREATE + CREATE.replace("web", "db")
    assert "db          running on h1" in "\n".join(play(read("a.scene", create)).log)
    assert "db          running on h2" in "\n".join(play(read("a.scene", "set policy spread\n" + create)).log)
