"""Who has which address in a lab: pure arithmetic over the lab's index and the host's number.

Two networks each: one for the machines (controller, agents, libvirtd, migration), a /24, and one for the guests,
a /16. MACs are fixed: with random ones a host that comes back waits for somebody's stale ARP entry, up to a minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

INDEXES = range(64)
HOSTS_MAX = 200
BEAT_PORT = 9999


@dataclass(frozen=True)
class Plan:
    """The addresses of the lab with this index."""

    index: int

    @property
    def machines(self) -> IPv4Network:
        return IPv4Network(f"10.77.{self.index}.0/24")

    @property
    def guests(self) -> IPv4Network:
        return IPv4Network(f"{self.guest_prefix}.0.0/16")

    @property
    def guest_prefix(self) -> str:
        """The first half of every guest's address: it is on the Linux guest's kernel line."""
        return f"10.{128 + self.index}"

    @property
    def lab(self) -> str:
        """Where the controller listens."""
        return f"10.77.{self.index}.1"

    @property
    def listener(self) -> str:
        """Where guests send their beats."""
        return f"{self.guest_prefix}.0.1"

    def machine(self, number: int) -> str:
        """The address of the host with this number (from 1), in the machines' network."""
        return f"10.77.{self.index}.{10 + number}"

    def guest(self, mac: str) -> str:
        """The address that the Linux guest gives itself: its MAC's last two bytes, clear of x.x.0.*."""
        *_, high, low = (int(part, 16) for part in mac.split(":"))
        return f"{self.guest_prefix}.{1 + high % 254}.{low}"

    def bridge(self, network: str) -> str:
        """The lab's own bridge for ``m``achines or ``g``uests; interface names have 15 characters at most."""
        return f"tlab{self.index}{network}"

    def link(self, network: str, number: int) -> str:
        """The outer end of a host's cable."""
        return f"tlab{self.index}{network}{number}"

    def mac(self, network: str, number: int, end: int = 0) -> str:
        """Locally administered, fixed: ``number`` 0 is the lab's bridge, ``end`` tells two ends of a cable apart."""
        return f"02:74:{self.index:02x}:{ord(network):02x}:{end:02x}:{number:02x}"
