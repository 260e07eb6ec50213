"""What may happen in a scene: one table of sentences, each with what it does to those who take part."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tashi.model.vm import state_of
from tashi.sim.cast import Cast, heal
from tashi.sim.deed import Deed, Unmet, deed
from tashi.sim.metal_deeds import METAL_DEEDS
from tashi.sim.network import Mishap
from tashi.wire.errors import Code, Refused

if TYPE_CHECKING:
    from tashi.core.cluster import Cluster
    from tashi.sim.chronicle import Chronicle

MESSAGES = (
    "hello", "beat", "inventory", "tell", "welcome", "pulse", "rows", "ports", "shot", "acked", "rejected", "request",
    "reply",
)  # fmt: skip
MOMENTS = {"before-commit": "before-write", "after-commit": "after-write", "before-orders": "orders", None: ""}


# -- the controller ----------------------------------------------------------------------------------------------------
def kill_controller(cast: Cast, log: Chronicle, moment: str | None) -> None:
    if moment is None:
        cast.controller.crash()
    else:
        cast.controller.crash_at = MOMENTS[moment]


def set_store(full: bool) -> Callable[..., None]:
    def act(cast: Cast, log: Chronicle) -> None:
        cast.controller.disk_fails = full
        log.note("controller", "its disk is full" if full else "its disk has room again")

    return act


def set_clock(cast: Cast, log: Chronicle, seconds: float, way: str) -> None:
    cast.world.wall_jump += seconds if way == "ahead" else -seconds
    log.note("controller", f"its clock is {cast.world.wall_jump:+.0f} s off")


# -- hosts -------------------------------------------------------------------------------------------------------------
def kill_agent(cast: Cast, log: Chronicle, name: str, moment: str | None) -> None:
    program = cast.program(name)
    if moment is None:
        program.crash_agent()
    else:
        program.crash_at = moment


def set_calls(stalls: float, refuses: float, told: str) -> Callable[..., None]:
    def act(cast: Cast, log: Chronicle, host: str) -> None:
        hypervisor = cast.machine(host).hypervisor
        hypervisor.stalls, hypervisor.refuses = stalls, refuses
        log.note(host, told)

    return act


def cut_all_power(cast: Cast, log: Chronicle) -> None:
    cast.controller.crash()
    for machine in cast.machines.values():
        machine.cut_power()


def restore_all_power(cast: Cast, log: Chronicle) -> None:
    for machine in cast.machines.values():
        machine.restore_power()
    cast.controller.start()


# -- lines -------------------------------------------------------------------------------------------------------------
def cut(cast: Cast, log: Chronicle, one: str, other: str, way: str | None) -> None:
    cast.network.cut(one, other, both=way is None)
    log.note("network", f"nothing gets from {one} to {other}{'' if way else ', nor back'}")


def mend(cast: Cast, log: Chronicle, one: str, other: str) -> None:
    cast.network.heal(one, other)
    log.note("network", f"{one} and {other} reach each other again")


def lose(cast: Cast, log: Chronicle, number: int, kind: str, source: str, target: str) -> None:
    _mishap(cast, Mishap(source, target, number, kind, copies=0))


def repeat(cast: Cast, log: Chronicle, number: int, kind: str, source: str, target: str, times: int) -> None:
    _mishap(cast, Mishap(source, target, number, kind, copies=times))


def delay(cast: Cast, log: Chronicle, number: int, kind: str, source: str, target: str, seconds: float) -> None:
    _mishap(cast, Mishap(source, target, number, kind, late=seconds))


def _mishap(cast: Cast, mishap: Mishap) -> None:
    mishap.kind = "" if mishap.kind == "any" else mishap.kind
    cast.network.mishaps.append(mishap)


# -- guests ------------------------------------------------------------------------------------------------------------
def end_guest(cast: Cast, log: Chronicle, vm: str) -> None:
    for host in cast.site.hosts.values():
        for domain in host.running():
            if domain.guest.name == vm:
                log.note(vm, "powers itself off")
                host.guest_ends(domain.vm)
                return
    raise Unmet(f"{vm} runs nowhere")


def deafen_guest(cast: Cast, log: Chronicle, vm: str) -> None:
    cast.site.deaf.add(vm)
    log.note(vm, "does not listen to its power button")


# -- what is expected --------------------------------------------------------------------------------------------------
def _cluster(cast: Cast) -> Cluster:
    if cast.controller.process is None:
        raise Unmet("there is no controller")
    return cast.controller.process.cluster


def expect_vm(cast: Cast, log: Chronicle, name: str, wanted: str, host: str | None, why: str | None) -> None:
    state = _cluster(cast).state
    vm = next((vm for vm in state.vms.values() if vm.name == name), None)
    if vm is None:
        if wanted != "gone":
            raise Unmet(f"there is no {name}")
        return
    shown, reason = state_of(vm, state.unknown_hosts.get(vm.host, ""))
    there = state.hosts[vm.host].name if vm.host else ""
    if shown.value != wanted or there != (host or there) or (why or "") not in reason:
        raise Unmet(f"{name} is {shown.value}{f' on {there}' if there else ''}{f': {reason}' if reason else ''}")


def expect_host(cast: Cast, log: Chronicle, name: str, wanted: str, why: str | None) -> None:
    state = _cluster(cast).state
    host = next((host for host in state.hosts.values() if host.name == name), None)
    if host is None:
        if wanted != "gone":
            raise Unmet(f"there is no {name}")
        return
    unknown = state.unknown_hosts.get(host.id, "")
    shown, reason = "unknown" if unknown else host.health.value, unknown or host.reason
    if wanted not in (shown, host.state.value) or (why or "") not in reason:
        raise Unmet(f"{name} is {host.state.value}, {shown}{f': {reason}' if reason else ''}")


def expect_guest(cast: Cast, log: Chronicle, name: str, host: str | None) -> None:
    runs = [at.name for at in cast.site.hosts.values() for domain in at.running() if domain.guest.name == name]
    if runs != ([host] if host else []):
        raise Unmet(f"{name} runs {f'on {runs[0]}' if runs else 'nowhere'}")


def expect_room(cast: Cast, log: Chronicle, host: str, cores: int) -> None:
    state = _cluster(cast).state
    ident = next(each.id for each in state.hosts.values() if each.name == host)
    free = cast.machine(host).hypervisor.cores - state.index.used(ident)[0]
    if free != cores:
        raise Unmet(f"{host} has {free} cores free")


def expect_told(said: bool) -> Callable[..., None]:
    def act(cast: Cast, log: Chronicle, text: str) -> None:
        if any(text in line for line in log.lines) is not said:
            raise Unmet("no line says so" if said else "a line says so")

    return act


def expect_queue(cast: Cast, log: Chronicle, name: str) -> None:
    state = _cluster(cast).state
    if not any(job.target in state.vms and state.vms[job.target].name == name for job in state.jobs.values()):
        raise Unmet(f"nothing is at work on {name}")


def refuse_usage(words: list[str]) -> Refused:
    """Why words are no sentence: the ones that begin alike are named."""
    alike = [each.usage.text for each in DEEDS if each.usage.head.split()[0] == words[0]]
    hint = f"it is written: {'; '.join(alike)}" if alike else "tashi-scene(5) has all sentences"
    return Refused(Code.BAD_REQUEST, f"{' '.join(words)!r} is no sentence of a scene", hint)


DEEDS: tuple[Deed, ...] = (
    deed(
        "kill controller [before-commit|after-commit|before-orders]",
        "Kill the controller's process: now, or at its next commit before it is durable, after that and before anybody "
        "is told, or when the answers are out and the hosts have not been told.",
        kill_controller,
    ),
    deed("start controller", "Start a controller on what is stored.", lambda cast, log: cast.controller.start()),
    deed(
        "freeze controller",
        "Stop the controller's process where it is, as SIGSTOP does; another may be started.",
        lambda cast, log: cast.controller.freeze(),
    ),
    deed(
        "thaw controller",
        "Let the frozen process go on, beside the one that took over if there is one.",
        lambda cast, log: cast.controller.thaw(),
    ),
    deed("fill store", "The disk below the store is full: no commit works.", set_store(True)),
    deed("free store", "It has room again.", set_store(False)),
    deed("set clock SPAN ahead|back", "Move the controller's wall clock.", set_clock),
    deed(
        "kill agent AGENT [acting|telling]",
        "Kill an agent: now, or when it next has written down what it will do and not begun, or when it next has "
        "done something and told nobody.",
        kill_agent,
    ),
    deed("start agent AGENT", "Start an agent.", lambda cast, log, name: cast.program(name).start_agent()),
    deed(
        "reconnect agent AGENT",
        "Its connection breaks, with what was under way; it makes another.",
        lambda cast, log, name: cast.program(name).reconnect(),
    ),
    deed(
        "fill disk AGENT",
        "The agent's journal can't be written.",
        lambda cast, log, name: cast.program(name).set_disk_full(True),
    ),
    deed("free disk AGENT", "It can again.", lambda cast, log, name: cast.program(name).set_disk_full(False)),
    deed(
        "cut power HOST",
        "The host loses power, with its guests and its agent.",
        lambda cast, log, host: cast.machine(host).cut_power(),
    ),
    deed(
        "restore power HOST",
        "It boots; its agent is there five seconds later.",
        lambda cast, log, host: cast.machine(host).restore_power(),
    ),
    deed("cut all power", "The whole room loses power, the controller too.", cut_all_power),
    deed("restore all power", "Everything boots.", restore_all_power),
    deed(
        "reinstall HOST",
        "Another machine takes its place, with its name and key and nothing else; it is up at once.",
        lambda cast, log, host: cast.machine(host).reinstall(),
    ),
    deed(
        "clone HOST",
        "A copy of its disk boots on another machine: a second agent with its key. It is called HOST-clone.",
        lambda cast, log, host: cast.clone(host),
    ),
    deed(
        "stop hypervisor HOST",
        "The hypervisor's daemon goes away; guests live on.",
        lambda cast, log, host: cast.machine(host).set_hypervisor(False),
    ),
    deed("start hypervisor HOST", "It is back.", lambda cast, log, host: cast.machine(host).set_hypervisor(True)),
    deed(
        "hang calls HOST",
        "Calls of the hypervisor hang until their deadline, as on storage that stalls.",
        set_calls(1.0, 0.0, "calls of its hypervisor hang"),
    ),
    deed("fail calls HOST", "They fail at once.", set_calls(0.0, 1.0, "calls of its hypervisor fail")),
    deed("mend calls HOST", "They work again.", set_calls(0.0, 0.0, "calls of its hypervisor work again")),
    deed("cut END END [one-way]", "Nothing gets from one to the other, nor back unless one-way is said.", cut),
    deed("mend END END", "They reach each other again.", mend),
    deed("lose COUNT MESSAGES from END to END", "The next so many messages are lost.", lose),
    deed("repeat COUNT MESSAGES from END to END COUNT times", "Each of the next arrives so often.", repeat),
    deed("delay COUNT MESSAGES from END to END by SPAN", "Each of the next arrives so much later.", delay),
    deed("end guest VM", "The guest powers itself off.", end_guest),
    deed("deafen guest VM", "The guest does not listen to its power button.", deafen_guest),
    *(each for each in METAL_DEEDS if not each.expects),
    deed("mend all", "Whatever is broken works again.", lambda cast, log: heal(cast)),
    deed(
        "expect vm VM STATE [on HOST] [because TEXT]",
        "The record says so; gone: there is none. TEXT is part of the reason.",
        expect_vm,
        expects=True,
    ),
    deed(
        "expect host HOST STATE [because TEXT]",
        "STATE is up, degraded, unknown, or normal, draining, drained.",
        expect_host,
        expects=True,
    ),
    deed("expect guest VM on HOST", "In truth it runs there, and nowhere else.", expect_guest, expects=True),
    deed(
        "expect no guest VM",
        "In truth it runs nowhere.",
        lambda cast, log, vm: expect_guest(cast, log, vm, None),
        expects=True,
    ),
    deed("expect room on HOST for NUMBER cores", "So many are not claimed, and no more.", expect_room, expects=True),
    *(each for each in METAL_DEEDS if each.expects),
    deed("expect work on VM", "An operation on it is not over.", expect_queue, expects=True),
    deed("expect line TEXT", "A line of the log so far has it.", expect_told(True), expects=True),
    deed("expect no line TEXT", "None has.", expect_told(False), expects=True),
)
