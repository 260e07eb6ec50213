"""Holds a player's answers against the trace, and tells what they are worth.

It knows nothing of the engine: it adds up itself what is on each host, and looks whether that fits and rules are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from tests.bench.history import Line, Name, Parts, parts_of, place_of, rule_of


class Host:
    """What one host offers, and what is on it."""

    def __init__(self, line: Line) -> None:
        self.line, self.offer = line, parts_of(line)
        self.used = Parts(0, 0, 0)
        self.vms = 0

    def count(self, size: Parts, sign: int) -> None:
        self.vms += sign
        self.used = Parts(*(used + sign * part for used, part in zip(self.used, size, strict=True)))

    def holds(self, more: Parts) -> bool:
        """Whether what is on it, and so much more, is no more than it offers."""
        return all(used + add <= offer for used, add, offer in zip(self.used, more, self.offer, strict=True))


class Judge:
    """The cluster as the trace and the answers say it is."""

    def __init__(self) -> None:
        self.hosts: dict[Name, Host] = {}
        self.faults: list[str] = []
        self.refusals: list[float] = []  # the density at each
        self.created = 0
        self._vms: dict[Name, tuple[Name, Line]] = {}
        self._groups: dict[str, Counter[str]] = {}  # group -> its members in each place

    def see(self, line: Line, answer: Name | None) -> None:
        """The next line; of a create, the host that was answered, or None."""
        name = line.get("id", "")
        if line["op"] == "host":
            self.hosts[name] = Host(line)
        elif line["op"] == "create":
            self.created += 1
            if answer is None:
                self.refusals.append(self.density)
            else:
                self._place(name, answer, line)
        elif line["op"] == "delete" and name in self._vms:
            answer, line = self._vms.pop(name)
            self._count(answer, line, -1)

    def placed(self) -> Iterator[tuple[Name, Name, Line]]:
        """(VM, host, its create) of all that are there now."""
        for name, (host, line) in self._vms.items():
            yield name, host, line

    @property
    def hosts_used(self) -> int:
        return sum(host.vms > 0 for host in self.hosts.values())

    @property
    def bound(self) -> int:
        """The fewest hosts that could hold what is there, were it liquid: of the scarcest resource, in the largest."""
        most = 0
        for needed, offers in zip(self._used(), zip(*self._offers(), strict=True), strict=True):
            count = 0
            for offer in sorted(offers, reverse=True):
                if needed <= 0:
                    break
                count, needed = count + 1, needed - offer
            most = max(most, count)
        return most

    @property
    def density(self) -> float:
        """How full the scarcest resource is, 0 to 1."""
        offers = (sum(part) for part in zip(*self._offers(), strict=True))
        return max((used / offer for used, offer in zip(self._used(), offers, strict=False) if offer), default=0.0)

    def summary(self) -> str:
        """All that in one line."""
        used, bound = self.hosts_used, self.bound
        ratio = f" ({used / bound:.3f} of them)" if bound else ""
        first = f", the first at density {self.refusals[0]:.3f}" if self.refusals else ""
        return (
            f"{self.created} creates, {len(self.refusals)} refused{first}; in the end {len(self._vms)} VMs "
            f"on {used} of {len(self.hosts)} hosts, volume bound {bound}{ratio}, density {self.density:.3f}"
        )

    def _used(self) -> Iterator[int]:
        return (sum(part) for part in zip(*(host.used for host in self.hosts.values()), strict=True))

    def _offers(self) -> Iterable[Parts]:
        return [host.offer for host in self.hosts.values()]

    def _place(self, name: Name, answer: Name, line: Line) -> None:
        if answer not in self.hosts:
            self.faults.append(f"{name}: there is no host {answer}")
            return
        host = self.hosts[answer]
        group, spread = rule_of(line)
        if group:
            members = self._groups.setdefault(group, Counter())
            fewest = min(members[place_of(each.line, spread)] for each in self.hosts.values())
            if members[place := place_of(host.line, spread)] > fewest:
                self.faults.append(f"{name}: {place} has more of {group} than another {spread}")
        self._vms[name] = answer, line
        self._count(answer, line, 1)
        if not host.holds(Parts(0, 0, 0)):
            self.faults.append(f"{name}: {answer} offers {tuple(host.offer)}, used are {tuple(host.used)}")

    def _count(self, answer: Name, line: Line, sign: int) -> None:
        host = self.hosts[answer]
        host.count(parts_of(line), sign)
        group, spread = rule_of(line)
        if group:
            self._groups[group][place_of(host.line, spread)] += sign
