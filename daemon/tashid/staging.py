"""Where a store comes to be that is not made by its controller: whole first, then under its name, by one rename.

A store that comes back, from a backup or an export, is older than the agents' memory of it. So its epoch and all
counters are raised by MARGIN, that no lease and no id is given a second time; and it is marked (``restored`` in the
table meta) with the counters as they were, so that the controller compares first what it knows with what hosts report.
Certificates that may have been given since are revoked: a host of the list is given another when its agent reports.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from tashi.config import Controller
from tashi.core.backups import KIND
from tashi.core.turn import done_key
from tashi.model.job import Job, JobState
from tashi.model.name import ID_LETTER
from tashi.model.units import stamp
from tashi.run.files import write_durably
from tashi.wire.errors import Code, NotFound, Refused
from tashid import contents
from tashid.contents import Last
from tashid.store.disk import sync_directory
from tashid.store.interface import Damaged, Put
from tashid.store.lmdb import LmdbStore
from tashid.store.place import Lock, refuse_network
from tashid.store.snapshot import Snapshot

MARGIN = 1000  # epochs, and ids of each kind, that may have been given since
MARK = "restored"
CERTIFICATES = ("certificate", "revocation")  # counters, as those of ids are
STORE = ("data.mdb", "data.mdb-lock", "ballast")  # where one of these is, there is a store, or was one


class Report(NamedTuple):
    """What came back: lines and digest of its export, its epoch now, and where the former store is (may be empty)."""

    lines: int
    digest: str
    epoch: int
    former: str

    def told(self, dry_run: bool) -> str:
        """For people."""
        rest = f"{self.lines} lines, digest {self.digest}"
        kept = f"kept: {self.former}\n" if self.former else ""
        return f"would restore: {rest}\n" if dry_run else f"{kept}restored: {rest}, epoch {self.epoch}\n"


class Staging:
    """The controller's folder, locked: what is made in ``folder`` becomes its store by ``finish``.

    ``keys`` are to be there too. Raises Refused for what is there already, unless ``replace`` keeps it beside; Locked
    while a controller runs. Where no store comes to be, nothing new is left behind.
    """

    def __init__(self, own: Controller, replace: bool, wall: float, keys: dict[str, str]) -> None:
        self._state, self._limit, self._wall, self._keys = own.state, own.store_limit, wall, keys
        self._life = own.certificate_days * 86400
        self._store = os.path.join(own.state, "store")
        self._place = os.path.join(self._store, "data.mdb")
        self.folder = os.path.join(self._store, "staged")
        if not os.path.isdir(own.state):
            raise NotFound(f"{own.state}: no such folder", "tashi-init makes it")
        refuse_network(own.state)
        self._new = [path for path in (self._store, os.path.join(self._store, "lock")) if not os.path.lexists(path)]
        os.makedirs(self._store, mode=0o700, exist_ok=True)
        self._lock = Lock(self._store)
        self._replace = replace
        try:
            self._refuse_to_replace()
            self._clear()
            os.mkdir(self.folder, 0o700)
        except BaseException:
            self._leave()
            raise

    @property
    def data(self) -> str:
        """The data file that is to become the store's."""
        return os.path.join(self.folder, "data.mdb")

    def digest(self) -> Last:
        """What stands for all that is in it, as it is now."""
        with closing(Snapshot(self.data, beside=False)) as snapshot:
            return contents.digest(snapshot)

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()
        self._leave()

    def _leave(self) -> None:
        unused = self._new if not os.path.lexists(self._place) else []
        self._lock.release(forget=bool(unused))
        if self._store in unused:
            with suppress(OSError):  # somebody else uses it by now
                os.rmdir(self._store)

    def _refuse_to_replace(self) -> None:
        there = [name for name in STORE if os.path.lexists(os.path.join(self._store, name))]
        there = [os.path.join(self._store, name) for name in there]
        there += [path for name, text in self._keys.items() if _differs(path := self._key(name), text)]
        if there and not self._replace:
            beside = ", or have tashi-restore --replace keep it beside" if self._keys else ""  # an export has none
            raise Refused(
                Code.CONFLICT, f"{there[0]}: it is there already, nothing was changed", f"move it away{beside}"
            )

    def _key(self, name: str) -> str:
        if os.path.basename(name) != name or not name.endswith(".key"):
            raise Damaged(f"backup: {name!r} is no name of a key file", "use another backup")
        return os.path.join(self._state, name)

    def _clear(self) -> None:
        with suppress(FileNotFoundError):
            shutil.rmtree(self.folder)

    def finish(self, found: Last, dry_run: bool) -> Report:
        """Raise, mark, look through once more, and give it its name."""
        with closing(LmdbStore(self.folder, self._limit)) as store:  # of an older schema: it is upgraded here
            epoch = store.acquire(MARGIN)
            store.commit(list(raised(store, self._wall, self._wall + self._life)), [], epoch=epoch, reserve=True)
        with closing(Snapshot(self.data, beside=False)) as snapshot:
            wrong = contents.wrong(snapshot)
        if wrong:
            raise Damaged(f"what was to be restored: {wrong[0]}", "use another backup")
        if dry_run:
            return Report(found.lines, found.digest, epoch, "")
        aside = f".replaced-{stamp(self._wall)}"
        for name, text in self._keys.items():
            _put_key(self._key(name), text, aside)
        former = ""
        if os.path.lexists(self._place):
            former = self._place + aside
            os.link(self._place, former, follow_symlinks=False)
        self._give_to_owner([self._store, self.data, *self._others()])
        with suppress(FileNotFoundError):
            os.unlink(self._place + "-lock")  # it says which transaction was the former store's last
        os.rename(self.data, self._place)
        sync_directory(self._store)
        return Report(found.lines, found.digest, epoch, former)

    def _others(self) -> list[str]:
        names = [os.path.join(self._store, name) for name in os.listdir(self._store) if name != "staged"]
        return names + [self._key(name) for name in self._keys]

    def _give_to_owner(self, paths: list[str]) -> None:
        """The controller is not root: what root makes here belongs to whoever the folder belongs to."""
        owner = os.stat(self._state)
        if os.geteuid() == 0:
            for path in paths:
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def raised(store: LmdbStore, wall: float, certified: float) -> Iterator[Put]:
    """Counters out of the reach of what may have been given since, no copy under way, and the mark.

    Certificates given since end at the instant ``certified`` at the latest.
    """
    meta = {key: msgspec.json.decode(value) for key, value in store.load("meta")}
    before = {key: number for key, number in meta.items() if key in (*ID_LETTER, *CERTIFICATES)}
    for key in (*before, *(key for key in CERTIFICATES if key not in before)):
        yield Put("meta", key, msgspec.json.encode(before.get(key, 0) + MARGIN))
    last = before.get("certificate", 0)
    unknown = {str(number): certified for number in range(last + 1, last + MARGIN + 1)}
    yield Put("meta", "revoked", msgspec.json.encode(meta.get("revoked", {}) | unknown))
    for key, value in store.load("job"):
        job = msgspec.json.decode(value, type=Job)
        if job.kind == KIND:  # the backup that is being restored: it has not to be made again
            over = replace(job, state=JobState.CANCELLED, phase="", reason="restored since", ended_at=stamp(wall))
            yield Put("job", key, None)
            yield Put("done", done_key(key), msgspec.json.encode(over))
    yield Put("meta", MARK, msgspec.json.encode({"at": stamp(wall), "counters": before}))


def _differs(path: str, text: str) -> bool:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read() != text
    except FileNotFoundError:
        return False


def _put_key(path: str, text: str, aside: str) -> None:
    if _differs(path, text):
        os.link(path, path + aside, follow_symlinks=False)
    write_durably(path, text.encode(), 0o600)
