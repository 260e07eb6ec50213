"""What zoni agents and the controller say to each other about physical machines.

The conversation is that of `tashi.wire.agents`, whose welcome, pulse, acked and rejected serve here too; greetings,
rows and observations are about machines instead of guests. Passwords come with a row and go no further.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from tashi.model.host import Count, Text
from tashi.wire.agents import Acked, Generation, Pulse, Rejected, ShotDone, Welcome
from tashi.wire.bounds import Alive, Open

Power = Literal["on", "off", "unknown"]
Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]


class MetalRow(Open, frozen=True):
    """What is wanted of one machine: ``power`` on or off, or nothing but to be looked at.

    ``paths`` lead to its power, in this order, in the plain form of zoni's drivers, passwords included; ``mark`` tells
    them from others. ``soft_seconds``: off, but its system is asked first and given so long. ``seconds``: what one path
    may take. ``uuid`` and ``serial``: which machine a path has to lead to. ``ask`` numbers a question, as with guests.
    ``gone``: it is no machine of this agent's any more.
    """

    machine: str
    generation: Generation
    name: Text = ""
    paths: Annotated[list[dict[str, Any]], Meta(max_length=16)] = []
    mark: Text = ""
    rack: Text = ""
    uuid: Text = ""
    serial: Text = ""
    power: Literal["", "on", "off"] = ""
    soft_seconds: Seconds = 0.0
    seconds: Seconds = 60.0
    ask: Count = 0
    gone: bool = False


class MetalSeen(Open, frozen=True):
    """What an agent says of one machine. ``source`` is the path that said it, ``age_seconds`` ago.

    ``contradiction``: what paths say against each other, and then nothing is known. ``trouble``: paths that don't
    answer, or are not to be used. ``whole``: each path was asked since the last change. ``uuid`` and ``serial`` are
    what a path told. ``row_generation``, ``outcome``, ``reason``, ``newest``, ``answer``: as with guests.
    """

    machine: str
    power: Power = "unknown"
    source: Text = ""
    age_seconds: Seconds = 0.0
    contradiction: Text = ""
    trouble: Text = ""
    whole: bool = False
    uuid: Text = ""
    serial: Text = ""
    mark: Text = ""
    row_generation: Generation = 0
    outcome: Literal["", "done", "failed", "refused", "unknown"] = ""
    reason: Text = ""
    newest: Generation = 0
    answer: Count = 0


class SwitchPorts(Open, frozen=True):
    """Ports of one switch; ``path`` leads to it, in the plain form of zoni's drivers, passwords included.

    A machine's ports; none on a switch that is only on the way. ``uplinks`` carry what is opened. ``members``: ports of
    other machines in the same domain; of all others none may be open in its VLANs. ``base_mac``: which switch it has to
    be; empty: any, but it is told; None: that is not asked.
    """

    path: dict[str, Any]
    ports: Annotated[list[Text], Meta(max_length=256)]
    switch: str = ""
    uplinks: Annotated[list[Text], Meta(max_length=256)] = []
    members: Annotated[list[Text], Meta(max_length=1024)] = []
    base_mac: Text | None = None


class PortRow(Open, frozen=True):
    """What is wanted of all ports of a machine: open in ``vlans``, the first of them untagged; none: closed, in none.

    ``name`` is what the VLANs are called, the domain's; ``domains``: whose each of them is. ``seconds``: what a change
    of one switch may take.
    """

    machine: str
    generation: Generation
    switches: Annotated[list[SwitchPorts], Meta(max_length=256)] = []
    vlans: Annotated[list[int], Meta(max_length=64)] = []
    name: Text = ""
    seconds: Seconds = 30.0
    domains: dict[str, Text] = {}


class PortSeen(Open, frozen=True):
    """The outcome of a PortRow: done (read back, and saved), failed (nothing was changed), unknown; or refused, because

    one of the generation ``newest`` was obeyed already. ``base_macs``: what switches told of which they are.
    """

    machine: str
    generation: Generation
    outcome: Literal["done", "failed", "unknown", "refused"]
    reason: Text = ""
    newest: Generation = 0
    base_macs: dict[str, Text] = {}


class ConsoleSaid(Open, frozen=True):
    """How far a console is: its client may come, or is there; a `ShotDone` tells of its end."""

    job: str
    machine: str
    phase: Literal["waits", "open"]


# -- agents to controller --------------------------------------------------------------------------------------------
class MetalHello(Open, frozen=True, tag="hello", tag_field="say"):
    """``agent`` is the name that it enrolled with; the rest as in ``Hello``. ``stream``: where clients reach its stream
    port; empty: it has none.
    """

    agent: Text
    uuid: Text
    boot_id: Text
    incarnation: Count
    epoch: Count
    protocol: Count
    oldest: Count
    stream: Text = ""

    @property
    def host(self) -> str:
        """The name that it enrolled with, as a host's agent has it."""
        return self.agent


class MetalBeat(Alive, frozen=True, tag="beat", tag_field="say"):
    """I am alive. ``looked``: machines that were looked at since the last beat, and were as was told and acked."""

    looked: list[str] = []


class MetalInventory(Open, frozen=True, tag="inventory", tag_field="say"):
    """Every machine that the agent knows of."""

    incarnation: Count
    seq: Count
    boot_id: Text
    machines: list[MetalSeen]
    wall_seconds: float = 0.0


class MetalTell(Open, frozen=True, tag="tell", tag_field="say"):
    """One observation or outcome, kept in the agent's outbox until acked."""

    incarnation: Count
    seq: Count
    boot_id: Text
    seen: MetalSeen | None = None
    shot: ShotDone | None = None
    ports: PortSeen | None = None
    console: ConsoleSaid | None = None


MetalMessage = MetalHello | MetalBeat | MetalInventory | MetalTell


# -- controller to agents --------------------------------------------------------------------------------------------
class MetalRows(Open, frozen=True, tag="rows", tag_field="say"):
    epoch: Count
    rows: list[MetalRow]


class PortRows(Open, frozen=True, tag="ports", tag_field="say"):
    epoch: Count
    rows: list[PortRow]


class MetalShot(Open, frozen=True, tag="shot", tag_field="say"):
    """A one-shot: at most once, journalled before it is done; questions (sensors, log, booting) are not journalled.

    It goes the way that the machine's row has. ``args``: boot's device, once, uefi; identify's on; log's limit.
    What came of it is the ``answer`` in the result, as JSON.
    """

    epoch: Count
    job: str
    action: Literal["cycle", "reset", "boot", "identify", "booting", "sensors", "log"]
    machine: str
    generation: Generation = 0
    seconds: float = 60.0  # that one path may take
    args: dict[str, Any] = {}


class SwitchShot(Open, frozen=True, tag="switch-shot", tag_field="say"):
    """What is asked of one switch. To change and to save is done at most once, journalled before; the rest is asked.

    ``path`` leads to it, as in `SwitchPorts`; ``args`` are further arguments of the driver's call: a change's and a
    plan's goal and rules. What came of it is the ``answer`` in the result, as JSON.
    """

    epoch: Count
    job: str
    action: Literal["look", "macs", "neighbours", "probe", "plan", "change", "save"]
    path: dict[str, Any]
    seconds: Seconds = 30.0
    args: dict[str, Any] = {}


class ConsoleShot(Open, frozen=True, tag="console", tag_field="say"):
    """A ticket for the console of a machine: the client that has ``key`` may come within ``seconds``, once. Or its end.

    ``force``: whoever has the line at the BMC loses it. With cut: ``code`` and ``reason``, for the client.
    """

    epoch: Count
    job: str
    action: Literal["open", "cut"]
    machine: str
    key: Text = ""
    seconds: Seconds = 0.0
    read_only: bool = False
    force: bool = False
    code: Text = ""
    reason: Text = ""


MetalOrder = Welcome | Pulse | MetalRows | PortRows | MetalShot | SwitchShot | ConsoleShot | Acked | Rejected
