"""A cluster without faults, network or time of its own: the core, a mind for each host, and hypervisors that are dicts.

For tests of what the rules say. Loss, crashes and late messages are the simulator's.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec

from tashi.agent import events
from tashi.agent.mind import Mind
from tashi.core import life
from tashi.core.cluster import Cluster, Decision, Now, Principal
from tashi.core.records import WORKING
from tashi.core.settings import Settings
from tashi.model.host import Facts
from tashi.run.vault import FileVault
from tashi.wire.agents import AgentMessage, Beat
from tashi.wire.messages import Accepted, ListDone, Problem, Request

ROOT = Principal("root", "admin")
SECRET = b"x" * 32
GIB = 2**30


class Hypervisor:
    """One host: its guests as ``{vm: (state, generation)}``, its agent's mind, and what waits to be done."""

    def __init__(self, world: World, host: str, name: str, boot: str = "boot-1", journal: Any = ()) -> None:
        self.world, self.id, self.name, self.boot = world, host, name, boot
        self.guests: dict[str, tuple[str, int]] = {}
        self.made_of: dict[str, Any] = {}  # vm -> the guest that its start was given
        self.incarnation = 0
        self.journal: list[dict[str, Any]] = list(journal)
        self.incoming: set[str] = set()  # those whose paused copy never ran here
        self.queue: list[Any] = []
        self.why_off: dict[str, str] = {}  # vm -> what the hypervisor says of its end
        self.failing: dict[str, str] = {}  # call -> text of its definite failure
        self.holding: set[str] = set()  # calls that do not come back for now
        self.held: list[events.Call] = []
        self.up = True
        self.start()

    def start(self) -> None:
        """The agent starts (again), with what its journal says."""
        self.incarnation += 1
        self.queue.clear()
        self.held.clear()
        who = events.Identity(self.name, f"uuid-{self.name}", self.boot, self.incarnation)
        facts = Facts(8, 8 * GIB, 100 * GIB, migrate_uri=f"fake://{self.id}", firmware=("bios", "uefi"))
        self.mind = Mind(list(self.journal), who, facts)
        self.happen(events.Connected())

    def power_cut(self) -> None:
        self.guests = {vm: ("stopped", generation) for vm, (_, generation) in self.guests.items()}
        self.boot += "+"
        self.up = False

    def happen(self, event: events.Event) -> None:
        if not self.up:
            return
        steps = self.mind.step(event, self.world.now())
        self.journal += steps.journal
        self.queue += steps.calls
        for message in steps.messages:
            self.deliver(message)

    def deliver(self, message: AgentMessage) -> None:
        """What the agent says arrives."""
        decision = self.world.cluster.agent_said(self.id, (self.id, self.incarnation), message, self.world.now())
        self.queue += [events.Heard(back) for back in decision.back]
        self.world.take(decision)
        if not isinstance(message, Beat):
            self.world.said.append((self.name, message))

    def seen(self, vm: str) -> dict[str, Any]:
        state, generation = self.guests.get(vm, ("absent", 0))
        return {
            "vm": vm,
            "state": state,
            "generation": generation,
            "never_ran": state == "paused" and vm in self.incoming,
            "cores": (self.made_of.get(vm) or {}).get("cores", 0),
            "memory_bytes": (self.made_of.get(vm) or {}).get("memory_bytes", 0),
            "moving": any(call.verb == "migrate" and call.args["guest"]["id"] == vm for call in self.held),
            "reason": self.why_off.get(vm, "") if state == "stopped" else "",
        }

    def work(self) -> None:
        """Do everything that waits."""
        while self.queue:
            item = self.queue.pop(0)
            if not self.up:
                continue
            if not isinstance(item, events.Call):
                self.happen(item)
            elif item.verb in self.holding:
                self.held.append(item)
            elif item.verb in self.failing:
                self.happen(events.Called(item.id, "failed", None, self.failing[item.verb]))
            elif lost := self.lost(item):
                self.happen(events.Called(item.id, "failed", None, f"its disk {lost} is not there"))
            else:
                self.happen(events.Called(item.id, "ok", self.do(item)))

    def lost(self, call: events.Call) -> str:
        """The disk that a start has to find and does not."""
        disks = call.args["guest"].get("disks", []) if call.verb == "start" else []
        return next((disk["path"] for disk in disks if disk.get("made") and disk["path"] not in self.world.disks), "")

    def do(self, call: events.Call) -> Any:
        vm = call.args.get("vm") or (call.args.get("guest") or {}).get("id", "")
        match call.verb:
            case "start":
                self.guests[vm] = ("running", call.args["generation"])
                self.made_of[vm] = call.args["guest"]
                self.world.disks |= {disk["path"] for disk in call.args["guest"].get("disks", [])}
            case "stop":
                if vm in self.guests:
                    self.guests[vm] = ("stopped", call.args["generation"])
            case "remove":
                state = self.guests.get(vm, ("absent", 0))[0]
                if not call.args["only_if"] or state == "paused":
                    self.guests.pop(vm, None)
                    self.world.disks -= set(call.args["disks"])
            case "migrate":
                del self.guests[vm]
                target = self.world.hosts[call.args["peer"].removeprefix("fake://")]
                target.guests[vm] = ("running", call.args["generation"])
                target.made_of[vm] = self.made_of.get(vm)
                target.happen(events.DriverEvent(vm))
                return {"total_seconds": 1.5, "downtime_seconds": 0.1, "bytes": 1000.0}
            case "inventory":
                return [self.seen(each) | {"guest": self.made_of.get(each)} for each in self.guests]
            case "inspect_image":
                return {"size_bytes": str(GIB)}
            case "press_power_button":
                self.ends(vm)
                return None
            case "moving":
                return None
            case "abort_move":
                return True
        return self.seen(vm)

    def gets_stray(self, vm: str, of: str) -> None:
        """A guest of ours that no record knows runs here, and the agent tells; it is made as the VM ``of``."""
        other = self.world.vm(of)["id"]
        self.guests[vm] = ("running", 1)
        self.made_of[vm] = self.made_of[other] | {"id": vm, "name": f"stray-{vm}"}
        self.start()
        self.world.settle()

    def ends(self, vm: str, why: str = "") -> None:
        """The guest stops by itself, or because of ``why``."""
        self.why_off[vm] = why
        self.guests[vm] = ("stopped", self.guests[vm][1])
        self.queue.append(events.DriverEvent(vm))


class World:
    """Three hosts of 8 cores and 8 GiB unless told otherwise, enrolled and up, and an image ``tiny`` of 1 GiB."""

    def __init__(self, hosts: int = 3, settings: Settings | None = None, cluster: str = "") -> None:
        self.seconds = 0.0
        self.requests = 0
        self.log: list[dict[str, Any]] = []
        self.shown: dict[str, str] = {}  # vm -> state in its newest entry
        self.said: list[tuple[str, Any]] = []
        self.orders: list[tuple[str, Any]] = []
        self.hosts: dict[str, Hypervisor] = {}
        self.disks: set[str] = set()  # of the pool
        self.cluster = Cluster(settings or Settings(pool_bytes=100 * GIB), lambda: SECRET)
        self.cluster.vault = FileVault(SECRET)
        if cluster:
            self.cluster.load("meta", [("cluster", json.dumps(cluster).encode())])
        self.cluster.loaded(self.now(), 1, 0)
        for number in range(1, hosts + 1):
            self.add_host(f"h{number}")
        self.run(3)
        if hosts:
            self.ok("image.add", name="tiny", path="images/tiny.raw", format="raw")

    def now(self) -> Now:
        return Now(self.seconds, 1_700_000_000 + self.seconds)

    def add_host(self, name: str, kind: type[Hypervisor] = Hypervisor) -> Hypervisor:
        added = self.ok("host.add", name=name)
        token = hashlib.blake2b(SECRET, digest_size=16).hexdigest()
        key = name.ljust(40, "k")
        self.ask("enroll", who=Principal("", "enroll"), token=token, host=name, key=key)
        host = next(iter(added.objects))
        self.hosts[host] = kind(self, host, name)
        return self.hosts[host]

    def host(self, name: str) -> Hypervisor:
        return next(each for each in self.hosts.values() if each.name == name)

    def take(self, decision: Decision) -> None:
        assert not decision.fault, decision.fault
        if decision.epoch_above:
            self.cluster.take_epoch(decision.epoch_above + 1)
        for entry in decision.log:
            self.note(json.loads(entry.value))
        for host, message in decision.effects:
            self.orders.append((self.hosts[host].name, message))
            if self.hosts[host].up:
                self.hosts[host].queue.append(events.Heard(message))

    def note(self, entry: dict[str, Any]) -> None:
        """An entry of the change log; every step that a VM is seen to take is in its life cycle."""
        self.log.append(entry)
        if entry["kind"] == "vm":
            before = self.shown.get(entry["id"])
            after = entry["state"]
            legal = before in (None, after) or after in life.TABLES["vm"].get(str(before), {}).values()
            assert legal, f"{entry['name']}: {before} -> {after} is in no life cycle"
            self.shown[entry["id"]] = after

    def decide(
        self, verb: str, who: Principal = ROOT, request_id: str = "", found: Any = None, owner: str = "", **body: Any
    ) -> Decision:
        self.requests += 1
        raw = Request(
            request_id or f"request-{self.requests}", verb, msgspec.Raw(json.dumps(body).encode()), owner=owner
        )
        decision = self.cluster.request(who, raw, found, self.now())
        self.take(decision)
        return decision

    def ask(self, verb: str, who: Principal = ROOT, **body: Any) -> Accepted | Problem:
        """One request; afterwards all agents have done what they were told."""
        reply = self.decide(verb, who, **body).reply
        assert reply is not None
        self.settle()
        return reply.error if reply.error is not None else msgspec.json.decode(reply.ok or b"", type=Accepted)

    def ok(self, verb: str, who: Principal = ROOT, **body: Any) -> Accepted:
        answer = self.ask(verb, who, **body)
        assert isinstance(answer, Accepted), answer
        return answer

    def refused(self, verb: str, who: Principal = ROOT, **body: Any) -> Problem:
        before = self.everything()
        answer = self.ask(verb, who, **body)
        assert isinstance(answer, Problem), answer
        assert self.everything() == before, "a refused request changed something"
        return answer

    def rows(self, noun: str = "vm", who: Principal = ROOT, **body: Any) -> list[dict[str, Any]]:
        decision = self.decide("list", who, noun=noun, format="json", **body)
        assert decision.reply is not None and decision.reply.error is None, decision.reply
        return [json.loads(line) for line in (decision.rows or b"").splitlines()]

    def missing(self, name: str) -> bool:
        decision = self.decide("list", noun="vm", names=[name])
        assert decision.reply is not None
        return name in msgspec.json.decode(decision.reply.ok or b"", type=ListDone).missing

    def vm(self, name: str) -> dict[str, Any]:
        return self.rows(names=[name])[0]

    def job(self, ident: str) -> dict[str, Any]:
        return self.rows("job", names=[ident])[0]

    def create(self, name: str, cores: int = 1, who: Principal = ROOT, **more: Any) -> dict[str, Any]:
        self.ok("vm.create", who, name=name, image="tiny", cores=cores, memory_bytes=GIB // 4, **more)
        return self.rows(who=who, names=[name])[0]

    def hardware(self) -> None:
        """Two machines, two PDUs, two switches and a zoni agent, with nothing between them."""
        self.ok("zoniagent.add", name="net1")
        v2c = {"version": "v2c", "community": "one of ours"}
        for number in (1, 2):
            self.ok("machine.add", name=f"m{number}")
            self.ok("pdu.add", name=f"p{number}", address=f"10.0.1.{number}", model="apc-rpdu", snmp=v2c)
            self.ok("switch.add", name=f"s{number}", address=f"10.0.2.{number}", snmp=v2c)

    def leases(self, *users: str) -> None:
        """Two domains, and a reservation of one machine for each of these: r-1, r-2..."""
        self.ok("domain.create", name="red", vlans=[100], user=users[0])
        self.ok("domain.create", name="blue", vlans=[101])
        for number, user in enumerate(users):
            self.ok("machine.add", name=f"leased-{number}")
            until = self.now().wall + 1e6
            self.ok("machine.reserve", machines=[f"leased-{number}"], user=user, until_wall=until)

    def settle(self) -> None:
        for _ in range(1000):
            busy = [each for each in self.hosts.values() if each.queue]
            if not busy:
                return
            for each in busy:
                each.work()
        raise AssertionError("the world does not come to rest")

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.seconds + seconds
        self.settle()
        while self.seconds < end:
            self.seconds += 0.25
            if self.cluster.next_tick() <= self.seconds:
                self.take(self.cluster.tick(self.now()))
            for each in self.hosts.values():
                if each.mind.next_tick() <= self.seconds:
                    each.happen(events.Tick())
            self.settle()

    def everything(self) -> dict[tuple[str, str], bytes]:
        """Each record, encoded: two worlds that are equal here are equal."""
        tables = self.cluster.state.tables
        return {
            (table, key): msgspec.json.encode(record)
            for table in WORKING
            if table != "usage"
            for key, record in tables[table].items()
            if (table, key) != ("meta", "decision")  # a refusal leaves no more than a decision about it
        }
