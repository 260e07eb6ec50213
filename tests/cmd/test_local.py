"""What needs no controller: key files, a machine prepared for one, completion."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path

import pytest

from tashi.cli.completions import scripts
from tests.cmd.fake_controller import TOP, FakeController, environment, rows_of, run


def test_a_key_pair(tmp_path: Path) -> None:
    file = tmp_path / "my.key"
    done = run(tmp_path, "tashi-keygen", str(file))
    pair = tomllib.loads(file.read_text())
    assert (done.returncode, done.stdout) == (0, f"{pair['public']}\n")
    assert pair["secret"] not in done.stdout + done.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = run(tmp_path, "tashi-keygen", str(file))
    assert (again.returncode, again.stdout) == (1, "")
    assert tomllib.loads(file.read_text()) == pair
    assert run(tmp_path, "tashi-keygen", "/nowhere/my.key").stderr == (
        "tashi-keygen: /nowhere/my.key: No such file or directory\n"
    )


def test_a_machine_is_prepared_once(tmp_path: Path) -> None:
    file, state = tmp_path / "etc/tashi.toml", tmp_path / "lib/state"
    done = run(tmp_path, "tashi-init", "--config", str(file))
    assert (done.returncode, file.read_bytes()) == (0, (TOP / "packaging/tashi.toml").read_bytes()), done.stderr
    file.write_text(f'[controller]\nstate = "{state}"\n')
    plan = run(tmp_path, "tashi-init", "-n", "--config", str(file))
    expected = f"is there: {file}\nwould make: {state}, mode 0711\nwould make: {state}/server.key, mode 0600\n"
    expected += f"would make: {state}/ca.key, mode 0600\n"
    assert plan.stdout == expected
    assert not state.exists()
    done = run(tmp_path, "tashi-init", "--config", str(file))
    public = tomllib.loads((state / "server.key").read_text())["public"]
    assert done.stdout == expected.replace("would make", "made") + f'server_key = "{public}"\n'
    assert stat.S_IMODE(state.stat().st_mode) == 0o711
    secrets = (state / "server.key", state / "ca.key")
    assert [stat.S_IMODE(secret.stat().st_mode) for secret in secrets] == [0o600, 0o600]
    authority = secrets[1].read_bytes()
    again = run(tmp_path, "tashi-init", "--config", str(file))
    assert again.stdout == f'is there: {file}\nis there: {state}\nserver_key = "{public}"\n'
    assert secrets[1].read_bytes() == authority


@pytest.mark.parametrize(
    ("words", "told", "hint"),
    [
        ("up --hosts many", "invalid value for '--hosts': 'many' is not a valid integer", "tashi-lab up -h"),
        ("up --driver none", "invalid value for '--driver': 'none' is not one of 'libvirt', 'fake'", "tashi-lab up -h"),
        ("crash", "missing argument 'HOST...'", "tashi-lab crash -h"),
        ("burn", "no such command 'burn'", "tashi-lab -h"),
        ("up --driver fake --set agent.heat=9", "--set: [agent] heat: no such key", "keys of [agent] are state, "),
        ("up --driver fake --set client.key=x", "--set client.key=x: no section to set", "there are agent, controller"),
        ("up --driver fake --set heat=9", "--set heat=9: write SECTION.KEY=VALUE", None),
        ("up --driver fake --set agent.workers=x", "--set: [agent] workers: wants a whole number, not 'x'", None),
    ],
)
def test_a_lab_refuses_wrong_usage_before_anything_is_made(
    tmp_path: Path, words: str, told: str, hint: str | None
) -> None:
    name = f"refused-{os.getpid()}"
    done = run(tmp_path, f"tashi-lab --name {name} {words}")
    first, *others = done.stderr.splitlines()
    assert (done.returncode, first) == (2, f"tashi-lab: {told}")
    assert [line[: len(f"hint: {hint}")] for line in others] == ([f"hint: {hint}"] if hint else [])
    assert run(tmp_path, f"tashi-lab --name {name} status").stderr.startswith(f"tashi-lab: lab {name}: there is none")


def test_the_completions_are_those_of_the_commands() -> None:
    """`make completions` writes them; this checkout has them as they would be written now."""
    there = {
        os.path.relpath(path, TOP / "completions"): path.read_text()
        for path in (TOP / "completions").rglob("*")
        if path.is_file()
    }
    made = scripts(str(TOP / "cmd"))
    assert {path: there.get(path) for path in made} == made
    assert len(made) > 60


def complete(folder: Path, words: str, count: int) -> list[str]:
    """What bash would offer for the last word."""
    prog = words.split()[0]
    variable = f"_{prog}_COMPLETE".replace("-", "_").upper()
    more = {variable: "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(count)}
    done = run(folder, "env", *(f"{key}={value}" for key, value in more.items()), prog)
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_names_are_completed_live(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["list"] = rows_of(
        {"name": "web", "id": "v-1"}, {"name": "wiki", "id": "v-2"}, {"name": "db", "id": "v-3"}
    )
    assert complete(tmp_path, "tvm-destroy w", 1) == ["web", "wiki"]
    assert fake.bodies("list")[0]["noun"] == "vm"
    assert complete(tmp_path, "tjob-wait v", 1) == ["v-1", "v-2", "v-3"]
    assert fake.bodies("list")[1]["fields"] == "id"


def test_fields_are_completed(tmp_path: Path) -> None:
    assert complete(tmp_path, "tvm-list -o mem", 2) == ["memory_bytes"]
    assert complete(tmp_path, "tvm-list -o name,+cor", 2) == ["name,+cores"]


def test_verbs_and_their_names_are_completed(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["list"] = rows_of({"name": "p1", "id": "p-1"}, {"name": "q1", "id": "p-2"})
    assert complete(tmp_path, "zoni-pdu s", 1) == ["set", "show"]
    assert complete(tmp_path, "zoni-pdu set --out", 2) == ["--outlets"]
    assert complete(tmp_path, "zoni-pdu set p", 2) == ["p1"]
    assert fake.bodies("list")[0]["noun"] == "pdu"


def test_a_line_that_is_completed_reads_no_password(tmp_path: Path) -> None:
    password = tmp_path / "word"
    os.mkfifo(password)  # who opens it waits for ever
    assert complete(tmp_path, f"zoni-add --password-file {password} --loc", 3) == ["--location"]


@pytest.mark.parametrize("silent", [True, False])
def test_without_an_answer_there_is_nothing_to_offer(fake: FakeController, tmp_path: Path, silent: bool) -> None:
    fake.scripts["list"] = lambda body: None
    if not silent:
        del fake.scripts["list"]
    assert complete(tmp_path, "tvm-show w", 1) == []
    assert environment(tmp_path)["TASHI_CONTROLLER"] == f"ipc://{tmp_path}"
