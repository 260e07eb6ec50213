"""The one table of verbs: what each is sent with, who may use it, and what it does.

A verb that is not here does not exist; a body type that no verb uses keeps the controller from starting (`check`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from tashi.core import (
    backups,
    certificates,
    consoles,
    create,
    devices,
    divergence,
    domains,
    drain,
    handover,
    hosts,
    images,
    jobs,
    keys,
    machines,
    metal_power,
    move,
    off,
    plugs,
    power,
    reservations,
    switch_calls,
    switch_change,
    users,
    vlans,
    zoniagents,
)
from tashi.core.turn import Turn
from tashi.wire import domains as leases
from tashi.wire import messages, metal, placing, switching
from tashi.wire import vlans as vlan_words
from tashi.wire.bounds import Strict
from tashi.wire.errors import Fault
from tashi.wire.messages import Accepted


class Verb(NamedTuple):
    """``role`` is the least that may; objects are checked by `Turn.find`, which hides what is somebody else's."""

    body: type[Any]
    role: str
    act: Callable[[Turn, Any], Accepted] | None  # None: answered without a change


VERBS: dict[str, Verb] = {
    "status": Verb(messages.Nothing, "user", None),
    "list": Verb(messages.ListBody, "user", None),
    "changes": Verb(messages.ChangesBody, "user", None),
    "usage": Verb(messages.UsageBody, "user", None),
    "explain": Verb(placing.Demanded, "user", None),
    "decision": Verb(messages.Named, "user", None),
    "slots": Verb(placing.Demanded, "user", None),
    "snapshot": Verb(messages.SnapshotBody, "operator", None),
    "metrics": Verb(messages.Nothing, "operator", None),
    "vm.create": Verb(placing.VmCreate, "user", create.create),
    "vm.place": Verb(placing.VmPlace, "user", power.place_by_hand),
    "vm.start": Verb(messages.VmVerb, "user", power.start),
    "vm.shutdown": Verb(messages.VmVerb, "user", power.shutdown),
    "vm.destroy": Verb(messages.VmVerb, "user", power.destroy),
    "vm.migrate": Verb(messages.VmMigrate, "user", move.migrate),
    "job.cancel": Verb(messages.Named, "user", jobs.cancel),
    "host.add": Verb(messages.HostAdd, "admin", hosts.add),
    "host.set": Verb(placing.HostSet, "admin", hosts.change),
    "host.drain": Verb(messages.HostDrain, "operator", drain.drain),
    "host.resume": Verb(messages.Named, "operator", hosts.resume),
    "host.certify": Verb(messages.Named, "admin", certificates.renew),
    "host.confirm-off": Verb(messages.Named, "admin", off.confirm),
    "host.remove": Verb(messages.Named, "admin", hosts.remove),
    "image.add": Verb(messages.ImageAdd, "operator", images.add),
    "image.remove": Verb(messages.Named, "operator", images.remove),
    "user.add": Verb(messages.UserAdd, "admin", users.add),
    "user.set": Verb(messages.UserSet, "admin", users.change),
    "user.remove": Verb(messages.Named, "admin", users.remove),
    "user.enroll": Verb(messages.Named, "user", keys.invite),
    "group.set": Verb(messages.GroupSet, "admin", users.set_group),
    "group.remove": Verb(messages.Named, "admin", users.remove_group),
    "key.revoke": Verb(messages.Named, "user", keys.revoke),
    "key.register": Verb(messages.Register, "enroll", keys.register),
    "machine.add": Verb(metal.MachineAdd, "admin", machines.add),
    "machine.set": Verb(metal.MachineSet, "admin", machines.change),
    "machine.import": Verb(metal.MachineImport, "admin", machines.take_in),
    "machine.plug": Verb(metal.MachinePlug, "admin", plugs.plug),
    "machine.remove": Verb(messages.Named, "admin", machines.remove),
    "machine.power": Verb(metal.MachinePower, "user", metal_power.power),
    "machine.boot": Verb(metal.MachineBoot, "operator", metal_power.boot),
    "machine.identify": Verb(metal.MachineIdentify, "operator", metal_power.identify),
    "machine.booting": Verb(messages.Named, "operator", metal_power.booting),
    "machine.sensors": Verb(messages.Named, "operator", metal_power.sensors),
    "machine.console": Verb(metal.MachineConsole, "user", consoles.console),
    "machine.log": Verb(metal.MachineLog, "operator", metal_power.log),
    "zoniagent.add": Verb(messages.ZoniAgentAdd, "admin", zoniagents.add),
    "zoniagent.remove": Verb(messages.Named, "admin", zoniagents.remove),
    "zoniagent.enroll": Verb(messages.EnrollZoni, "enroll", zoniagents.enroll),
    "pdu.add": Verb(metal.PduAdd, "admin", devices.add_pdu),
    "pdu.set": Verb(metal.PduSet, "admin", devices.set_pdu),
    "pdu.remove": Verb(messages.Named, "admin", devices.remove_pdu),
    "switch.add": Verb(metal.SwitchAdd, "admin", devices.add_switch),
    "switch.set": Verb(metal.SwitchSet, "admin", devices.set_switch),
    "switch.remove": Verb(messages.Named, "admin", devices.remove_switch),
    "switch.look": Verb(messages.Named, "operator", switch_calls.ask),
    "switch.macs": Verb(messages.Named, "operator", switch_calls.ask),
    "switch.neighbours": Verb(messages.Named, "operator", switch_calls.ask),
    "switch.probe": Verb(messages.Named, "operator", switch_calls.ask),
    "switch.save": Verb(messages.Named, "operator", switch_calls.ask),
    "switch.change": Verb(switching.SwitchChange, "operator", switch_change.change),
    "vlan.create": Verb(vlan_words.VlanCreate, "operator", vlans.create),
    "vlan.destroy": Verb(vlan_words.VlanDestroy, "operator", vlans.destroy),
    "port.set": Verb(vlan_words.PortSet, "operator", vlans.set_ports),
    "port.restore": Verb(vlan_words.PortRestore, "operator", vlans.restore),
    "domain.create": Verb(leases.DomainCreate, "operator", domains.create),
    "domain.remove": Verb(messages.Named, "operator", domains.remove),
    "machine.reserve": Verb(leases.Reserve, "user", reservations.reserve),
    "machine.allocate": Verb(leases.Allocate, "user", handover.allocate),
    "machine.release": Verb(messages.Named, "user", reservations.release),
    "reservation.extend": Verb(leases.Extend, "user", reservations.extend),
    "backup": Verb(messages.Backup, "admin", backups.begin),
    "adopt": Verb(messages.Named, "admin", divergence.adopt),
    "forget": Verb(messages.Named, "admin", divergence.forget),
    "enroll": Verb(messages.Enroll, "enroll", hosts.enroll),
}

# Those that need chance: to seal, or for a token.
SECRET = metal.WITH_PASSWORDS | {"host.add", "user.enroll", "zoniagent.add"}

DECODERS = {name: msgspec.json.Decoder(verb.body) for name, verb in VERBS.items()}


SPOKEN = (messages, placing, metal, switching, vlan_words, leases)


def check() -> None:
    """Refuse to run with a request that no verb takes. Raises Fault naming it."""
    used = {verb.body for verb in VERBS.values()}
    parts = {Strict, messages.Request, messages.Limits, placing.Asks}
    parts |= {switching.PortWant, switching.SwitchGoal, vlan_words.PortsWant}
    parts |= {metal.Parts, metal.NewMachine, metal.Plugged, metal.Snmp, metal.Device}
    for name, kind in (each for module in SPOKEN for each in vars(module).items()):
        if isinstance(kind, type) and issubclass(kind, Strict) and kind not in used | parts:
            raise Fault(f"no verb takes {name}: refusing to start")
