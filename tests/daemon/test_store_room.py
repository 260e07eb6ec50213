"""A store without room: nothing new is taken, what makes room is, and everything is again once there is some."""

from __future__ import annotations

import itertools
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tashi.core.turn import done_key
from tashid.store.interface import Full, LogEntry, Put
from tashid.store.open import open_store
from tests.daemon.processes import Asker, Controller, Host, until

MIB = 2**20
LIMIT = 40 * MIB
MACHINE = {"image": "tiny", "cores": 1, "memory_bytes": MIB}


class Site:
    """A controller whose folder may have a file system of its own, and one fake host with ``count`` guests."""

    def __init__(self, controller: Controller, count: int) -> None:
        self.controller, self.count = controller, count
        self.host = Host(controller, "h1")
        facts = 'driver = "fake"\ncores = 4000\nmemory = "2T"\ndisk = "400T"\n'
        small = 'driver = "fake"\ncores = 64\nmemory = "256G"\ndisk = "4T"\n'
        text = self.host.config.read_text().replace(small, facts)
        assert facts in text
        self.host.config.write_text(f"{text}seconds_start = 0.0\n")

    @property
    def asker(self) -> Asker:
        return self.controller.local()

    def begin(self) -> None:
        self.controller.start()
        assert self.host.enroll()[0] == 0
        self.host.start()
        images = self.controller.folder / "pool/images"
        images.mkdir()
        (images / "tiny.raw").write_bytes(bytes(4096))
        asker = self.asker
        asker.ok("image.add", name="tiny", path="images/tiny.raw", format="raw")
        until(lambda: [each["state"] for each in rows(asker, "image")] == ["ready"], "the image is ready")
        for number in range(self.count):
            asker.ok("vm.create", name=f"vm{number}", **MACHINE)
        until(lambda: states(asker) == ["running"] * self.count, "all run", 120)

    def restart(self, more: str = "") -> None:
        """The controller; its settings with ``more``."""
        self.controller.config.write_text(self.controller.config.read_text() + more)
        self.controller.start()
        until(lambda: self.asker.ok("status")["hosts"] == {"up": 1}, "its host is up")


def rows(asker: Asker, noun: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in asker.ask("list", noun=noun, limit=10_000).get("rows", "").splitlines()]


def states(asker: Asker) -> list[str]:
    return [each["state"] for each in rows(asker, "vm")]


@pytest.fixture
def controller() -> Iterator[Controller]:
    made = Controller(more=f'store_limit = "{LIMIT // MIB}M"')
    mounts: list[Path] = []
    made.mounts = mounts  # type: ignore[attr-defined]
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.kill()
        for each in mounts:
            subprocess.run(["umount", str(each)], check=True, timeout=20)
        made.close()


@pytest.fixture
def site(controller: Controller, request: pytest.FixtureRequest) -> Iterator[Site]:
    made = Site(controller, request.param)
    try:
        yield made
    finally:
        made.host.close()


def nothing_new(asker: Asker, reason: str) -> None:
    """What would grow the store is refused, and says why; what only reads is served."""
    for verb, body in {"vm.create": {"name": "more", **MACHINE}, "user.add": {"name": "more", "uid": 5}}.items():
        error = asker.ask(verb, **body)["error"]
        assert (error["code"], error["retry"], reason in error["text"]) == ("unavailable", True, True), error
        assert error["hint"]
    assert asker.ask("list", noun="user").get("rows", "") == ""


def fails(asker: Asker, number: int) -> bool:
    """Whether there is no room for one more user."""
    return unavailable(asker, "user.add", name=f"user{number}", uid=number)


def unavailable(asker: Asker, verb: str, **body: Any) -> bool:
    """Whether a request is refused for want of room; for nothing else it may be."""
    error = asker.ask(verb, **body).get("error")
    assert error is None or error["code"] == "unavailable", error
    return error is not None


def destroy_all(site: Site) -> None:
    """Each of them, and all is over when the host's reports are stored as well."""
    asker = site.asker
    for vm in rows(asker, "vm"):
        asker.ok("vm.destroy", name=vm["id"])
    until(lambda: states(asker) == [], "all are gone", 120)
    until(lambda: asker.ok("status")["jobs_running"] == 0, "all operations have ended", 120)


def fill_to_limit(folder: str) -> None:
    """Ended operations, with the change log's entries that they go with, until not the smallest more is taken."""
    row = {"verb": "vm.create", "by": "root", "kind": "vm", "target": "v-1", "name": "a", "created_at": "now"}
    with closing(open_store(folder, LIMIT)) as store:
        epoch, size = store.acquire(), 1_000_000
        while size > 10:
            number = store.head() + 1
            key = done_key(f"j-{10**6 + number}")
            value = json.dumps({"id": f"j-{10**6 + number}", "state": "done", "reason": "x" * size} | row).encode()
            entry = LogEntry(number, time.time(), json.dumps({"revision": number}).encode(), (("done", key),))
            try:
                store.commit([Put("done", key, value)], [entry], epoch=epoch)
            except Full:
                size //= 10


def at_the_limit(site: Site) -> None:
    site.begin()
    site.controller.stop()
    fill_to_limit(f"{site.controller.folder}/state/store")
    site.restart()
    assert "the store is nearly full" in site.controller.log
    nothing_new(site.asker, f"its limit is {LIMIT}")
    destroy_all(site)
    site.controller.stop()
    site.restart("log_entries = 1000\nlog_days = 0.001\n")  # the last section of the file is the controller's
    until(lambda: not fails(site.asker, 5), "there is room once it is pruned")


def on_a_full_disk(site: Site) -> None:
    state = site.controller.folder / "state"
    state.mkdir(mode=0o700)
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=0700", "none", str(state)], check=False)
    if mount.returncode:
        pytest.skip("can't mount a tmpfs here")
    site.controller.mounts.append(state)  # type: ignore[attr-defined]
    site.begin()
    filler = state / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(bytes(64 * MIB))
    asker = site.asker
    numbers = itertools.count(1000)
    # What is refused for want of a page may be followed by something smaller that still finds one.
    until(lambda: fails(asker, next(numbers)), "there is no room for one more user")
    until(lambda: unavailable(asker, "vm.create", name=f"more{next(numbers)}", **MACHINE), "nor for one more VM")
    users = [each["name"] for each in rows(asker, "user")]
    assert len(rows(asker, "vm")) >= site.count
    destroy_all(site)
    site.controller.kill()
    site.controller.start()  # it starts on a full disk
    assert states(site.asker) == []
    filler.unlink()
    site.asker.ok("user.add", name="more", uid=5)
    assert [each["name"] for each in rows(site.asker, "user")] == [*users, "more"]


WAYS: dict[str, Callable[[Site], None]] = {"limit": at_the_limit, "disk": on_a_full_disk}


@pytest.mark.fault(12, 13)
@pytest.mark.parametrize("site", [60], indirect=True)
@pytest.mark.parametrize("way", WAYS)
def test_without_room_nothing_new_is_taken_and_all_can_be_destroyed(site: Site, way: str) -> None:
    WAYS[way](site)


@pytest.mark.fault(12, 13)
@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("site", [1000], indirect=True)
@pytest.mark.parametrize("way", WAYS)
def test_a_thousand_are_destroyed_without_room(site: Site, way: str) -> None:
    WAYS[way](site)
