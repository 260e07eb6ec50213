"""A VM host in the simulation: power, a hypervisor, and the agent on it with its journal on the host's disk."""

from __future__ import annotations

from tashi.agent import events
from tashi.agent.mind import Mind
from tashi.sim import words
from tashi.sim.call import WorkerCall
from tashi.sim.hypervisor import Hypervisor
from tashi.sim.invariants import Invariants
from tashi.sim.network import Network
from tashi.sim.program import Done, Listener, Program
from tashi.sim.world import World
from tashi.wire.agents import ControllerMessage

POWER_ON_SECONDS = 5.0
EVENT_SECONDS = 0.005
CLONED_CONNECTIONS = 1_000_000  # numbers of connections that are a clone's


class Machine(Program):
    """One host. ``name`` is the host's; ``key`` its agent's public key, by which the controller knows it."""

    def __init__(
        self,
        world: World,
        network: Network,
        listener: Listener,
        hypervisor: Hypervisor,
        key: str,
        invariants: Invariants,
    ) -> None:
        super().__init__(world, network, listener, hypervisor.name, key)
        self.hypervisor, self.invariants = hypervisor, invariants
        self.uuid = f"uuid-{hypervisor.name}"
        self.host = self.name  # the host that it says it is
        self.boots = 1
        hypervisor.tell = self._hypervisor_says

    @property
    def boot_id(self) -> str:
        return f"{self.name}-boot-{self.boots}"

    # -- power ---------------------------------------------------------------------------------------------------------
    def can_run(self) -> bool:
        return self.hypervisor.power

    def cut_power(self) -> None:
        self.crash_agent()
        self.world.tell(self.name, "power cut")
        self.hypervisor.cut_power()

    def restore_power(self) -> None:
        """Power again: a new boot id, and after a while an agent."""
        if self.hypervisor.power:
            return
        self.world.tell(self.name, "power is back")
        self.hypervisor.power, self.hypervisor.serves = True, True
        self.boots += 1
        self.world.after(POWER_ON_SECONDS, self.start_agent)

    def reinstall(self) -> None:
        """Another machine under the same name, with the same key: nothing of the old one is on it."""
        self.cut_power()
        self.hypervisor.domains.clear()
        self.journal.clear()
        self.uuid += "-anew"
        self.starts = 0
        self.restore_power()

    def clone(self, hypervisor: Hypervisor) -> Machine:
        """A machine whose disk was copied from this one: the same key, machine id and journal, another boot."""
        other = Machine(self.world, self.network, self.listener, hypervisor, self.key, self.invariants)
        other.host, other.uuid, other.starts = self.host, self.uuid, self.starts
        other.journal, other.crash_at = list(self.journal), ""
        other._connections = CLONED_CONNECTIONS
        return other

    def set_hypervisor(self, serves: bool) -> None:
        """Stop or start the hypervisor's daemon; guests live on."""
        if self.hypervisor.serves == serves:
            return
        self.world.tell(self.name, f"hypervisor {'is back' if serves else 'does not answer'}")
        self.hypervisor.serves = serves
        self.step(events.DriverUp(serves, "" if serves else "it does not answer"))

    # -- the agent -----------------------------------------------------------------------------------------------------
    def new_mind(self) -> Mind:
        identity = events.Identity(self.host, self.uuid, self.boot_id, self.starts)
        return Mind(list(self.journal), identity, self.hypervisor.what_it_has())

    def listen(self, message: ControllerMessage) -> None:
        stale = self.invariants.stale(self.name, message)
        steps = self.step(events.Heard(message))
        if steps is not None:
            self.invariants.obeyed(self.name, message, stale, steps)

    def words_of(self, call: events.Call) -> str:
        return words.call(call.verb, call.args)

    def begin(self, call: events.Call, done: Done) -> WorkerCall:
        self.invariants.called(self.name, call.verb, call.args)
        return WorkerCall(self.world, self.hypervisor, call.verb, call.args, call.seconds, done)

    # -- the hypervisor ------------------------------------------------------------------------------------------------
    def _hypervisor_says(self, vm: str, what: str) -> None:
        """An event of the hypervisor; now and then one is lost, as when its child process is between two lives."""
        if self.hypervisor.serves and not self.world.happens(0.05):
            self.world.after(EVENT_SECONDS, lambda: self._happened(vm, what))

    def _happened(self, vm: str, what: str) -> None:
        self.step(events.DriverEvent(vm, what))
