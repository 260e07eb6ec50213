"""The lab's controller: one process outside the hosts, and what is asked of it while a lab is made."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tomli_w

from tashi.client import Client
from tashi.lab.call import call, wait_until
from tashi.lab.guests import build
from tashi.lab.process import Process, spawn, tail
from tashi.lab.programs import program, surroundings
from tashi.lab.record import Folders, Record
from tashi.wire.errors import Unavailable

ASK_SECONDS = 15.0
HOSTS_SECONDS = 60.0
JOB_SECONDS = 30.0


class Controller:
    """``address``: where it listens, for agents and for people."""

    def __init__(self, folders: Folders, record: Record, address: str) -> None:
        self.folders, self.record, self.address = folders, record, address
        self.run = folders.run / "controller"
        self.config = folders.data / "tashi.toml"
        self.log = folders.data / "controller.log"

    @property
    def url(self) -> str:
        """What TASHI_CONTROLLER must be."""
        return f"ipc://{self.run}"

    def configure(self) -> None:
        """Write the tashi.toml that controller and commands share."""
        (self.folders.data / "pool" / "images").mkdir(parents=True, exist_ok=True)
        controller = {
            "state": str(self.folders.data / "controller"),
            "run": str(self.run),
            "listen": [self.address],
            "address": self.address,
        }
        pool = {"path": str(self.folders.data / "pool")}
        if self.record.kind == "fake":
            pool["capacity"] = f"{4 * len(self.record.hosts)}T"  # as the hosts say, not as this disk has
        sections: dict[str, dict[str, Any]] = {
            "client": {"controller": [self.url]},
            "controller": controller | self.record.ports | self.record.settings.get("controller", {}),
            "pool": pool | self.record.settings.get("pool", {}),
        }
        self.config.write_text(tomli_w.dumps(sections))

    # -- the process ---------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Start it and wait until it answers; running already is success."""
        if self.process() is None:
            argv = [*program("tashi-controller"), "--config", str(self.config)]
            self.record.controller = spawn(argv, self.log, surroundings(self.record.mark))
            self.folders.save(self.record)
        wait_until(self._answers, "the controller answers", seconds=ASK_SECONDS, log=self.log)

    def stop(self, number: signal.Signals) -> None:
        """Ended already is success."""
        if self.record.controller is not None:
            self.record.controller.end(number)
        self.record.controller = None
        self.folders.save(self.record)

    def process(self) -> Process | None:
        process = self.record.controller
        return process if process is not None and process.alive() else None

    def _answers(self) -> bool:
        if self.process() is None:
            raise Unavailable("the controller ended at once", tail(self.log))
        if not any(self.run.glob("*.sock")):
            return False
        self.ask("status", {})
        return True

    # -- questions -----------------------------------------------------------------------------------------------------
    def ask(self, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        """One request by the administrator's socket; returns ``ok``, raises the controller's error."""
        client = Client((self.url,), ASK_SECONDS)
        try:
            return client.ask(verb, body).ok
        finally:
            client.close()

    def rows(self, noun: str, names: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        """The records of a noun as its list command prints them."""
        client = Client((self.url,), ASK_SECONDS)
        try:
            answer = client.ask("list", {"noun": noun, "names": list(names), "format": "json", "full": True})
        finally:
            client.close()
        return [json.loads(line) for line in answer.rows.splitlines()]

    def add_hosts(self, names: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Make hosts known, in this order; returns each one's enrolment document, as an administrator gets it."""
        environment = surroundings(self.record.mark) | {"TASHI_CONFIG": str(self.config)}
        printed = call([*program("thost-add"), "-j", *names], environment=environment)
        return {each["name"]: each["enrolment"] for each in map(json.loads, printed.splitlines())}

    def wait_hosts(self) -> None:
        """Until every host of the lab is up in the controller's eyes."""

        def all_up() -> bool:
            up = {each["name"] for each in self.rows("host") if each["health"] == "up"}
            return up >= self.record.hosts.keys()

        wait_until(all_up, "all hosts are up", seconds=HOSTS_SECONDS, log=self.log)

    def add_images(self, kernel_args: str) -> None:
        """Register the lab's two images, whose files are in the pool already."""
        linux = {"kernel": f"images/{build.VMLINUZ}", "initrd": f"images/{build.INITRD}", "kernel_args": kernel_args}
        self._add_image({"name": "tiny", "path": f"images/{build.TINY}", "format": "raw"})
        self._add_image({"name": "linux", "path": f"images/{build.LINUX}", "format": "raw"} | linux)

    def _add_image(self, body: dict[str, Any]) -> None:
        accepted = self.ask("image.add", body)

        def over() -> bool:
            job = self.rows("job", (accepted["job"],))[0]
            if job["state"] in ("failed", "cancelled"):
                raise Unavailable(f"image {body['name']}: {job['reason']}")
            return bool(job["state"] == "done")

        wait_until(over, f"image {body['name']} is registered", seconds=JOB_SECONDS, log=self.log)


def pool_images(folders: Folders) -> Path:
    """Where the image files lie."""
    return folders.data / "pool" / "images"
