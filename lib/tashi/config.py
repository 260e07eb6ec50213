"""tashi.toml: what may be set, what it is when nobody sets it, and what is wrong with a file.

One table: each section is a record below, its fields are the keys, their defaults give the type that a key must have.
A key that is not here is refused by name, because a misspelt setting that is silently ignored is found out too late.
The records are named tuples, not dataclasses: every command reads this file first, and they cost a fifth at start.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from tashi.wire.errors import Code, TashiError


class Client(NamedTuple):
    """How commands reach the controller. ``key`` is this user's key file, ``server_key`` Z85; both only for tcp."""

    controller: tuple[str, ...] = ("ipc:///run/tashi",)
    server_key: str = ""
    key: str = ""
    timeout_seconds: float = 10.0


class Controller(NamedTuple):
    """The daemon that decides. ``store_limit`` is in bytes; no ``listen``: no tcp, local commands only."""

    state: str = "/var/lib/tashi"
    run: str = "/run/tashi"
    listen: tuple[str, ...] = ("0.0.0.0", "::")
    address: str = ""
    user_port: int = 7400
    admin_port: int = 7401
    agent_port: int = 7402
    enroll_port: int = 7403
    second_user_port: int = 7404
    second_admin_port: int = 7405
    second_agent_port: int = 7406
    second_enroll_port: int = 7407
    group: str = "tashi"
    heartbeat_seconds: float = 1.0
    missed: int = 5
    steady_seconds: float = 60.0
    log_days: float = 7.0
    log_entries: int = 1_000_000
    store_limit: int = 16 * 2**30
    certificate_days: float = 90.0
    log_format: str = "text"


class Weights(NamedTuple):
    """What each weight of placement counts for; `tashi.sched.weights` says what each looks at."""

    order: float = 1.0
    balance: float = 0.25
    disk: float = 3.0
    company: float = 2.0
    data: float = 1.0
    failures: float = 1.0


class Placement(NamedTuple):
    """How the controller chooses hosts. ``filters`` are those that ask, of the ones that may be left out."""

    policy: str = "pack"
    filters: tuple[str, ...] = (
        "version", "features", "networks", "labels", "reservation", "affinity", "anti-affinity", "spread",
    )  # fmt: skip
    cores_ratio: float = 1.0
    memory_ratio: float = 1.0
    weights: Weights = Weights()


class Agent(NamedTuple):
    """The daemon on each host. ``cores``, ``memory`` and ``disk`` (bytes) replace what is measured when not 0."""

    state: str = "/var/lib/tashi-agent"
    driver: str = "libvirt"
    uri: str = "qemu:///system"
    migrate_uri: str = ""
    address: str = ""
    accel: str = "auto"
    max_downtime_seconds: float = 0.05
    workers: int = 4
    lab: bool = False
    cores: int = 0
    memory: int = 0
    disk: int = 0
    log_format: str = "text"


class Zoni(NamedTuple):
    """The daemon of a hardware network. ``in_flight``: calls under way at once; ``rack_changes``: machines of one rack

    that change at once; ``stagger_seconds``: between two machines switched on, ``rack_stagger_seconds`` in one rack.
    ``stream``: tcp://HOST:PORT where it listens for clients of consoles, empty for none; ``stream_address``: as they
    reach it, where that is another.
    """

    state: str = "/var/lib/zoni-agent"
    in_flight: int = 8
    rack_changes: int = 4
    stagger_seconds: float = 0.1
    rack_stagger_seconds: float = 0.5
    stream: str = ""
    stream_address: str = ""
    log_format: str = "text"


class Quota(NamedTuple):
    """What each user may have who has no number of its own. ``memory`` and ``disk`` in bytes; 0: no limit."""

    vms: int = 0
    cores: int = 0
    memory: int = 0
    disk: int = 0


class Pool(NamedTuple):
    """The one shared pool of images and disks. ``capacity`` in bytes; 0: what the hosts see of its file system."""

    path: str = "/var/lib/tashi/pool"
    capacity: int = 0


class Network(NamedTuple):
    """One guest network: a plain bridge of this name on each host."""

    bridge: str = "br0"


class Fake(NamedTuple):
    """The fake driver: ``path`` is shared by the agents of one lab."""

    path: str = ""
    seconds_start: float = 0.05
    seconds_per_gib: float = 0.1


class Config(NamedTuple):
    """All of tashi.toml. ``file`` is the one that was read, empty when there is none."""

    client: Client = Client()
    controller: Controller = Controller()
    placement: Placement = Placement()
    agent: Agent = Agent()
    zoni: Zoni = Zoni()
    quota: Quota = Quota()
    pool: Pool = Pool()
    networks: Mapping[str, Network] = MappingProxyType({"default": Network()})
    fake: Fake = Fake()
    file: str = ""


# What a key's default can't say. Sizes are written as text (16G) and become bytes.
SIZES = {("controller", "store_limit"), ("agent", "memory"), ("agent", "disk"), ("pool", "capacity")}
SIZES |= {("quota", "memory"), ("quota", "disk")}
CHOICES: dict[tuple[str, str], tuple[str, ...]] = {
    ("controller", "log_format"): ("text", "json"),
    ("agent", "log_format"): ("text", "json"),
    ("zoni", "log_format"): ("text", "json"),
    ("placement", "policy"): ("pack", "spread"),
    ("agent", "driver"): ("libvirt", "fake"),
    ("agent", "accel"): ("auto", "kvm", "tcg"),
}
RANGES: dict[tuple[str, str], tuple[float, float]] = {
    ("client", "timeout_seconds"): (0.1, 3600),
    ("controller", "user_port"): (1, 65535),
    ("controller", "admin_port"): (1, 65535),
    ("controller", "agent_port"): (1, 65535),
    ("controller", "enroll_port"): (1, 65535),
    ("controller", "second_user_port"): (1, 65535),
    ("controller", "second_admin_port"): (1, 65535),
    ("controller", "second_agent_port"): (1, 65535),
    ("controller", "second_enroll_port"): (1, 65535),
    ("controller", "heartbeat_seconds"): (0.05, 60),
    ("controller", "missed"): (2, 1000),
    ("controller", "steady_seconds"): (0, 86_400),
    ("controller", "log_days"): (0.001, 3650),
    ("controller", "log_entries"): (1000, 10**9),
    ("controller", "certificate_days"): (0.0001, 3650),
    ("placement", "cores_ratio"): (0.1, 64),
    ("placement", "memory_ratio"): (0.1, 64),
    **{("placement.weights", name): (0.0, 1000.0) for name in Weights._fields},
    ("agent", "max_downtime_seconds"): (0.001, 60),
    ("agent", "workers"): (1, 64),
    ("agent", "cores"): (0, 4096),
    ("zoni", "in_flight"): (1, 64),
    ("zoni", "rack_changes"): (1, 1000),
    ("zoni", "stagger_seconds"): (0, 60),
    ("zoni", "rack_stagger_seconds"): (0, 60),
    ("quota", "vms"): (0, 10**9),
    ("quota", "cores"): (0, 10**9),
    ("fake", "seconds_start"): (0, 3600),
    ("fake", "seconds_per_gib"): (0, 3600),
}

Section = TypeVar("Section", Client, Controller, Weights, Placement, Agent, Zoni, Quota, Pool, Network, Fake)


def load(path: str | None = None, only: Collection[str] | None = None) -> Config:
    """The configuration from ``path``, $TASHI_CONFIG, the user's own file or /etc/tashi/tashi.toml, the first that is.

    A daemon reads all of it, a command ``only`` the sections that it needs: a mistake in another does not end it.
    $TASHI_CONTROLLER (comma separated) replaces ``client.controller``. Raises TashiError (bad-request) that names file,
    section and key.
    """
    file = _find(path)
    config = parse(_read(file), file, only) if file else Config()
    override = tuple(part.strip() for part in os.environ.get("TASHI_CONTROLLER", "").split(",") if part.strip())
    return config._replace(client=config.client._replace(controller=override)) if override else config


def look_through(path: str | None = None) -> tuple[Config, dict[str, TashiError]]:
    """What can be read of the configuration, and of each section that can't be its first mistake.

    Raises TashiError (bad-request) for what is not TOML.
    """
    file = _find(path)
    document = _read(file) if file else {}
    config, wrong = Config(file=file), dict[str, TashiError]()
    for name in document:
        try:
            found = parse(document, file, (name,))
        except TashiError as error:
            wrong[name] = error
        else:
            field = "networks" if name == "network" else name
            config = config._replace(**{field: getattr(found, field)})
    return config, wrong


def parse(document: dict[str, Any], file: str = "tashi.toml", only: Collection[str] | None = None) -> Config:
    """A read document as a Config; raises TashiError (bad-request) for anything that has no business in it.

    With ``only`` no other sections are looked at; they are as if nobody had set anything.
    """
    rest = {name: given for name, given in document.items() if only is None or name in only}

    def take(name: str, defaults: Section) -> Section:
        return _section(file, name, rest.pop(name, {}), defaults)

    placement = rest.get("placement")
    weights = Weights()
    if isinstance(placement, dict) and "weights" in placement:
        rest["placement"] = {key: value for key, value in placement.items() if key != "weights"}
        weights = _section(file, "placement.weights", placement["weights"], weights)
    config = Config(
        client=take("client", Client()),
        controller=take("controller", Controller()),
        placement=take("placement", Placement())._replace(weights=weights),
        agent=take("agent", Agent()),
        zoni=take("zoni", Zoni()),
        quota=take("quota", Quota()),
        pool=take("pool", Pool()),
        fake=take("fake", Fake()),
        file=file,
    )
    networks = rest.pop("network", None)
    if rest:
        sections = (*(name for name in Config._fields if name not in ("networks", "file")), "network.NAME")
        known = ", ".join(f"[{name}]" for name in sections)
        raise _wrong(file, f"[{next(iter(rest))}]: no such section", f"sections are {known}")
    return config if networks is None else config._replace(networks=_networks(file, networks))


def _find(path: str | None) -> str:
    named = path or os.environ.get("TASHI_CONFIG", "")
    if named:
        return named
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    own = os.path.join(home, "tashi", "tashi.toml")
    return next((each for each in (own, "/etc/tashi/tashi.toml") if os.path.exists(each)), "")


def _read(file: str) -> dict[str, Any]:
    import tomllib  # only where there is a file: 3 ms

    try:
        with open(file, "rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise _wrong(file, error.strerror or str(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _wrong(file, f"not TOML: {error}") from error


def _networks(file: str, value: object) -> dict[str, Network]:
    if not isinstance(value, dict) or not all(isinstance(each, dict) for each in value.values()):
        raise _wrong(file, "[network]: wants a section for each network", 'write [network.default] and bridge = "br0"')
    from tashi.model.name import check_name

    for name in value:
        try:
            check_name(name)
        except ValueError as error:
            raise _wrong(file, f"[network.{name}]: {error}") from error
    return {name: _section(file, f"network.{name}", each, Network()) for name, each in value.items()}


def _section(file: str, name: str, given: object, defaults: Section) -> Section:
    if not isinstance(given, dict):
        raise _wrong(file, f"{name}: wants to be a section", f"write [{name}] on a line of its own")
    known = defaults._asdict()
    for key in given:
        if key not in known:
            raise _wrong(file, f"[{name}] {key}: no such key", f"keys of [{name}] are {', '.join(known)}")
    values: dict[str, Any] = {key: _value(file, name, key, value, known[key]) for key, value in given.items()}
    return defaults._replace(**values)


def _value(file: str, section: str, key: str, value: object, default: object) -> object:
    where = f"[{section}] {key}"
    if (section, key) in SIZES:
        return _size(file, where, value)
    if isinstance(default, tuple):
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise _wrong(file, f"{where}: wants a list of texts, not {value!r}", f'for example {key} = ["..."]')
        return tuple(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(default):
        raise _wrong(file, f"{where}: wants {_KIND[type(default)]}, not {value!r}")
    allowed = CHOICES.get((section, key))
    if allowed and value not in allowed:
        raise _wrong(file, f"{where}: {value!r} is not one of {', '.join(allowed)}")
    low, high = RANGES.get((section, key), (float("-inf"), float("inf")))
    if isinstance(value, int | float) and not low <= value <= high:
        raise _wrong(file, f"{where}: {value!r} is out of range, {low:g} to {high:g}")
    return value


def _size(file: str, where: str, value: object) -> int:
    if value == "":
        return 0
    from tashi.model.units import parse_size  # its regular expressions cost a command a millisecond at start

    if not isinstance(value, str):
        raise _wrong(file, f"{where}: wants a size as text, not {value!r}", 'for example "16G"')
    try:
        return parse_size(value)
    except ValueError as error:
        raise _wrong(file, f"{where}: {error}") from error


_KIND = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def _wrong(file: str, text: str, hint: str = "") -> TashiError:
    return TashiError(Code.BAD_REQUEST, f"{file}: {text}", hint)
