"""Killed at any moment under load: what was acknowledged is there afterwards, and nothing is there twice."""

from __future__ import annotations

import os
import threading
import time
from functools import partial
from typing import Any

import pytest

from tests.daemon.processes import Controller, until


class Load(threading.Thread):
    """A client that adds users as fast as it gets answers, and asks again what was not answered."""

    def __init__(self, controller: Controller, first: int) -> None:
        super().__init__()
        self.controller, self.number = controller, first
        self.acknowledged: list[str] = []
        self.wrong: list[dict[str, Any]] = []
        self.over = False

    def run(self) -> None:
        asker = self.controller.local()
        while not self.over:
            self.number += 1
            name = f"user{self.number}"
            while True:
                asker.send("user.add", f"request-{self.number}", name=name, uid=self.number)
                if not asker.silent(0.5):
                    break
                asker.close()  # no answer: a new connection, the same request
                asker = self.controller.local()
            answer = asker.reply()
            if answer.get("error"):
                self.wrong.append(answer)
            self.acknowledged.append(name)
        asker.close()


def has_grown(loads: list[Load], above: int) -> bool:
    return sum(len(load.acknowledged) for load in loads) > above


def kill_under_load(controller: Controller, kills: int) -> None:
    loads = [Load(controller, 100_000 * (n + 1)) for n in range(4)]
    for load in loads:
        load.start()
    try:
        for kill in range(kills):
            before = sum(len(load.acknowledged) for load in loads)
            until(partial(has_grown, loads, before + 20), "work goes on")
            time.sleep(0.003 * (kill % 11))  # not always at the same moment of a batch
            controller.kill()
            controller.start()
    finally:
        for load in loads:
            load.over = True
        for load in loads:
            load.join()
    assert not [load.wrong for load in loads if load.wrong], "done twice, or half"
    names, cursor, asker = list[str](), "", controller.local()
    while True:
        answer = asker.ask("list", noun="user", format="name", cursor=cursor)
        names += answer.get("rows", "").split()
        cursor = answer["ok"].get("cursor", "")
        if not cursor:
            break
    assert sorted(names) == sorted(name for load in loads for name in load.acknowledged)


@pytest.mark.fault(1, 2, 3, 4, 5)
def test_killed_under_load_nothing_acknowledged_is_lost(controller: Controller) -> None:
    kill_under_load(controller, 10)


@pytest.mark.soak
def test_killed_under_load_for_long(controller: Controller) -> None:
    kill_under_load(controller, int(os.environ.get("TASHI_KILLS", "200")))
