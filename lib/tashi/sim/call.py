"""One call of an agent to its hypervisor, on simulated time, killed at its deadline as a worker process would be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tashi.model.guest import Guest
from tashi.sim.domain import Definite, Piece
from tashi.sim.hypervisor import Hypervisor
from tashi.sim.world import World

Done = Callable[[str, Any, str], None]  # outcome, value, text
STALL_SECONDS = 3600.0  # a call that hangs


def piece_of(host: Hypervisor, verb: str, args: Mapping[str, Any]) -> Piece:
    """The generator that does a call; arguments are plain JSON, as a worker gets them."""
    if "guest" in args:
        args = {**args, "guest": msgspec.convert(args["guest"], Guest)}
    calls: dict[str, Callable[..., Piece]] = {
        "facts": host.facts,
        "inventory": host.inventory,
        "look": host.look,
        "start": host.start,
        "stop": host.stop,
        "remove": host.remove,
        "stamp": host.stamp,
        "press_power_button": host.press_power_button,
        "migrate": host.migrate,
        "moving": host.moving,
        "abort_move": host.abort_move,
        "inspect_image": host.inspect_image,
    }
    return calls[verb](**args)


class WorkerCall:
    """Runs a call piece by piece; its outcome is told once, or never when nobody is left to hear it."""

    def __init__(
        self, world: World, host: Hypervisor, verb: str, args: Mapping[str, Any], seconds: float, done: Done
    ) -> None:
        self.world, self.host, self.verb, self._done = world, host, verb, done
        self._piece: Piece | None = piece_of(host, verb, args)
        self._deadline = world.after(seconds, self._killed)
        self._heard = self._fresh = True
        self._cuts = host.cuts
        world.after(0.001, self._go_on)

    def abandon(self) -> None:
        """The agent is gone. A migration goes on, anything else at most by chance: it may be with the hypervisor."""
        self._heard = False
        self._deadline.drop()
        if self.verb != "migrate" and self.world.happens(0.5):
            self.stop()

    def stop(self) -> None:
        """Nothing more of it happens: the host has no power."""
        self._heard = False
        self._deadline.drop()
        if self._piece is not None:
            self._piece.close()
            self._piece = None

    @property
    def over(self) -> bool:
        return self._piece is None

    def _go_on(self) -> None:
        if self._piece is None:
            return
        if self.host.cuts != self._cuts:
            self.stop()
            return
        if not self.host.serves and self.verb != "migrate":
            self._end("unknown", None, "connection to the hypervisor lost")
            return
        if self._fresh and self.world.happens(self.host.refuses):
            self._end("failed", None, "no worker was free in time")
            return
        self._fresh = False
        try:
            seconds = next(self._piece)
        except StopIteration as end:
            self._end("ok", msgspec.to_builtins(end.value), "")
        except Definite as error:
            self._end("failed", None, str(error))
        except TimeoutError as error:
            self._end("unknown", None, str(error))
        else:
            if self.verb != "migrate" and self.host.stalls and self.world.happens(self.host.stalls):
                seconds += STALL_SECONDS
            self.world.after(seconds, self._go_on)

    def _killed(self) -> None:
        self._tell("unknown", None, "killed at its deadline")
        self.abandon()

    def _end(self, outcome: str, value: Any, text: str) -> None:
        piece, self._piece = self._piece, None
        if piece is not None:
            piece.close()
        self._deadline.drop()
        self._tell(outcome, value, text)

    def _tell(self, outcome: str, value: Any, text: str) -> None:
        if self._heard:
            self._heard = False
            self._done(outcome, value, text)
