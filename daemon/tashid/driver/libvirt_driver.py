"""The driver for real guests: this host's domains in its libvirtd, or in libvirt's test hypervisor.

Theory of operation. A domain is ours when our element is in its metadata and its name is the VM's id there; every other
domain is foreign: told in the inventory, never touched. Each call reads what is before it changes anything, so any of
them may be killed and repeated. While a guest migrates from here it is left alone: only look, moving and abort_move
are answered, because libvirt would make any other call wait for the migration's end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial

from tashi.model.guest import Guest
from tashi.model.host import Facts
from tashi.wire.agents import GuestState, Seen
from tashid.driver import accelerator, image_header, tls_files
from tashid.driver.disks import delete_disk, make_disk
from tashid.driver.domain_xml import (
    MACHINES,
    NAMESPACE,
    PREFIX,
    Metadata,
    Place,
    domain_xml,
    mark_xml,
    read_guest,
    read_metadata,
    read_summary,
    with_generation,
)
from tashid.driver.facts import host_facts
from tashid.driver.interface import Capability, DriverError, MoveJob, MoveStats, is_ours, spares
from tashid.driver.libvirt import Connection, Domain, Gone, Unclear
from tashid.driver.peer import check_peer, explain
from tashid.driver.pool import absolute_path
from tashid.driver.settings import DriverSettings

CALLED_BACK_SECONDS = 5.0  # QEMU may take so long to give a migration up
SYSTEM = "qemu:///system"  # the libvirtd that speaks TLS with other hosts


class LibvirtDriver:
    """Implements `tashid.driver.interface.Driver`."""

    def __init__(self, settings: DriverSettings) -> None:
        self._settings = settings
        self.cluster = ""
        self._connection = Connection(settings.uri)
        lacks = {Capability.MIGRATE} if self._connection.is_test else set()
        self.capabilities = frozenset(set(Capability) - lacks)

    # -- reading -----------------------------------------------------------------------------------------------------

    def facts(self) -> Facts:
        connection, accelerator = self._connection, self._accelerator()
        kind = MACHINES[accelerator]
        domains = connection.capabilities(kind.arch, kind.machine, kind.type) if kind.machine else ""
        return host_facts(self._settings, accelerator, connection.versions(), connection.capabilities(), domains)

    def inventory(self) -> list[Seen]:
        told = []
        for domain in self._connection.domains():
            with suppress(Gone):  # since it was listed
                told.append(self._see(domain, whole=True))
        return told

    def look(self, vm: str) -> Seen:
        try:
            domain = self._find(vm)
            return Seen(vm, "absent") if domain is None else self._see(domain)
        except Gone:
            return Seen(vm, "absent")

    def moving(self, vm: str) -> MoveJob | None:
        domain = self._find(vm)
        job = None if domain is None else domain.outgoing_job()
        if job is None:
            return None
        return MoveJob(job.get("data_processed", 0), job.get("data_total", 0), job.get("memory_bps", 0))

    def inspect_image(self, path: str, format: str, kernel: str, initrd: str) -> dict[str, str]:
        return image_header.inspect_image(self._settings.pool, path, format, kernel, initrd)

    # -- changing ----------------------------------------------------------------------------------------------------

    def start(self, guest: Guest, generation: int) -> Seen:
        domain = self._find(guest.id)
        if domain is None or not domain.is_active():
            self._boot(guest, generation, is_new=domain is None)
            with _begun():
                return self.look(guest.id)
        seen = self._see(domain)
        if domain.outgoing_job() is not None or seen.never_ran:
            raise DriverError(f"{guest.name}: a migration of it is under way")
        self._write_generation(domain, generation)
        with _begun():
            if seen.state == "paused":
                domain.resume()
            return self.look(guest.id)

    def stop(self, vm: str, generation: int) -> Seen:
        domain = self._find_still(vm)
        if domain is None:
            return Seen(vm, "absent")
        persistent = domain.is_persistent()
        domain.destroy()
        with _begun():
            if persistent:
                self._write_generation(domain, generation)
            return self.look(vm)

    def remove(self, vm: str, only_if: str, disks: list[str]) -> Seen:
        domain = self._find_still(vm)
        with ExitStack() as begun:
            with suppress(Gone):  # since it was found: all the better
                if domain is not None:
                    seen = self._see(domain)
                    if spares(only_if, seen):
                        return seen
                    persistent = domain.is_persistent()
                    domain.destroy()
                    begun.enter_context(_begun())
                    if persistent:
                        domain.undefine()
            for path in disks:
                delete_disk(self._settings.pool, path)
        return Seen(vm, "absent")

    def stamp(self, vm: str, generation: int) -> Seen:
        domain = self._find_still(vm)
        if domain is None:
            return Seen(vm, "absent")
        self._write_generation(domain, generation)
        with _begun():
            return self.look(vm)

    def press_power_button(self, vm: str) -> None:
        domain = self._find_still(vm)
        if domain is None or not domain.is_active():
            raise DriverError(f"{vm}: not running here")
        domain.press_power_button()

    # -- moving ------------------------------------------------------------------------------------------------------

    def migrate(self, guest: Guest, peer: str, generation: int) -> MoveStats:
        if Capability.MIGRATE not in self.capabilities:
            raise DriverError(f"{guest.name}: this hypervisor has no migration")
        there = check_peer(peer, self._settings.lab)
        domain = self._find_still(guest.id)
        if domain is None or domain.state() != "running":
            raise DriverError(f"{guest.name}: not running here")
        live = with_generation(domain.migratable_xml(), generation)
        kept = with_generation(domain.xml(kept=True), generation)
        began = time.monotonic()
        try:
            figures = domain.migrate(there, live, kept, self._settings)
        except Unclear as error:
            with _begun():
                seen = self.look(guest.id)
            if seen.state == "running" and not seen.moving:
                raise DriverError(f"{guest.name}: not migrated, it goes on here: {explain(str(error))}") from error
            raise
        took_ms = figures.get("time_elapsed", (time.monotonic() - began) * 1000)
        return MoveStats(took_ms / 1000, figures.get("downtime", 0) / 1000, figures.get("data_processed", 0))

    def abort_move(self, vm: str) -> bool:
        domain = self._find(vm)
        if domain is None or domain.outgoing_job() is None:
            return False
        try:
            domain.abort_job()
        except (DriverError, Unclear):
            if domain.outgoing_job() is not None:  # else it ended by itself meanwhile
                raise
        deadline = time.monotonic() + CALLED_BACK_SECONDS
        while domain.is_leaving():  # QEMU takes a moment to obey
            if time.monotonic() > deadline:
                raise Unclear(f"{vm}: called back, but its migration goes on")
            time.sleep(0.02)
        return True

    def use_certificate(self) -> str:
        if self._settings.uri != SYSTEM:
            return f"{self._settings.uri} is no place for it"
        return tls_files.use_certificate(self._settings.state)

    # -- parts -------------------------------------------------------------------------------------------------------

    def _accelerator(self) -> str:
        if self._connection.is_test:
            return "test"
        return accelerator.choose(self._settings.accel, self._settings.state).accelerator

    def _find(self, vm: str) -> Domain | None:
        """The domain of one of our guests."""
        domain = self._connection.find(vm)
        with suppress(Gone):  # since it was found
            mark = _mark_of(domain) if domain is not None else None
            if mark is not None and is_ours(mark.cluster, self.cluster):
                return domain
        return None

    def _find_still(self, vm: str) -> Domain | None:
        """As `_find`, but a guest that migrates from here is refused."""
        domain = self._find(vm)
        if domain is not None and domain.outgoing_job() is not None:
            raise DriverError(f"{vm}: a migration of it is under way")
        return domain

    def _see(self, domain: Domain, whole: bool = False) -> Seen:
        xml = domain.xml()
        mark = read_metadata(xml)
        title, cores, memory = read_summary(xml)
        state: GuestState = domain.state()
        if mark is None or mark.vm != domain.name or not is_ours(mark.cluster, self.cluster):
            return Seen(domain.uuid, state, foreign=True, name=domain.name, cores=cores, memory_bytes=memory)
        return Seen(
            mark.vm,
            state,
            mark.generation,
            name=title,
            cores=cores,
            memory_bytes=memory,
            never_ran=domain.is_incoming(),
            moving=domain.is_leaving(),
            guest=read_guest(mark) if whole else None,
            reason=domain.why_off(),
        )

    def _boot(self, guest: Guest, generation: int, is_new: bool) -> None:
        """Disks, definition, power; what of it was not there before is taken back when it fails."""
        if is_new and self._connection.find(guest.id) is not None:
            raise DriverError(f"{guest.name}: a domain {guest.id} is here that is not ours")
        pool = self._settings.pool
        place = Place(self._accelerator(), self._settings.networks, partial(absolute_path, pool), self.cluster)
        xml = domain_xml(guest, generation, place)
        with ExitStack() as undo:
            for disk in guest.disks:
                if make_disk(pool, disk):
                    undo.callback(_take_back, partial(delete_disk, pool, disk.path))
            domain = self._connection.define(xml)
            if is_new:
                undo.callback(_take_back, domain.undefine)
            try:
                domain.create()
            except Unclear:
                undo.pop_all()  # it may run
                raise
            undo.pop_all()

    def _write_generation(self, domain: Domain, generation: int) -> None:
        mark = _mark_of(domain)
        if mark is None:
            raise DriverError(f"{domain.name}: lost its metadata")
        marked = replace(mark, generation=generation, cluster=mark.cluster or self.cluster)
        domain.set_metadata(mark_xml(marked), PREFIX, NAMESPACE)


@contextmanager
def _begun() -> Iterator[None]:
    """Within, something has changed already: a refusal proves nothing any more."""
    try:
        yield
    except DriverError as error:
        raise Unclear(str(error)) from error


def _take_back(change: Callable[[], None]) -> None:
    with _begun():
        change()


def _mark_of(domain: Domain) -> Metadata | None:
    """Our mark in a domain that is ours."""
    xml = domain.metadata(NAMESPACE)
    mark = None if xml is None else read_metadata(xml)
    return mark if mark is not None and mark.vm == domain.name else None
