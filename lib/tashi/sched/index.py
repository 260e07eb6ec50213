"""Where a VM fits: the placement index, whose cost does not grow with the number of hosts.

Hosts that may take a VM stand in one bucket for each number of free cores; a bucket is a sorted list of integers,
free memory in the high bits and the host's number in the low ones. The buckets that are not empty are the bits of one
integer. So the best fit is: shift away the buckets with too few cores, take the lowest bit left, bisect for the memory.
Ties go to the host with the lowest number: the choice depends on what is there, never on how it came about, so an
index that was rolled back, or built again after a restart, chooses as the former one would have.

Capacity is counted at ratio 1. Cores are whole cores, memory is bytes. The oracle in `tashi.sched.oracle` says the
same by looking at every host; a property test compares the two.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Set as AbstractSet
from typing import Literal

from tashi.model.units import format_size

Policy = Literal["pack", "spread"]

NUMBER_BITS = 60  # a host's number is below 10^18, see tashi.model.name
NUMBER_MASK = (1 << NUMBER_BITS) - 1


class Room:
    """One host: what it has, what is free of it, and where it stands in the index."""

    __slots__ = ("bucket", "cores", "eligible", "entry", "free_cores", "free_memory", "host", "memory", "number", "why")

    def __init__(self, host: str) -> None:
        self.host = host
        self.number = int(host.rpartition("-")[2])
        self.cores = self.memory = self.free_cores = self.free_memory = 0
        self.eligible = False
        self.why = "its capacity is not known yet"
        self.bucket = -1  # -1: in none, because it may not or can't take anything
        self.entry = 0


class Index:
    """Hosts, claims, and the question where the next VM goes. Hosts are named by id (``h-17``)."""

    def __init__(self) -> None:
        self._rooms: dict[str, Room] = {}
        self._by_number: dict[int, str] = {}
        self._buckets: list[list[int]] = []
        self._filled = 0  # bit n: bucket n has entries
        self._shapes: dict[tuple[int, int], int] = {}  # (cores, memory) of empty hosts: how many there are

    def set_host(self, host: str, cores: int, memory_bytes: int, eligible: bool, why_not: str = "") -> None:
        """Add a host, or change what is known of it. ``why_not`` says why it is not eligible; claims stay."""
        room = self._room(host)
        self._count_shape(room, -1)
        room.free_cores += cores - room.cores
        room.free_memory += memory_bytes - room.memory
        room.cores, room.memory, room.eligible, room.why = cores, memory_bytes, eligible, why_not
        self._count_shape(room, 1)
        self._seat(room)

    def drop_host(self, host: str) -> None:
        """Forget a host and its claims; one that was never there is no error."""
        room = self._rooms.pop(host, None)
        if room is None:
            return
        self._count_shape(room, -1)
        room.eligible = False
        self._seat(room)
        del self._by_number[room.number]

    def claim(self, host: str, cores: int, memory_bytes: int) -> None:
        """Count a VM as being on a host. Never refused: what runs is counted, fitting or not."""
        room = self._rooms.get(host) or self._room(host)
        room.free_cores -= cores
        room.free_memory -= memory_bytes
        if room.eligible:
            self._seat(room)

    def release(self, host: str, cores: int, memory_bytes: int) -> None:
        """Take a claim back. Raises KeyError for an unknown host, ValueError for more than was claimed."""
        room = self._rooms[host]
        if room.free_cores + cores > room.cores or room.free_memory + memory_bytes > room.memory:
            raise ValueError(f"{host}: releases {cores} cores, {memory_bytes} bytes that were never claimed")
        room.free_cores += cores
        room.free_memory += memory_bytes
        if room.eligible:
            self._seat(room)

    def free(self, host: str) -> tuple[int, int]:
        """(cores, bytes of memory) not claimed; negative when a host lost capacity. KeyError: no such host."""
        room = self._rooms[host]
        return room.free_cores, room.free_memory

    def used(self, host: str) -> tuple[int, int]:
        """(cores, bytes of memory) claimed. KeyError: no such host."""
        room = self._rooms[host]
        return room.cores - room.free_cores, room.memory - room.free_memory

    def fits(self, host: str, cores: int, memory_bytes: int) -> bool:
        """Whether this very host may take the VM now."""
        room = self._rooms.get(host)
        return room is not None and room.eligible and room.free_cores >= cores and room.free_memory >= memory_bytes

    def could_hold(self, host: str, cores: int, memory_bytes: int) -> bool:
        """Whether this very host could take the VM, were nothing on it."""
        room = self._rooms.get(host)
        return room is not None and room.eligible and room.cores >= cores and room.memory >= memory_bytes

    def pick(
        self, cores: int, memory_bytes: int, policy: Policy = "pack", exclude: AbstractSet[str] = frozenset()
    ) -> str | None:
        """The host for a VM, or None: the fullest that fits (pack), or the emptiest (spread); claims nothing."""
        if policy == "spread":
            return self._emptiest(cores, memory_bytes, exclude)
        left, floor = self._filled >> cores, memory_bytes << NUMBER_BITS
        while left:
            low = left & -left
            bucket = self._buckets[cores + low.bit_length() - 1]
            for at in range(bisect_left(bucket, floor), len(bucket)):
                host = self._by_number[bucket[at] & NUMBER_MASK]
                if host not in exclude:
                    return host
            left ^= low
        return None

    def explain(
        self, cores: int, memory_bytes: int, exclude: AbstractSet[str] = frozenset(), pin: str | None = None
    ) -> dict[str, str]:
        """For each host that can't take the VM, the reason; empty reasons are left out."""
        reasons = {}
        for host, room in sorted(self._rooms.items(), key=lambda item: item[1].number):
            reason = self._why_not(room, cores, memory_bytes, exclude, pin)
            if reason:
                reasons[host] = reason
        return reasons

    def ever_fits(self, cores: int, memory_bytes: int) -> bool:
        """Whether some host could hold it, were it empty and well."""
        return any(has_cores >= cores and has_memory >= memory_bytes for has_cores, has_memory in self._shapes)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _room(self, host: str) -> Room:
        room = self._rooms.get(host)
        if room is None:
            room = self._rooms[host] = Room(host)
            self._by_number[room.number] = host
        return room

    def _count_shape(self, room: Room, change: int) -> None:
        shape = (room.cores, room.memory)
        left = self._shapes.get(shape, 0) + change
        if left > 0:
            self._shapes[shape] = left
        else:
            self._shapes.pop(shape, None)

    def _seat(self, room: Room) -> None:
        """Move a host to the bucket where it belongs now."""
        old, buckets = room.bucket, self._buckets
        if old >= 0:
            bucket = buckets[old]
            del bucket[bisect_left(bucket, room.entry)]
            if not bucket:
                self._filled ^= 1 << old
        cores, memory = room.free_cores, room.free_memory
        if not room.eligible or cores < 1 or memory < 0:
            room.bucket = -1
            return
        while cores >= len(buckets):
            buckets.append([])
        room.bucket = cores
        room.entry = memory << NUMBER_BITS | room.number
        insort(buckets[cores], room.entry)
        self._filled |= 1 << cores

    def _emptiest(self, cores: int, memory_bytes: int, exclude: AbstractSet[str]) -> str | None:
        left = self._filled >> cores
        while left:
            high = left.bit_length() - 1
            bucket = self._buckets[cores + high]
            end = len(bucket)
            while end and bucket[end - 1] >> NUMBER_BITS >= memory_bytes:
                first = bisect_left(bucket, bucket[end - 1] >> NUMBER_BITS << NUMBER_BITS)  # equals: lowest number
                for at in range(first, end):
                    host = self._by_number[bucket[at] & NUMBER_MASK]
                    if host not in exclude:
                        return host
                end = first
            left ^= 1 << high
        return None

    def _why_not(self, room: Room, cores: int, memory_bytes: int, exclude: AbstractSet[str], pin: str | None) -> str:
        if pin is not None and room.host != pin:
            return "not the host asked for"
        if room.host in exclude:
            return "it is there, or not cleared away yet"
        if not room.eligible:
            return room.why
        reasons = []
        if room.free_cores < cores:
            reasons.append(f"needs {cores} {'core' if cores == 1 else 'cores'}, {max(room.free_cores, 0)} free")
        if room.free_memory < memory_bytes:
            free = format_size(max(room.free_memory, 0))
            reasons.append(f"needs {format_size(memory_bytes)} of memory, {free} free")
        return "; ".join(reasons)
