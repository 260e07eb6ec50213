"""A machine in the lab's rack, as its BMC, its PDU and the lab itself ask for it; see peers/rack.py."""

from __future__ import annotations

from typing import Any, Literal

from tashi.lab import control

Press = Literal["on", "off", "soft", "reset", "cycle"]


class Chassis:
    """The machine ``name`` behind the rack's socket. Raises what `control.ask` raises."""

    def __init__(self, rack: str, name: str) -> None:
        self._rack, self._name = rack, name

    def power(self) -> Literal["on", "off"]:
        """Whether it runs, whatever anybody says."""
        return "on" if self._ask()["on"] else "off"

    def fed(self) -> bool:
        """Whether one of its outlets gives power: without, its BMC is dead too."""
        return bool(self._ask()["fed"])

    def press(self, button: Press, seconds: float = 0.0) -> None:
        """Do it after ``seconds``."""
        self._ask(press=button, after=seconds)

    def _ask(self, **more: Any) -> dict[str, Any]:
        return control.ask(self._rack, {"machine": self._name} | more)


def feed(rack: str, outlet: str, gives: bool) -> None:
    """An outlet of the PDU gives power from now on, or none."""
    control.ask(rack, {"outlet": outlet, "gives": gives})
