"""When each user's key came last, from where, and which key of the controller it knew. In memory only, since the start:
nothing is stored for a request.
"""

from __future__ import annotations

DAY = 86_400.0
KEYS_KEPT, ADDRESSES_KEPT = 100_000, 64


class Use:
    """``wall``: seconds since 1970. ``addresses``: when each was last come from, the latest last."""

    __slots__ = ("addresses", "server", "wall")

    def __init__(self) -> None:
        self.wall, self.server = 0.0, ""
        self.addresses: dict[str, float] = {}

    def note(self, address: str, server: str, wall: float) -> None:
        if address in self.addresses:
            del self.addresses[address]
        elif len(self.addresses) >= ADDRESSES_KEPT:
            del self.addresses[next(iter(self.addresses))]
        self.addresses[address] = wall
        self.wall, self.server = wall, server

    def lately(self, wall: float) -> list[str]:
        """The addresses of the last day, the latest first."""
        return [address for address, at in reversed(self.addresses.items()) if wall - at <= DAY]


class Uses:
    """The uses of all keys, by their public halves."""

    def __init__(self) -> None:
        self._uses: dict[str, Use] = {}

    def note(self, public: str, address: str, server: str, wall: float) -> None:
        use = self._uses.get(public)
        if use is None:
            if len(self._uses) >= KEYS_KEPT:
                del self._uses[next(iter(self._uses))]
            use = self._uses[public] = Use()
        use.note(address, server, wall)

    def of(self, public: str) -> Use | None:
        return self._uses.get(public)
