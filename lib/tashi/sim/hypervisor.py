"""What is really there: hosts with power, hypervisors, guests and their disks. The invariants look here.

Each call of the driver interface is a generator: it yields the seconds that its next piece takes, and returns what the
driver would. Between two pieces anything may happen to the host, its guests or the network. A generator that is given
up stops where it was; a migration goes on without its caller, as QEMU's does.

It is a second, independent reading of the driver's contract: the truth that the programs are held against must not be
made of the same code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tashi.model.guest import Guest
from tashi.model.host import Facts
from tashi.sim.domain import BOOT, CUT_POWER, GIB, QUICK, SHUTDOWN, Definite, Domain, Piece
from tashi.sim.migration import migrate
from tashi.sim.network import Network
from tashi.sim.world import Violation, World
from tashi.wire.agents import Seen


@dataclass
class Site:
    """All hosts and their shared pool."""

    world: World
    network: Network
    hosts: dict[str, Hypervisor] = field(default_factory=dict)
    disks: set[str] = field(default_factory=set)
    deaf: set[str] = field(default_factory=set)  # names of guests that ignore their power button
    deleted: list[str] = field(default_factory=list)  # disks, since somebody looked
    ended: list[str] = field(default_factory=list)  # guests that ran and were ended by a call, since somebody looked
    runs: dict[str, Domain] = field(default_factory=dict)  # where each guest ran last

    at_switch_over: Callable[[Hypervisor, Hypervisor], None] = lambda source, target: None


class Hypervisor:
    """One host's hypervisor. ``name`` is the host's, and its migration address."""

    def __init__(self, site: Site, name: str, cores: int, memory_bytes: int) -> None:
        self.site, self.name, self.cores, self.memory_bytes = site, name, cores, memory_bytes
        self.domains: dict[str, Domain] = {}
        self.power = True
        self.cuts = 0  # how often it lost power
        self.serves = True  # its daemon answers; guests live without it
        self.stalls = 0.0  # probability that a piece of a call hangs
        self.refuses = 0.0  # probability that a call fails before it does anything
        self.tell: Callable[[str, str], None] = lambda vm, what: None  # its events: a VM, and what became of it
        site.hosts[name] = self

    # -- what happens to it --------------------------------------------------------------------------------------------
    def cut_power(self) -> None:
        """Guests die; definitions are on disk and stay."""
        self.power = False
        self.cuts += 1
        for domain in list(self.domains.values()):
            domain.outgoing = domain.incoming = None
            if domain.persistent:
                domain.state, domain.never_ran = "stopped", False
            else:
                del self.domains[domain.vm]

    def guest_ends(self, vm: str) -> None:
        """The guest powers itself off, if it runs here."""
        domain = self.domains.get(vm)
        if domain is not None and domain.state == "running":
            self._end(domain)
            self.tell(vm, "ended")

    def running(self) -> list[Domain]:
        return [domain for domain in self.domains.values() if domain.state == "running"]

    def what_it_has(self) -> Facts:
        return Facts(
            cores=self.cores,
            memory_bytes=self.memory_bytes,
            disk_bytes=1000 * GIB,
            pool_bytes=4000 * GIB,
            accelerator="none",
            address=self.name,
            migrate_uri=self.name,
            versions={"simulated": "1"},
        )

    # -- the driver's calls --------------------------------------------------------------------------------------------
    def facts(self) -> Piece:
        yield self.time(QUICK)
        return self.what_it_has()

    def inventory(self) -> Piece:
        yield self.time(QUICK)
        return [self._seen(domain) for domain in self.domains.values()]

    def look(self, vm: str) -> Piece:
        yield self.time(QUICK)
        return self._look(vm)

    def start(self, guest: Guest, generation: int) -> Piece:
        yield self.time(QUICK)
        domain = self.domains.get(guest.id)
        if domain is not None and domain.state == "running":
            domain.generation = generation
            return self._seen(domain)
        if domain is not None and (domain.never_ran or domain.moving):
            raise Definite(f"{guest.name}: a migration of it is under way")
        if domain is None:
            domain = self.domains[guest.id] = Domain(guest.id, guest, generation)
        domain.guest, domain.generation = guest, generation
        self.site.disks |= {disk.path for disk in guest.disks}
        yield self.time(BOOT)
        if self.domains.get(guest.id) is not domain:
            raise Definite(f"{guest.name} was undefined meanwhile")
        if domain.state == "paused" and self.site.runs.get(domain.vm) is not domain:
            raise Violation(f"I2 {domain.vm} is resumed on {self.name} after it ran elsewhere: its disk has changed")
        if domain.state != "running":
            domain.state = "running"
            self.site.runs[domain.vm] = domain
            self.tell(domain.vm, "started")
        return self._seen(domain)

    def stop(self, vm: str, generation: int) -> Piece:
        yield self.time(CUT_POWER)
        domain = self.domains.get(vm)
        if domain is not None:
            domain.generation = generation
            self._cut_off(domain)
            yield self.time(QUICK)
        return self._look(vm)

    def remove(self, vm: str, only_if: str, disks: list[str]) -> Piece:
        yield self.time(QUICK)
        domain = self.domains.get(vm)
        if domain is not None:
            spared = (only_if == "paused" and domain.state != "paused") or (
                only_if == "never-ran" and not domain.never_ran
            )
            if spared:
                return self._seen(domain)
            self._cut_off(domain)
            yield self.time(CUT_POWER)
            if self.domains.get(vm) is domain:
                del self.domains[vm]
        self.site.deleted += [disk for disk in disks if disk in self.site.disks]
        self.site.disks -= set(disks)
        yield self.time(QUICK)
        return self._look(vm)

    def stamp(self, vm: str, generation: int) -> Piece:
        yield self.time(QUICK)
        domain = self.domains.get(vm)
        if domain is not None:
            domain.generation = generation
        return self._look(vm)

    def press_power_button(self, vm: str) -> Piece:
        yield self.time(QUICK)
        if vm not in self.domains or self.domains[vm].state != "running":
            raise Definite(f"{vm} does not run here")
        deaf = self.domains[vm].guest.name in self.site.deaf
        if not deaf and self.site.world.happens(0.8):  # some guests don't listen
            self.site.world.after(self.time(SHUTDOWN), lambda: self.guest_ends(vm))
        return None

    def moving(self, vm: str) -> Piece:
        yield self.time(QUICK)
        domain = self.domains.get(vm)
        job = domain.outgoing if domain is not None else None
        if job is None:
            return None
        return {"done_bytes": job.sent * GIB, "total_bytes": job.pieces * GIB, "bytes_per_second": GIB}

    def abort_move(self, vm: str) -> Piece:
        yield self.time(QUICK)
        domain = self.domains.get(vm)
        if domain is not None and domain.outgoing is not None:
            domain.outgoing.abort = True
            return True
        return False

    def inspect_image(self, path: str, format: str, kernel: str, initrd: str) -> Piece:
        yield self.time(QUICK)
        return {"size_bytes": str(GIB)}

    def migrate(self, guest: Guest, peer: str, generation: int) -> Piece:
        return migrate(self, guest, self.site.hosts.get(peer), generation)

    # -- inside --------------------------------------------------------------------------------------------------------
    def drop_incoming(self, copy: Domain) -> None:
        """Give up a copy that never ran."""
        if copy.never_ran and self.domains.get(copy.vm) is copy:
            del self.domains[copy.vm]

    def joined(self, target: Hypervisor) -> bool:
        network = self.site.network
        return (
            self.power
            and target.power
            and network.reaches(self.name, target.name)
            and network.reaches(target.name, self.name)
        )

    def _cut_off(self, domain: Domain) -> None:
        if not domain.ours:
            raise Violation(f"I7 {domain.vm} on {self.name} is not ours and was ended")
        if domain.state == "running":
            self.site.ended.append(domain.vm)
        self._end(domain)

    def foreign_guest(self, name: str) -> Domain:
        """Somebody's own guest, made by hand: not ours to touch."""
        guest = Guest(name, name, cores=0, memory_bytes=0)
        domain = self.domains[name] = Domain(name, guest, 0, "running", ours=False)
        return domain

    def _end(self, domain: Domain) -> None:
        domain.state, domain.never_ran = "stopped", False
        domain.incoming = None
        if not domain.persistent and self.domains.get(domain.vm) is domain:
            del self.domains[domain.vm]

    def _look(self, vm: str) -> Seen:
        domain = self.domains.get(vm)
        return Seen(vm=vm, state="absent") if domain is None else self._seen(domain)

    def _seen(self, domain: Domain) -> Seen:
        return Seen(
            vm=domain.vm,
            state=domain.state,  # type: ignore[arg-type]
            generation=domain.generation,
            foreign=not domain.ours,
            name=domain.guest.name,
            cores=domain.guest.cores,
            memory_bytes=domain.guest.memory_bytes,
            never_ran=domain.never_ran,
            moving=domain.moving,
        )

    def time(self, span: tuple[float, float]) -> float:
        return self.site.world.chance.uniform(*span)
