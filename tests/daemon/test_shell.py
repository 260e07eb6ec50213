"""The shell without processes: what leaves, what stays, and what the state is when the store fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any

import pytest

from tashi.core.cluster import Cluster, Now
from tashi.core.decision import Park
from tashi.core.settings import Settings
from tashi.run.log import Log
from tashi.wire.errors import TashiError, Unavailable
from tashid import shell as shells
from tashid import watch
from tashid.incoming import Incoming
from tashid.principal import Directory, Named, Peer, numbered
from tashid.shell import Shell
from tashid.store.interface import WORKING_TABLES, Damaged, LogEntry, Put
from tashid.store.memory import Contents, MemoryStore
from tashid.tail import Retention

ADMIN, AGENT, ENROLL = Peer("admin", uid=0), Peer("agent", key="k" * 40), Peer("enroll", key="k" * 40)
SECRET = b"s" * 32


class Counting(MemoryStore):
    """Counts commits; fails when told to."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.commits: list[tuple[int, bool]] = []
        self.fails = ""

    def commit(self, puts: Sequence[Put], log: Sequence[LogEntry], *, epoch: int, reserve: bool = False) -> None:
        if self.fails:
            raise Unavailable(self.fails)
        super().commit(puts, log, epoch=epoch, reserve=reserve)
        self.commits.append((len(log), reserve))


class Bench:
    """A shell on a store in memory, with a clock that stands still, and everything that it sent."""

    def __init__(
        self, contents: Contents | None = None, limit: int = 2**30, named: Callable[[int], Named | None] = numbered
    ) -> None:
        self.store = Counting(contents=contents, limit_bytes=limit)
        self.seconds = 100.0
        self.cluster = load(self.store, self.now())
        self.sent: list[tuple[Any, list[bytes]]] = []
        self.numbers = count(1)
        self.shell = Shell(
            self.cluster,
            self.store,
            Directory(self.cluster, named),
            lambda connection, frames: self.sent.append((connection, frames)),
            self.now,
            Log("test"),
            Retention(10_000, 1e9),
        )

    def now(self) -> Now:
        return Now(self.seconds, 1e9 + self.seconds)

    def message(self, verb: str, peer: Peer = ADMIN, identity: str = "", **body: Any) -> Incoming:
        number = next(self.numbers)
        request = {"id": identity or f"request-{number}", "verb": verb, "body": body}
        return Incoming(number, peer, json.dumps(request).encode())

    def serve(self, *messages: Incoming) -> list[Any]:
        """One batch; the replies that it made, decoded."""
        before = len(self.sent)
        self.shell.serve(messages)
        return [decode(frames[0]) for connection, frames in self.sent[before:] if connection != "agent"]

    def ask(self, verb: str, peer: Peer = ADMIN, **body: Any) -> Any:
        (reply,) = self.serve(self.message(verb, peer, **body))
        assert reply["error"] is None, reply
        return reply["ok"]

    def image(self) -> None:
        """A host with an agent that says yes to everything, and an image that it has inspected."""
        token = self.ask("host.add", name="h1")["extra"]["token"]
        self.ask("enroll", ENROLL, token=token, host="h1", key=AGENT.key)
        facts = {"cores": 64, "memory_bytes": 2**38, "pool_bytes": 2**40}
        who = {"host": "h1", "uuid": "m", "boot_id": "b", "incarnation": 1}
        self.tell({"say": "hello", **who, "epoch": 0, "facts": facts})
        self.tell({"say": "inventory", "incarnation": 1, "seq": 1, "boot_id": "b", "guests": []})
        self.ask("image.add", name="tiny", path="tiny.raw", format="raw")
        (shot,) = [said for said in self.said() if said["say"] == "shot"]
        done = {"job": shot["job"], "outcome": "done", "result": {"size_bytes": "512"}}
        self.tell({"say": "tell", "incarnation": 1, "seq": 2, "boot_id": "b", "shot": done})

    def tell(self, message: dict[str, Any]) -> None:
        self.shell.serve([Incoming("agent", AGENT, json.dumps(message).encode())])

    def said(self) -> list[dict[str, Any]]:
        """What the agent has been told."""
        return [json.loads(frames[0]) for connection, frames in self.sent if connection == "agent"]


def load(store: MemoryStore, now: Now) -> Cluster:
    cluster = Cluster(Settings(), lambda: SECRET)
    epoch = store.acquire()
    for table in WORKING_TABLES:
        cluster.load(table, store.load(table))
    cluster.loaded(now, epoch, store.head())
    return cluster


def decode(frame: bytes) -> Any:
    return {"ok": None, "error": None, **json.loads(frame)}


def tables(cluster: Cluster) -> dict[str, Any]:
    """All records, and what is derived from them."""
    state = cluster.state
    kept = {name: dict(state.tables[name]) for name in ("vm", "host", "image", "user", "job", "meta")}
    derived = (state.names, state.host_of_key, state.user_of_key, state.user_of_uid, state.pool.used_bytes)
    by_host = {host: set(vms) for host, vms in state.vms_of_host.items() if vms}
    return {**kept, "derived": derived, "by_host": by_host, "waiting": list(state.waiting), "head": cluster.revision}


def users(numbers: Iterable[int], bench: Bench) -> list[Incoming]:
    return [bench.message("user.add", name=f"user{number}", uid=1000 + number) for number in numbers]


# -- batches ----------------------------------------------------------------------------------------------------------
def test_a_batch_is_one_commit_and_one_reply_each() -> None:
    bench = Bench()
    replies = bench.serve(*users(range(100), bench), bench.message("list", noun="user"))
    assert len(bench.store.commits) == 1
    assert len(replies) == 101 and not [reply for reply in replies if reply["error"]]
    assert replies[-1]["ok"]["rows"] == 100, "an event sees what those before it did"


def test_what_reads_only_is_no_commit() -> None:
    bench = Bench()
    bench.ask("status")
    assert bench.store.commits == []


def test_a_batch_has_an_end() -> None:
    bench = Bench()
    source = iter(users(range(2000), bench))
    bench.shell.serve(source)
    assert len(bench.sent) == shells.BATCH_MESSAGES
    assert next(source).connection == shells.BATCH_MESSAGES + 1, "what was not taken is still there"


def test_a_batch_ends_when_it_took_its_time() -> None:
    bench = Bench()

    def slow() -> Iterable[Incoming]:
        for message in users(range(100), bench):
            bench.seconds += shells.BATCH_SECONDS / 10
            yield message

    bench.shell.serve(slow())
    assert 5 <= len(bench.sent) <= 11


def test_an_operation_that_ended_long_ago_is_found_by_its_id() -> None:
    bench = Bench()
    bench.image()
    ended = next(iter(bench.cluster.state.done.values()))
    later = Bench(bench.store.contents)  # a start loads what runs, and the latest of what ended: none here
    assert later.cluster.state.done == {}
    assert later.ask("list", noun="job", names=[ended.id, "j-999"])["rows"] == 1


def test_nothing_leaves_before_it_is_durable() -> None:
    class Crash(Exception):
        pass

    def crash(where: str) -> None:
        raise Crash(where)

    bench = Bench()
    bench.store.crash = crash
    with pytest.raises(Crash):
        bench.serve(*users(range(3), bench), bench.message("status"))
    assert bench.sent == []


# -- a store that fails -----------------------------------------------------------------------------------------------
@pytest.mark.fault(13)
def test_after_a_failed_commit_nothing_was_done_and_everybody_is_told() -> None:
    bench = Bench()
    bench.image()
    bench.serve(*users(range(5), bench))
    before, said, revision = tables(bench.cluster), len(bench.said()), bench.cluster.revision
    bench.store.fails = "no space left on device"
    replies = bench.serve(
        *users(range(10, 15), bench),
        bench.message("vm.create", name="web", image="tiny", cores=2, memory_bytes=2**30),
        bench.message("user.remove", name="user0"),
        bench.message("status"),
    )
    assert [reply["error"]["code"] for reply in replies] == ["unavailable"] * 8
    assert [reply["error"]["retry"] for reply in replies] == [True] * 8
    assert len(bench.said()) == said, "no order left"
    assert tables(bench.cluster) == before
    bench.store.fails = ""
    assert tables(load(MemoryStore(contents=bench.store.contents), bench.now())) == before
    bench.store.contents.writer, bench.cluster.epoch = bench.store, bench.store.contents.epoch
    assert bench.ask("user.add", name="user10", uid=1010)["done"]
    assert bench.cluster.revision > revision


def test_the_same_request_after_a_failed_commit_is_a_new_one() -> None:
    bench = Bench()
    bench.store.fails = "no"
    (first,) = bench.serve(bench.message("user.add", identity="request-one", name="ada", uid=7))
    bench.store.fails = ""
    (second,) = bench.serve(bench.message("user.add", identity="request-one", name="ada", uid=7))
    assert first["error"]["code"] == "unavailable" and second["error"] is None


@pytest.mark.fault(12)
def test_above_its_limit_a_store_takes_what_makes_room_even_in_one_batch() -> None:
    bench = Bench()
    bench.image()
    bench.ask("vm.create", name="web", image="tiny", cores=2, memory_bytes=2**30)
    bench.store._limit = 1
    before = len(bench.said())
    replies = bench.serve(
        bench.message("user.add", name="ada", uid=7),
        bench.message("vm.destroy", name="web"),
        bench.message("user.add", name="bob", uid=8),
        bench.message("status"),
    )
    codes = [reply["error"]["code"] if reply["error"] else "ok" for reply in replies]
    assert codes == ["unavailable", "ok", "unavailable", "ok"]
    assert "limit" in replies[0]["error"]["text"]
    assert [row["role"] for said in bench.said()[before:] for row in said["rows"]] == ["absent"]
    assert "ada" not in bench.cluster.state.names["user"]


# -- who is served ----------------------------------------------------------------------------------------------------
def test_root_can_not_be_locked_out() -> None:
    """Whatever role somebody gives root: on the admin socket it is an administrator."""
    bench = Bench()
    bench.ask("user.add", name="root", uid=0, role="user")
    assert bench.ask("status")["role"] == "admin"
    assert bench.ask("status", Peer("operator", uid=0))["role"] == "user"


@pytest.mark.parametrize("peer", [Peer("admin", uid=12345), Peer("operator", key="x" * 40), Peer("admin", key="")])
def test_who_is_not_known_is_denied(peer: Peer) -> None:
    bench = Bench()
    (reply,) = bench.serve(bench.message("status", peer))
    assert reply["error"]["code"] == "denied"


@pytest.mark.attack(28)
def test_an_operator_whose_name_is_in_doubt_changes_nothing_and_a_user_goes_on() -> None:
    names = {1: Named("olga", "it is silent"), 2: Named("ute", "it is silent")}
    bench = Bench(named=lambda uid: names.get(uid) or Named("root"))
    bench.ask("user.add", name="olga", role="operator")
    olga, ute = Peer("operator", uid=1), Peer("operator", uid=2)
    bench.image()
    assert bench.ask("status", olga)["role"] == "operator"
    (reply,) = bench.serve(bench.message("host.drain", olga, name="h1"))
    assert (reply["error"]["code"], reply["error"]["text"]) == ("unavailable", "host.drain: it is silent")
    assert bench.ask("vm.create", ute, name="web", image="tiny", cores=1, memory_bytes=2**26)["objects"]


def test_a_key_removed_earlier_in_the_batch_is_not_known_any_more() -> None:
    bench = Bench()
    key = "u" * 40
    bench.ask("user.add", name="ada", key=key)
    user = Peer("operator", key=key)
    replies = bench.serve(
        bench.message("status", user), bench.message("user.remove", name="ada"), bench.message("status", user)
    )
    assert [bool(reply["error"]) for reply in replies] == [False, False, True]


@pytest.mark.parametrize("frame", [b"", b"{}", b'{"say": "hullo"}', b"\xff", b"[" * 100_000, None])
def test_nonsense_from_an_agent_changes_nothing_and_ends_nothing(frame: bytes | None) -> None:
    bench = Bench()
    bench.image()
    before = tables(bench.cluster)
    bench.shell.serve([Incoming("agent", AGENT, frame)])
    assert tables(bench.cluster) == before
    assert bench.ask("status")


# -- long polls -------------------------------------------------------------------------------------------------------
def poll(bench: Bench, peer: Peer = ADMIN, **body: Any) -> list[Any]:
    return bench.serve(bench.message("changes", peer, **body))


def test_a_user_sees_its_own_machines_changes_and_nobody_elses() -> None:
    bench = Bench()
    bench.image()
    ada, bob = Peer("operator", key="a" * 40), Peer("operator", key="b" * 40)
    for name, peer in (("ada", ada), ("bob", bob)):
        bench.ask("user.add", name=name, key=peer.key)
    start = bench.cluster.revision
    assert poll(bench, bob, after=-1, kinds=["vm", "job"], wait_seconds=25) == []
    bench.ask("vm.create", ada, name="web", image="tiny", cores=2, memory_bytes=2**30)
    bench.seconds += 1
    assert bench.serve() == []
    for peer, sees in ((ada, True), (bob, False)):
        for recent in (True, False):  # from memory, and from the store
            if not recent:
                bench.shell._watchers._recent.clear()
            (reply,) = poll(bench, peer, after=start, kinds=["vm", "job"], wait_seconds=0)
            assert bool(reply["ok"]["entries"]) is sees
    bench.seconds += 30
    (ended,) = bench.serve()
    assert ended["ok"]["entries"] == []


def test_rows_for_one_host_leave_as_one_message() -> None:
    bench = Bench()
    bench.image()
    body = {"image": "tiny", "cores": 2, "memory_bytes": 2**30}
    bench.serve(*(bench.message("vm.create", name=name, **body) for name in ("web", "db", "mail")))
    assert [len(said["rows"]) for said in bench.said() if said["say"] == "rows"] == [3]


@pytest.mark.parametrize(("error", "looks"), [(Unavailable("the disk is full"), 10), (Damaged("a checksum"), 1)])
def test_a_log_that_cannot_be_pruned_is_told_and_looked_at_again(
    error: TashiError, looks: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    bench = Bench()
    bench.serve()
    asked = []

    def prune(keep_entries: int, older_than_wall: float, at_most: int = 1000) -> int:
        asked.append(bench.seconds)
        raise error

    monkeypatch.setattr(bench.store, "prune", prune)
    for _ in range(10):
        bench.seconds += 1.0
        bench.serve(bench.message("status"))
    assert len(asked) == looks
    assert capfd.readouterr().err.count("can't prune the change log") == looks


@pytest.mark.fault(22)
def test_a_reader_behind_the_tail_is_told_to_list_again() -> None:
    bench = Bench()
    bench.serve(*users(range(20), bench))
    bench.store.prune(5, 0)
    bench.shell._watchers._recent.clear()
    (reply,) = poll(bench, after=1, wait_seconds=25)
    assert reply["ok"]["snapshot"] and reply["ok"]["revision"] == bench.cluster.revision


def test_a_page_says_how_far_the_log_goes_beyond_it() -> None:
    bench = Bench()
    bench.serve(*users(range(20), bench))
    head = bench.cluster.revision
    for kinds, told in (([], head), (["user"], 20)):
        after, seen = 0, 0
        while after < head:
            (page,) = poll(bench, after=after, limit=7, kinds=kinds, wait_seconds=0)
            assert page["revision"] == head
            after, seen = page["ok"]["revision"], seen + len(page["ok"]["entries"])
        assert seen == told
    assert poll(bench, after=head, limit=7, wait_seconds=25) == []
    bench.serve(*users(range(20, 40), bench))
    bench.seconds += 1
    (page,) = bench.serve()
    assert (page["ok"]["revision"], page["revision"]) == (head + 7, bench.cluster.revision)


def test_entries_of_memory_and_store_match_alike() -> None:
    """What the core says of an entry, and what can be read from the entry itself."""
    bench = Bench()
    bench.image()
    bench.ask("vm.create", name="web", count=3, image="tiny", cores=2, memory_bytes=2**30)
    bench.ask("vm.destroy", name="web-00")
    bench.ask("host.drain", name="h1")
    bench.ask("user.add", name="ada", uid=7)
    entries = list(bench.shell._watchers._recent)
    assert {entry.kind for entry in entries} == {"vm", "job", "host", "image", "user"}
    wanted = {each for entry in entries for each in entry.ids} | {""}
    owners, kinds = {entry.owner for entry in entries} | {"bob"}, {entry.kind for entry in entries}
    for entry in entries:
        recalled = watch._recall(entry.value)
        for one in wanted:
            for owner in owners:
                for job in (one, ""):
                    ids = frozenset((one,)) if one else frozenset[str]()
                    park = Park("r", 0, ids, frozenset(kinds), job, 10, 1.0, "p", owner)
                    assert watch._wants(park, entry) == watch._wants(park, recalled), (park, entry)
                    park = Park("r", 0, frozenset(), frozenset(), job, 10, 1.0, "p", owner, ids | {"web-00", "ada"})
                    assert watch._wants(park, entry) == watch._wants(park, recalled), (park, entry)


def test_what_is_about_a_name_is_found_when_it_is_gone_and_while_one_waits() -> None:
    bench = Bench()
    bench.image()
    bench.ask("vm.create", name="web", image="tiny", cores=2, memory_bytes=2**30)
    bench.ask("vm.destroy", name="web")
    bench.ask("user.add", name="ada", uid=7)

    def about(*names: str) -> set[tuple[str, str]]:
        (reply,) = poll(bench, after=0, about=names, wait_seconds=0)
        return {(entry["kind"], entry["name"]) for entry in reply["ok"]["entries"]}

    assert about("web") == {("vm", "web"), ("job", "web")}
    assert about("u-1") == {("user", "ada"), ("job", "ada")}
    assert about("nobody") == set()
    start = bench.cluster.revision
    assert poll(bench, after=start, about=["bob"], wait_seconds=25) == []
    bench.ask("user.add", name="eve", uid=8)
    bench.seconds += 1
    assert bench.serve() == []
    bench.ask("user.add", name="bob", uid=9)
    bench.seconds += 1
    assert [entry["name"] for entry in bench.serve()[0]["ok"]["entries"]] == ["bob", "bob"]


def test_progress_wakes_who_waits_for_it() -> None:
    """Nothing is logged, but there is something to look at: host and machines become unknown."""
    bench = Bench()
    bench.image()
    (vm,) = bench.ask("vm.create", name="web", image="tiny", cores=2, memory_bytes=2**30)["objects"]
    assert poll(bench, after=-1, ids=[vm], wait_seconds=25) == []
    bench.seconds += 10
    assert bench.serve(), "its host is silent"


def test_enrolments_are_counted() -> None:
    bench = Bench()
    wrong = [bench.message("enroll", ENROLL, token="0" * 32, host="h1", key="x" * 40) for _ in range(80)]
    codes = [reply["error"]["code"] for reply in bench.serve(*wrong)]
    assert codes == ["denied"] * 50 + ["busy"] * 30


@pytest.mark.attack(33)
def test_a_user_who_floods_is_told_to_wait_and_others_are_served() -> None:
    bench = Bench()
    bench.ask("user.add", name="ada", key="a" * 40)
    bench.ask("user.add", name="eve", key="e" * 40)
    ada, eve = Peer("operator", key="a" * 40), Peer("operator", key="e" * 40)

    def busy(peer: Peer, count: int) -> int:
        replies = [bench.serve(bench.message("status", peer))[0] for _ in range(count)]
        return sum((each["error"] or {}).get("code") == "busy" for each in replies)

    assert busy(ada, shells.REQUESTS_AT_ONCE + 10) == 10
    assert busy(eve, 10) == 0 and busy(ADMIN, 10) == 0
    bench.seconds += 1
    assert busy(ada, int(shells.REQUESTS_PER_SECOND) + 10) == 10
