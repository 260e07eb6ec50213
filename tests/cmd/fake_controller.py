"""A controller that says what a test tells it to say, over the real sockets. It keeps nothing and decides nothing."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zmq

TOP = Path(__file__).resolve().parents[2]

# What a verb is answered with: its record, (record, rows), an error's record, or None for silence.
Said = dict[str, Any] | tuple[dict[str, Any], bytes] | None
Script = Callable[[dict[str, Any]], Said]


class FakeController:
    """``scripts`` by verb; every request is kept in ``asked``, in the order of arrival."""

    def __init__(self, address: str, secret: bytes = b"") -> None:
        self.address, self._secret = address, secret
        self.scripts: dict[str, Script] = {"changes": all_done}
        self.asked: list[dict[str, Any]] = []
        self.revision = 7
        self.garbage = False
        self._context = zmq.Context()
        self._steer = self._context.socket(zmq.PAIR)
        self._steer.bind("inproc://steer")
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(5)

    def bodies(self, verb: str) -> list[dict[str, Any]]:
        return [each["body"] for each in self.asked if each["verb"] == verb]

    def restart(self) -> None:
        """Drop every connection, as a crash does, and come back."""
        self._ready.clear()
        self._steer.send(b"restart")
        assert self._ready.wait(5)

    def stop(self) -> None:
        self._steer.send(b"stop")
        self._thread.join(5)
        self._steer.close(0)
        self._context.term()

    def _open(self) -> zmq.Socket[bytes]:
        router = self._context.socket(zmq.ROUTER)
        router.setsockopt(zmq.LINGER, 0)
        if self._secret:
            router.curve_server, router.curve_secretkey = True, self._secret
        router.bind(self.address)
        return router

    def _run(self) -> None:
        steer = self._context.socket(zmq.PAIR)
        steer.connect("inproc://steer")
        router = self._open()
        self._ready.set()
        while True:
            readable = zmq.select([steer, router], [], [])[0]
            if steer in readable:
                word = steer.recv()
                router.close(0)
                if word == b"stop":
                    steer.close(0)
                    return
                router = self._open()
                self._ready.set()
            else:
                self._answer(router)

    def _answer(self, router: zmq.Socket[bytes]) -> None:
        peer, frame = router.recv_multipart()
        request = json.loads(frame)
        self.asked.append(request)
        script = self.scripts.get(request["verb"])
        said = script(request["body"]) if script else error("unknown-verb", f"{request['verb']}: no such verb")
        if self.garbage:
            router.send_multipart([peer, b"\xff not a reply"])
            return
        if said is None:
            return
        ok, rows = said if isinstance(said, tuple) else (said, None)
        reply = {"id": request["id"], "revision": self.revision, **({"error": ok["!"]} if "!" in ok else {"ok": ok})}
        router.send_multipart([peer, json.dumps(reply).encode(), *([] if rows is None else [rows])])


def error(code: str, text: str, hint: str = "") -> dict[str, Any]:
    """What a script returns to refuse."""
    return {"!": {"code": code, "text": text, "hint": hint}}


def rows_of(*records: dict[str, Any]) -> Script:
    """A list verb with these records: filters by names, formats JSON, and tables of names only."""

    def answer(body: dict[str, Any]) -> Said:
        names = body.get("names") or []
        found = [each for each in records if not names or each["name"] in names or each["id"] in names]
        known = {word for each in found for word in (each["name"], each["id"])}
        missing = {
            each: {"code": "not-found", "text": f"{each}: no such {body['noun']}"}
            for each in names
            if each not in known
        }
        if body["format"] == "json":
            lines = [json.dumps(each) for each in found]
        else:
            keys = (body.get("fields") or "name,state").split(",")
            lines = ["\t".join(str(each.get(key, "")) for key in keys) for each in found]
        header = "NAME\tSTATE\n" if body["format"] == "table" else ""
        return {"rows": len(lines), "header": header, "missing": missing}, "".join(
            f"{line}\n" for line in lines
        ).encode()

    return answer


def all_done(body: dict[str, Any]) -> Said:
    """A long poll's answer: every operation that is asked about has ended well."""
    jobs = body.get("ids") or [body.get("job")]
    return {"entries": [{"kind": "job", "id": job, "name": "", "state": "done"} for job in jobs], "revision": 8}


def accepted(job: str, name: str, identity: str = "v-1", **more: Any) -> dict[str, Any]:
    """A changing verb's answer."""
    return {"job": job, "kind": "vm", "objects": {identity: name}, **more}


def ended(job: str, state: str = "done", revision: int = 8, **more: Any) -> dict[str, Any]:
    """A long poll's answer: an operation has ended."""
    entry = {
        "revision": revision,
        "at": "",
        "kind": "job",
        "id": job,
        "name": "web",
        "state": state,
        "job": job,
        **more,
    }
    return {"entries": [entry], "revision": revision}


@contextmanager
def controller(folder: Path, secret: bytes = b"", address: str = "") -> Iterator[FakeController]:
    """One that is there while the block runs."""
    fake = FakeController(address or f"ipc://{folder}/admin.sock", secret)
    try:
        yield fake
    finally:
        fake.stop()


def environment(folder: Path, **more: str) -> dict[str, str]:
    """What a command sees: the checkout's libraries, the controller in ``folder``, nobody's own tashi.toml."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TASHI", "XDG", "_TVM"))}
    kept["PATH"] = f"{os.path.dirname(sys.executable)}:{TOP / 'cmd'}:{kept['PATH']}"
    kept["PYTHONPATH"] = f"{TOP / 'lib'}:{TOP / 'daemon'}:{TOP}"
    return {**kept, "TASHI_CONTROLLER": f"ipc://{folder}", "XDG_CONFIG_HOME": str(folder / "config"), **more}


def run(folder: Path, *words: str, stdin: str = "", **more: Any) -> subprocess.CompletedProcess[str]:
    """A command to its end, within 20 s: its words, or one line as it would be typed."""
    return subprocess.run(
        shlex.split(words[0]) if len(words) == 1 else words,
        env=environment(folder),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        **more,
    )
