"""tashi-controller: the wiring of store, core, shell and sockets."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import socket
import time

import zmq

from tashi.config import Config
from tashi.config import Controller as Own
from tashi.core.cluster import Cluster, Now, done_key
from tashi.core.records import DONE_KEPT
from tashi.core.settings import Settings
from tashi.model.quota import UNLIMITED, Quota
from tashi.run import start
from tashi.run.authority import CertificateAuthority, read_or_make_authority
from tashi.run.log import Log
from tashi.run.loop import Loop, Source, Timer
from tashi.run.notify import Notifier
from tashi.run.server_keys import ServerKey, server_keys
from tashi.run.vault import open_vault
from tashi.run.zap import Known, Zap
from tashi.wire import messages
from tashid.accounts import Accounts
from tashid.copies import Copies
from tashid.principal import Directory
from tashid.reload import Reload, policy_of
from tashid.shell import Shell
from tashid.sockets import Sockets, ports_of
from tashid.store.interface import WORKING_TABLES, Store
from tashid.store.open import open_store
from tashid.tail import Retention

NAME = "tashi-controller"
SECRET_BYTES = 32
GARBAGE_AT_ONCE = 20_000  # objects made since the collector last looked; it takes a ms
CLUSTER_BYTES = 8  # of the id that marks this cluster's guests


def main(argv: list[str] | None = None) -> int:
    """Parse, run, and return the exit status."""
    parser = start.parser(NAME, "Own the cluster's records, decide, and tell the agents. Runs until SIGTERM.")
    parser.add_argument(
        "--forget-passwords", action="store_true", help="drop all passwords of BMCs and devices: their key is lost"
    )
    return start.run(NAME, parser.parse_args(argv), serve)


def serve(config: Config, options: argparse.Namespace, log: Log) -> None:
    """Run until told to stop. Raises TashiError or OSError for what keeps it from starting."""
    own = config.controller
    log.format = own.log_format
    descriptors = start.raise_file_limit()
    start.private_folder(own.state)
    start.public_folder(own.run)
    keys = server_keys(own.state)
    store = open_store(os.path.join(own.state, "store"), own.store_limit)
    try:
        began = time.monotonic()
        if options.forget_passwords:
            _forget_passwords(store, log)
        cluster = _load(store, _settings(config, keys), read_or_make_authority(own.state, time.time()), own.state)
        log.notice(
            "loaded", epoch=cluster.epoch, revision=cluster.revision, vms=len(cluster.state.vms),
            hosts=len(cluster.state.hosts), seconds=time.monotonic() - began, descriptors=descriptors,
        )  # fmt: skip
        _Controller(config, options.config, keys, store, cluster, log).run()
    finally:
        store.close()
    log.notice("stopped")


def clock() -> Now:
    """The machine's two clocks."""
    return Now(time.monotonic(), time.time())


def _load(store: Store, settings: Settings, authority: CertificateAuthority, state: str) -> Cluster:
    """The working set, from the store, under a new epoch; the key of its passwords is in the folder ``state``."""
    epoch = store.acquire()
    if store.get("meta", "cluster") is None:
        store.commit([("meta", "cluster", f'"{os.urandom(CLUSTER_BYTES).hex()}"'.encode())], [], epoch=epoch)
    cluster = Cluster(settings, lambda: os.urandom(SECRET_BYTES), authority)
    gc.disable()  # nothing of what is loaded is garbage
    for table in WORKING_TABLES:
        cluster.load(table, store.load(table))
    cluster.vault = open_vault(state, cluster.state.secrets)
    cluster.load("done", _ended_lately(store, cluster.state.counted("job")))
    cluster.loaded(clock(), epoch, store.head())
    # What was loaded stays: the collector need not walk it again and again. Nor has it much to find of what comes:
    # records are in no cycles.
    gc.freeze()
    gc.set_threshold(GARBAGE_AT_ONCE)
    gc.enable()
    return cluster


def _forget_passwords(store: Store, log: Log) -> None:
    gone = [("secret", key, None) for key, _ in store.load("secret")]
    store.commit(gone, [], epoch=store.acquire(), reserve=True)
    log.notice("forgot the passwords of BMCs and devices", passwords=len(gone))


def _ended_lately(store: Store, newest: int) -> list[tuple[str, bytes]]:
    """The operations that ended last. A restore leaves a gap of a thousand numbers, so one look may be too few."""
    rows: list[tuple[str, bytes]] = []
    for look in (1, 2, 3):
        if len(rows) < DONE_KEPT:
            rows = store.scan("done", done_key(f"j-{max(0, newest - look * DONE_KEPT)}"), 2 * DONE_KEPT)
    return rows[-DONE_KEPT:]


def _settings(config: Config, keys: list[ServerKey]) -> Settings:
    """``keys``: the newest first; it is the one that documents name, with its ports."""
    own = config.controller
    address = _reached_at(own)
    policy, ratios = policy_of(config)
    host = f"[{address}]" if ":" in address else address
    ports = ports_of(own, keys[0].second)
    at = {door: (f"tcp://{host}:{port}",) if own.listen else () for door, port in ports.items()}
    return Settings(
        heartbeat_seconds=own.heartbeat_seconds,
        missed=own.missed,
        steady_seconds=own.steady_seconds,
        policy=policy,
        ratios=ratios,
        pool_bytes=config.pool.capacity,
        networks=tuple(config.networks),
        quota=Quota(*(number or UNLIMITED for number in config.quota)),
        agent_addresses=at["agent"],
        user_addresses=at["user"],
        admin_addresses=at["admin"],
        enroll_addresses=at["enroll"],
        server_key=keys[0].pair.public,
        server_keys=tuple(messages.ServerKey(key.pair.public, ports_of(own, key.second)["agent"]) for key in keys),
        certificate_seconds=own.certificate_days * 86400,
    )


def _reached_at(own: Own) -> str:
    """What enrolment documents call this machine: as stated, else the address it listens on, else its name."""
    named = [address for address in own.listen if address not in ("0.0.0.0", "::", "*")]
    return own.address or (named[0] if named else socket.gethostname())


class _Controller:
    """Shell and sockets, turned by the loop."""

    def __init__(
        self, config: Config, named: str | None, keys: list[ServerKey], store: Store, cluster: Cluster, log: Log
    ) -> None:
        own = config.controller
        self._log = log
        self._loop = Loop(Notifier())
        self._context = zmq.Context()
        self._zap = Zap(self._context, self._loop, log, _known_keys(cluster))
        self._sockets = Sockets(self._context, own, keys, log)
        self._copies = Copies(self._loop, own.state, lambda: self._turn([]))
        retention = Retention(own.log_entries, own.log_days * 86400)
        self._accounts = Accounts(self._loop, log, lambda: self._turn([]))
        cluster.account = self._accounts.called
        directory = Directory(cluster, self._accounts.named)
        self._shell = Shell(
            cluster, store, directory, self._sockets.send, clock, log, retention, self._copies, self._accounts
        )
        self._timer: Timer | None = None
        for each in self._sockets.all:
            self._loop.watch(each, self._turn)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.on_signal(number, self._loop.stop)
        self._loop.on_signal(signal.SIGHUP, self._reread)
        self._reload = Reload(config, named, cluster, self._shell, log)
        self._reload.take(config)
        self._status = f"epoch {cluster.epoch}, {len(cluster.state.hosts)} hosts, {len(cluster.state.vms)} VMs"

    def run(self) -> None:
        try:
            self._turn([])
            self._log.notice("serving", status=self._status)
            self._loop.run(self._status)
        finally:
            self._copies.close()
            self._accounts.close()
            self._zap.close()
            self._sockets.close()
            self._context.term()
            self._loop.close()

    def _turn(self, ready: list[Source]) -> None:
        self._shell.serve(self._sockets.drain(ready))
        when = self._shell.next_time()
        if self._timer is None or when != self._timer.when:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.at(when, self._timed)

    def _reread(self) -> None:
        self._reload.again()
        self._turn([])

    def _timed(self) -> None:
        self._timer = None
        self._turn([])


def _known_keys(cluster: Cluster) -> dict[str, Known]:
    """Which keys each tcp port lets in."""

    def user(key: str) -> bool:
        return cluster.user_of_key(key) is not None

    def host(key: str) -> bool:
        return cluster.agent_of_key(key) is not None

    return {"user": user, "admin": user, "agent": host, "enroll": lambda key: True}
