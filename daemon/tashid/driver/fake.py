"""The fake driver: a host of a fake world (fake_world.py), as slow and as wrong as that world is told to be.

Every call is a generator of pauses in seconds. As a driver it lets them pass on the world's clock; a simulator takes
the generator itself (`steps`), does other things in the pauses, and kills a caller by not going on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any, TypeVar

from msgspec.structs import replace

from tashi.model.guest import Guest
from tashi.model.host import Facts
from tashi.wire.agents import GuestState, Seen
from tashid.driver import calls, image_header
from tashid.driver.calls import read_args
from tashid.driver.fake_rows import FakeGuest, Fault
from tashid.driver.fake_world import World
from tashid.driver.interface import Capability, DriverError, MoveJob, MoveStats, is_ours, spares
from tashid.driver.settings import DriverSettings

__all__ = ["FakeDriver", "FakeGuest", "Fault", "Killed", "World", "open_fake"]

CPU_FLAGS = ("aes", "avx2")
FIRMWARE = ("bios", "uefi")
CORES, MEMORY_BYTES, DISK_BYTES, POOL_BYTES = 64, 256 * 2**30, 4 * 2**40, 128 * 2**40
IMAGE_BYTES = 2**30  # what any image has where there is no pool to look into
STOP_SECONDS = 0.01
SHUTDOWN_SECONDS = 0.2  # from the power button to the end of a guest that listens to it
HANG_SECONDS = 3600.0
LONGEST_PAUSE = 0.5  # in a migration: it may be aborted meanwhile
SCHEME = "fake://"

Args = TypeVar("Args", bound=calls.Shape)
Value = TypeVar("Value")
Steps = Generator[float, None, Value]


class Killed(BaseException):
    """A fault ends the caller here, as SIGKILL would."""


class FakeDriver:
    """Implements `tashid.driver.interface.Driver` for one host of a world, and powers that host on.

    ``settings``: cores, memory_bytes, disk_bytes, address, migrate_uri, seconds_start and seconds_per_gib count. With
    ``pool`` images are really inspected.
    """

    capabilities = frozenset({Capability.MIGRATE, Capability.POWER_BUTTON, Capability.METADATA})

    def __init__(self, world: World, host: str, settings: DriverSettings | None = None, pool: str = "") -> None:
        self.world, self.host, self.cluster = world, host, ""
        self._settings = settings or DriverSettings(driver="fake", host=host)
        self._pool = pool
        world.power_on(host)

    def steps(self, verb: str, args: Mapping[str, Any]) -> Steps[Any]:
        """A call as it travels (see calls.py): yields seconds to let pass, returns its value or raises.

        Raises DriverError at once for arguments that are none.
        """
        read = read_args(verb, args)
        self.cluster = read.cluster
        return self._call(verb, read, partial(_BODIES[verb], self))

    # -- the driver's calls ------------------------------------------------------------------------------------------

    def facts(self) -> Facts:
        return self._pass("facts", calls.Shape(), self._facts)

    def inventory(self) -> list[Seen]:
        return self._pass("inventory", calls.Shape(), self._inventory)

    def look(self, vm: str) -> Seen:
        return self._pass("look", calls.Vm(vm), self._look)

    def start(self, guest: Guest, generation: int) -> Seen:
        return self._pass("start", calls.Start(guest, generation), self._start)

    def stop(self, vm: str, generation: int) -> Seen:
        return self._pass("stop", calls.VmGeneration(vm, generation), self._stop)

    def remove(self, vm: str, only_if: str, disks: list[str]) -> Seen:
        return self._pass("remove", calls.Remove(vm, only_if, disks), self._remove)

    def stamp(self, vm: str, generation: int) -> Seen:
        return self._pass("stamp", calls.VmGeneration(vm, generation), self._stamp)

    def press_power_button(self, vm: str) -> None:
        self._pass("press_power_button", calls.Vm(vm), self._press_power_button)

    def migrate(self, guest: Guest, peer: str, generation: int) -> MoveStats:
        return self._pass("migrate", calls.Migrate(guest, peer, generation), self._migrate)

    def moving(self, vm: str) -> MoveJob | None:
        return self._pass("moving", calls.Vm(vm), self._moving)

    def abort_move(self, vm: str) -> bool:
        return self._pass("abort_move", calls.Vm(vm), self._abort_move)

    def use_certificate(self) -> str:
        return self._pass("use_certificate", calls.Shape(), self._use_certificate)

    def inspect_image(self, path: str, format: str, kernel: str, initrd: str) -> dict[str, str]:
        return self._pass("inspect_image", calls.Image(path, format, kernel, initrd), self._inspect_image)

    # -- how a call goes ---------------------------------------------------------------------------------------------

    def _pass(self, verb: str, args: Args, body: Callable[[Args], Steps[Value]]) -> Value:
        call = self._call(verb, args, body)
        try:
            while True:
                self.world.clock.sleep(next(call))
        except StopIteration as end:
            value: Value = end.value
            return value

    def _call(self, verb: str, args: Args, body: Callable[[Args], Steps[Value]]) -> Steps[Value]:
        """The call, with what the world has in store for it."""
        fault = self.world.take_fault(self.host, verb, _vm_of(args))
        if fault.delay:
            yield fault.delay
        if fault.fail:
            raise DriverError(fault.fail)
        while fault.hang == "before":
            yield HANG_SECONDS
        value = yield from body(args)
        if fault.kill:
            raise Killed(verb)
        while fault.hang == "after":
            yield HANG_SECONDS
        if fault.error:
            raise OSError(fault.error)
        if fault.lie and isinstance(value, Seen):
            return replace(value, state=fault.lie)
        return value

    # -- what each does ----------------------------------------------------------------------------------------------

    def _facts(self, _: calls.Shape) -> Steps[Facts]:
        yield 0.0
        stated = self._settings
        return Facts(
            cores=stated.cores or CORES,
            memory_bytes=stated.memory_bytes or MEMORY_BYTES,
            disk_bytes=stated.disk_bytes or DISK_BYTES,
            pool_bytes=POOL_BYTES,
            accelerator="fake",
            address=stated.address or self.host,
            migrate_uri=stated.migrate_uri or f"{SCHEME}{self.host}",
            versions={"hypervisor": "fake"},
            backend="fake",
            cpu_model="fake",
            cpu_flags=CPU_FLAGS,
            firmware=FIRMWARE,
        )

    def _inventory(self, _: calls.Shape) -> Steps[list[Seen]]:
        yield 0.0
        moves = self.world.moves(self.host)
        return [self._seen(guest, vm in moves, True) for vm, guest in self.world.guests(self.host).items()]

    def _look(self, args: calls.Vm) -> Steps[Seen]:
        yield 0.0
        return self._see(args.vm)

    def _start(self, args: calls.Start) -> Steps[Seen]:
        want, seconds = args.guest, self._settings.seconds_start
        yield 0.0
        now = self.world.guest(self.host, want.id)
        if now is not None and self._is_foreign(now):
            raise DriverError(f"{want.name}: a guest {want.id} is here that is not ours")
        if now is None or now.state == "stopped":
            self.world.make_disks(want.disks)
            guest = FakeGuest(
                want.id, want.name, want.cores, want.memory_bytes, "paused", args.generation,
                hints=want.hints, cluster=self.cluster, guest=want,
            )  # fmt: skip
            self.world.put(self.host, guest, then="running", seconds=seconds)
            yield seconds
        else:
            self._refuse_moving(want.id)
            if now.never_ran:
                raise DriverError(f"{want.name}: a migration of it is under way")
            resumed: GuestState | None = "running" if now.state == "paused" else None
            self._stamped(now, args.generation, resumed)
        return self._see(want.id)

    def _stop(self, args: calls.VmGeneration) -> Steps[Seen]:
        self._refuse_moving(args.vm)
        yield STOP_SECONDS
        guest = self._ours(args.vm)
        if guest is not None and guest.never_ran:
            self.world.drop(self.host, args.vm)
        elif guest is not None:
            self._stamped(guest, args.generation, "stopped")
        return self._see(args.vm)

    def _remove(self, args: calls.Remove) -> Steps[Seen]:
        self._refuse_moving(args.vm)
        yield STOP_SECONDS
        guest = self._ours(args.vm)
        if guest is not None and not spares(args.only_if, self._seen(guest, False)):
            self.world.drop(self.host, args.vm)
            guest = None
        if guest is None:
            self.world.delete_disks(args.disks)
        return self._see(args.vm)

    def _stamp(self, args: calls.VmGeneration) -> Steps[Seen]:
        self._refuse_moving(args.vm)
        yield 0.0
        guest = self._ours(args.vm)
        if guest is not None:
            self._stamped(guest, args.generation)
        return self._see(args.vm)

    def _press_power_button(self, args: calls.Vm) -> Steps[None]:
        self._refuse_moving(args.vm)
        yield 0.0
        guest = self._ours(args.vm)
        if guest is None or guest.state == "stopped":
            raise DriverError(f"{args.vm}: not running here")
        if guest.hints.get("acpi") != "ignore" and guest.state == "running":
            self.world.later(self.host, args.vm, "stopped", SHUTDOWN_SECONDS)

    def _migrate(self, args: calls.Migrate) -> Steps[MoveStats]:
        vm, there = args.guest.id, args.peer.removeprefix(SCHEME)
        if there == args.peer:
            raise DriverError(f"migration address {args.peer[:200]!r} is not like {SCHEME}HOST")
        yield 0.0
        copying = self._settings.seconds_per_gib * args.guest.memory_bytes / 2**30
        self.world.begin_move(self.host, vm, there, args.generation, copying)
        while (move := self.world.move(self.host, vm)) is not None:
            yield max(0.001, min(move.due - self.world.clock.now(), LONGEST_PAUSE))
        ended = self.world.ended_move(self.host, vm)
        if ended is None or ended.phase == "unknown":
            raise OSError(f"{vm}: migration: {ended.text if ended else 'its end is not known'}")
        if ended.phase == "failed":
            raise DriverError(f"{args.guest.name}: not migrated, it goes on here: {ended.text}")
        return MoveStats(ended.due - ended.began, ended.ran - ended.paused, ended.memory_bytes)

    def _moving(self, args: calls.Vm) -> Steps[MoveJob | None]:
        yield 0.0
        move = self.world.move(self.host, args.vm)
        if move is None:
            return None
        whole, past = move.due - move.began, self.world.clock.now() - move.began
        part = 1.0 if move.phase != "copy" else min(1.0, past / whole) if whole > 0 else 1.0
        rate = move.memory_bytes / whole if whole > 0 else 0.0
        return MoveJob(int(part * move.memory_bytes), move.memory_bytes, int(rate))

    def _abort_move(self, args: calls.Vm) -> Steps[bool]:
        yield 0.0
        return self.world.abort_move(self.host, args.vm)

    def _use_certificate(self, args: calls.Shape) -> Steps[str]:
        yield 0.0
        return ""

    def _inspect_image(self, args: calls.Image) -> Steps[dict[str, str]]:
        yield 0.0
        if not self._pool:
            return {"size_bytes": str(IMAGE_BYTES)}
        return image_header.inspect_image(self._pool, args.path, args.format, args.kernel, args.initrd)

    # -- parts -------------------------------------------------------------------------------------------------------

    def _see(self, vm: str) -> Seen:
        guest = self._ours(vm)
        return Seen(vm, "absent") if guest is None else self._seen(guest, self.world.move(self.host, vm) is not None)

    def _ours(self, vm: str) -> FakeGuest | None:
        guest = self.world.guest(self.host, vm)
        return None if guest is None or self._is_foreign(guest) else guest

    def _is_foreign(self, guest: FakeGuest) -> bool:
        return guest.foreign or not is_ours(guest.cluster, self.cluster)

    def _seen(self, guest: FakeGuest, moving: bool, whole: bool = False) -> Seen:
        foreign = self._is_foreign(guest)
        return Seen(
            guest.vm,
            guest.state,
            0 if foreign else guest.generation,
            foreign=foreign,
            name=guest.name,
            cores=guest.cores,
            memory_bytes=guest.memory_bytes,
            never_ran=guest.never_ran,
            moving=moving,
            guest=guest.guest if whole and not foreign else None,
        )

    def _stamped(self, guest: FakeGuest, generation: int, state: GuestState | None = None) -> None:
        self.world.change(self.host, guest.vm, state=state, generation=generation, cluster=self.cluster)

    def _refuse_moving(self, vm: str) -> None:
        if self.world.move(self.host, vm) is not None:
            raise DriverError(f"{vm}: a migration of it is under way")


def open_fake(settings: DriverSettings) -> FakeDriver:
    """The driver of ``settings.host`` in the world that lies in the folder ``settings.world``."""
    return FakeDriver(World(settings.world), settings.host, settings, settings.pool)


def _vm_of(args: calls.Shape) -> str:
    match args:
        case calls.Vm() | calls.VmGeneration() | calls.Remove():
            return args.vm
        case calls.Start() | calls.Migrate():
            return args.guest.id
    return ""


_BODIES: dict[str, Callable[[FakeDriver, Any], Steps[Any]]] = {
    "facts": FakeDriver._facts,
    "inventory": FakeDriver._inventory,
    "look": FakeDriver._look,
    "start": FakeDriver._start,
    "stop": FakeDriver._stop,
    "remove": FakeDriver._remove,
    "stamp": FakeDriver._stamp,
    "press_power_button": FakeDriver._press_power_button,
    "migrate": FakeDriver._migrate,
    "moving": FakeDriver._moving,
    "abort_move": FakeDriver._abort_move,
    "use_certificate": FakeDriver._use_certificate,
    "inspect_image": FakeDriver._inspect_image,
}
