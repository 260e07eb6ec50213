"""The hypervisors that the driver's contract is held against: each rig is two hosts, or one where nothing migrates.

A rig gives its drivers, makes guests for them, and does from outside what no driver call does: pausing a guest, putting
a foreign one there, holding a migration back.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from tashi.model.guest import Disk, Guest, Nic
from tashid.driver.fake import FakeDriver, FakeGuest, Fault, World
from tashid.driver.interface import Driver, DriverError
from tashid.driver.settings import DriverSettings
from tests.contract.clocks import StillClock
from tests.contract.private_libvirtd import Pair

MIB = 2**20

# A boot sector that writes over twelve megabytes of memory without end: given little bandwidth, its migration does not
# converge. cli; cld; xor %ax,%ax; mov %ax,%ds; lgdt gdtr; mov $1,%eax; mov %eax,%cr0; ljmp $8,$go; go: mov $16,%ax;
# mov %ax,%es; 1: mov $0x100000,%edi; mov $0x300000,%ecx; inc %eax; rep stosl; jmp 1b; gdt: two flat segments
RESTLESS = (
    bytes.fromhex(
        "fafc31c08ed80f0116487c66b8010000000f22c0ea197c080066b810008ec0bf00001000b90000300040f3abebf16690"
        "0000000000000000ffff0000009acf00ffff00000092cf001700307c"
    ).ljust(510, b"\0")
    + b"\x55\xaa"
)


class Rig(ABC):
    """What all rigs have. ``there`` is the driver of the second host, ``peer`` its migration address."""

    here: Driver
    there: Driver
    peer: str
    pool: Path
    seconds = 5.0  # that anything may take

    def guest(self, number: int = 1) -> Guest:
        return Guest(f"v-{number}", f"web-{number}", 1, 16 * MIB)

    def until(self, so: Callable[[], object]) -> None:
        """Let time pass until it is so. Raises TimeoutError."""
        end = time.monotonic() + self.seconds
        while not so():
            if time.monotonic() > end:
                raise TimeoutError(f"not so within {self.seconds:g} s")
            time.sleep(0.02)

    @abstractmethod
    def pause(self, vm: str) -> None:
        """Stop it from running, as an administrator may behind our back."""

    @abstractmethod
    def add_foreign(self, name: str) -> None:
        """A running guest ``name`` that is not ours."""

    @abstractmethod
    def lose_disk(self, path: str) -> None:
        """Take a disk out of the pool, behind everybody's back."""

    def hold_moves(self, vm: str) -> None:
        """Migrations of this guest don't come to an end from now on."""
        raise AssertionError("nothing migrates here")

    def release_moves(self, vm: str) -> None:
        """The one under way ends soon."""
        raise AssertionError("nothing migrates here")

    def begin_move(self, guest: Guest, generation: int) -> Callable[[], Any]:
        """Have it migrated by another caller; what is returned gives that caller's result, or raises."""
        answer: list[Any] = []
        driver = self.another_driver()

        def move() -> None:
            try:
                answer.append(driver.migrate(guest, self.peer, generation))
            except Exception as error:
                answer.append(error)

        thread = threading.Thread(target=move, daemon=True)
        thread.start()

        def result() -> Any:
            thread.join(self.seconds)
            if isinstance(answer[0], Exception):
                raise answer[0]
            return answer[0]

        return result

    @abstractmethod
    def another_driver(self) -> Driver:
        """One more for the first host."""

    @abstractmethod
    def settings(self) -> DriverSettings:
        """Of the first host, for a driver in another process."""

    @abstractmethod
    def close(self) -> None:
        """Leave nothing behind."""


class FakeRig(Rig):
    """In memory, on a clock that passes only by sleeping."""

    peer = "fake://h2"

    def __init__(self, pool: Path) -> None:
        self.pool = pool
        self.clock = StillClock()
        self.world = self._make_world()
        self.here = FakeDriver(self.world, "h1", replace(self.settings(), cores=3))
        self.there = FakeDriver(self.world, "h2", self.settings())

    def _make_world(self) -> World:
        return World.in_memory(self.clock)

    def until(self, so: Callable[[], object]) -> None:
        end = self.clock.now() + self.seconds
        while not so():
            if self.clock.now() > end:
                raise TimeoutError(f"not so within {self.seconds:g} s")
            self.clock.sleep(0.02)

    def pause(self, vm: str) -> None:
        self.world.change("h1", vm, state="paused")

    def add_foreign(self, name: str) -> None:
        self.world.put("h1", FakeGuest(name, name, 2, 64 * MIB, "running", foreign=True))

    def lose_disk(self, path: str) -> None:
        self.world.delete_disks([path])

    def hold_moves(self, vm: str) -> None:
        self.world.set_faults([Fault(call="copy", vm=vm, delay=self.seconds / 2)])

    def release_moves(self, vm: str) -> None:
        self.world.set_faults([])

    def begin_move(self, guest: Guest, generation: int) -> Callable[[], Any]:
        args = {"guest": msgspec.to_builtins(guest), "peer": self.peer, "generation": generation}
        assert isinstance(self.here, FakeDriver)
        steps = self.here.steps("migrate", args)
        for _ in range(2):  # checked, begun
            self.clock.sleep(next(steps))

        def result() -> Any:
            try:
                while True:
                    self.clock.sleep(next(steps))
            except StopIteration as end:
                return end.value

        return result

    def another_driver(self) -> Driver:
        return FakeDriver(self.world, "h1", self.settings())

    def settings(self) -> DriverSettings:
        return DriverSettings(driver="fake", host="h1", world="", seconds_per_gib=1.0)

    def close(self) -> None:
        self.world.set_faults([])


class FakeFolderRig(FakeRig):
    """In a folder, on the machine's own clock, as agents of a laboratory share it."""

    def __init__(self, pool: Path) -> None:
        self._folder = pool.parent / "world"
        super().__init__(pool)

    def _make_world(self) -> World:
        return World(self._folder)

    def until(self, so: Callable[[], object]) -> None:
        Rig.until(self, so)

    def begin_move(self, guest: Guest, generation: int) -> Callable[[], Any]:
        return Rig.begin_move(self, guest, generation)

    def another_driver(self) -> Driver:
        return FakeDriver(World(self._folder), "h1", self.settings())

    def settings(self) -> DriverSettings:
        return replace(super().settings(), world=str(self._folder))


class LibvirtRig(Rig):
    """A libvirt hypervisor reached by ``uri``; images and disks are real files."""

    def __init__(self, pool: Path, uri: str) -> None:
        import libvirt

        from tashid.driver.libvirt_driver import LibvirtDriver

        self.pool = pool
        self._make, self._uri = LibvirtDriver, uri
        (pool / "images").mkdir(parents=True)
        (pool / "images/restless.raw").write_bytes(RESTLESS)
        self.here = LibvirtDriver(replace(self.settings(), cores=3))
        self._raw = libvirt.open(uri)

    def guest(self, number: int = 1) -> Guest:
        disk = Disk(f"disks/v-{number}.qcow2", "qcow2", "images/restless.raw", "raw")
        nic = Nic("default", f"52:54:00:00:00:{number:02x}")
        return msgspec.structs.replace(super().guest(number), disks=[disk], nics=[nic])

    def settings(self) -> DriverSettings:
        return DriverSettings(
            uri=self._uri,
            accel="tcg",
            lab=True,
            pool=str(self.pool),
            state=str(self.pool),
            networks={"default": "br0"},
        )

    def another_driver(self) -> Driver:
        return self._make(self.settings())

    def lose_disk(self, path: str) -> None:
        (self.pool / path).unlink()

    def pause(self, vm: str) -> None:
        self._raw.lookupByName(vm).suspend()

    def close(self) -> None:
        _clear(self._raw)


class TestHypervisorRig(LibvirtRig):
    """libvirt's built-in test hypervisor: no migration."""

    __test__ = False

    def __init__(self, pool: Path) -> None:
        super().__init__(pool, "test:///default")

    def add_foreign(self, name: str) -> None:
        size = "<memory unit='MiB'>64</memory><vcpu>2</vcpu><os><type>hvm</type></os>"
        self._raw.createXML(f"<domain type='test'><name>{name}</name>{size}</domain>")


class QemuRig(LibvirtRig):
    """Real guests, two private libvirtds."""

    seconds = 30.0

    def __init__(self, pool: Path, pair: Pair) -> None:
        import libvirt

        self.pair = pair
        one, other = pair.hosts
        super().__init__(pool, one.uri)
        self.peer = other.peer
        self.there = self._make(replace(self.settings(), uri=other.uri))
        self._raw_there = libvirt.open(other.uri)

    def reconnect(self) -> None:
        """After a restart of a libvirtd."""
        import libvirt

        self._raw, self._raw_there = (libvirt.open(host.uri) for host in self.pair.hosts)

    def cut_power(self, vm: str) -> None:
        self._raw.lookupByName(vm).destroy()

    def add_foreign(self, name: str) -> None:
        size = "<memory unit='MiB'>64</memory><vcpu>2</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os>"
        self._raw.createXML(f"<domain type='qemu'><name>{name}</name>{size}</domain>")

    def hold_moves(self, vm: str) -> None:
        domain = self._raw.lookupByName(vm)
        domain.migrateSetMaxSpeed(1)
        domain.migrateSetMaxDowntime(1)
        time.sleep(2.0)  # the guest has to be at its work: before, it would converge

    def release_moves(self, vm: str) -> None:
        domain = self._raw.lookupByName(vm)
        domain.migrateSetMaxDowntime(2000)
        domain.migrateSetMaxSpeed(1000)

    def close(self) -> None:
        super().close()
        _clear(self._raw_there)


def _clear(connection: Any) -> None:
    for domain in connection.listAllDomains():
        if domain.name() != "test":  # the test hypervisor's own
            persistent = domain.isPersistent()
            if domain.isActive():
                domain.destroy()
            if persistent:
                domain.undefine()


def refused(call: Callable[[], object]) -> str:
    """The text with which a call is refused; fails when it is not."""
    try:
        value = call()
    except DriverError as error:
        return str(error)
    raise AssertionError(f"was not refused: {value!r}")
