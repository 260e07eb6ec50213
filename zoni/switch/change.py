"""How a plan is carried out, proven, saved, and taken back.

Theory of operation. To be acknowledged is not to be done, here as with power: what counts is what is read back. How a
step ends decides what becomes of the change:

    refused, and nothing of it is seen      what was done is taken back in reverse order, read back, and said so;
                                            saving, too, whether it was refused or not answered
    not answered                            it is looked for until the time is up; seen, it goes on
    not answered and not seen, or what is   the switch can't be believed: the ports that were being moved are closed
    read back is not what was asked for,    (quarantine), which is read back and saved; what it does late finds them
    or the switch has started anew          closed; nothing is opened again but by another change

The same becomes of ports when taking back fails. Uplinks are not closed. A worker that dies in the middle leaves ports
closed, or as they were, or as they should be.
"""

from __future__ import annotations

from msgspec import Struct

from tashi.run.clock import Clock
from tashi.wire.errors import Code, TashiError
from zoni.outcome import DeviceError, Unproven
from zoni.pauses import FIRST_PAUSE, LONGEST_PAUSE, Steps
from zoni.switch import steps
from zoni.switch.goals import completed, way_back
from zoni.switch.interface import Capability, Driver, Port, State, SwitchError
from zoni.switch.plan import Goal, Planned, Rules, at_risk, differences, plan
from zoni.switch.steps import DeviceStep, apply, say

BACK_SECONDS = 4.0  # that taking back may take, and closing as much again; with what a call has beyond its own time


class Changed(Struct, frozen=True):
    """``steps``: what was done, in words. ``ports``: those that were touched, as read back. The switch will start with
    it, as far as it says. ``changed``: more was done than to look and to save. ``back`` is the goal that takes it back.
    ``base_mac``: which switch it is, where that was asked for."""

    steps: list[str]
    ports: dict[str, Port]
    changed: bool
    back: Goal = Goal()
    base_mac: str = ""


class Told(Struct, frozen=True):
    """A step of a plan and what would undo it, in words."""

    step: str
    undo: str


class Closed(Struct, frozen=True):
    ports: list[str]


def foresee(driver: Driver, goal: Goal, rules: Rules, base_mac: str | None) -> Steps[list[Told]]:
    """The plan of a change, and nothing else."""
    yield 0.0
    _which(driver, base_mac)
    planned = _plan(driver, driver.look(), goal, rules)
    return [Told(say(each.step), say(each.undo) if each.undo is not None else "") for each in planned]


def change(
    driver: Driver, goal: Goal, rules: Rules, base_mac: str | None, seconds: float, clock: Clock
) -> Steps[Changed]:  # fmt: skip
    """Make it so within ``seconds``; where it is so already, it is saved. ``base_mac``: as of `_which`.

    Raises DeviceError: nothing was changed, or it was taken back and that was seen. Raises Unproven: look again; the
    ports that it names as closed were seen to be.
    """
    end = clock.now() + seconds
    yield 0.0
    found = _which(driver, base_mac)
    before = driver.look()
    planned = _plan(driver, before, goal, rules)
    seen, now, begun = before, before, list[Planned]()
    for each in planned:
        begun.append(each)
        now = apply(now, each.step)
        try:
            if isinstance(each.step, steps.Prove):
                seen = yield from _prove(driver, before, now, planned, end, clock)
            elif isinstance(each.step, steps.Save):
                yield from _save(driver, end, clock)
            else:
                yield from _do(driver, each.step, end, clock)
        except DeviceError as error:
            why = f"{driver.where}: {say(each.step)}: {_reason(driver, error)}"
            yield from _take_back(driver, before, begun[:-1], rules, why, clock)
            raise SwitchError(error.code, f"{why}; nothing was changed", error.hint) from error
        except Unproven as error:
            why = f"{driver.where}: {say(each.step)}: {_reason(driver, error)}"
            if not isinstance(each.step, steps.Save):
                raise (yield from _quarantined(driver, begun, rules, why, clock)) from error
            yield from _take_back(driver, before, begun[:-1], rules, why, clock)
            raise Unproven(error.code, f"{why}; taken back, but it may start with it") from error
    ports = {each.step.port for each in planned if isinstance(each.step, steps.PortStep)} | set(goal.ports)
    changed = any(not isinstance(each.step, steps.Prove | steps.Save) for each in planned)
    said, told = [say(each.step) for each in planned], {name: seen.ports[name] for name in sorted(ports)}
    return Changed(said, told, changed, way_back(before, now, planned), found)


def close(driver: Driver, ports: list[str], clock: Clock) -> Steps[Closed]:
    """Close ports and see that they are. Raises Unproven for those that are not seen so."""
    yield 0.0
    there = driver.look().ports
    if missing := [port for port in ports if port not in there]:
        raise SwitchError(Code.NOT_FOUND, f"{driver.where}: there is no port {', '.join(missing)}")
    told = yield from _close(driver, sorted(set(ports)), clock)
    if told:
        raise Unproven(Code.UNAVAILABLE, f"{driver.where}: {told}")
    return Closed(sorted(set(ports)))


# -- parts -----------------------------------------------------------------------------------------------------------
def _which(driver: Driver, base_mac: str | None) -> str:
    """The MAC address that tells which switch this is, if that is not to be left alone (None).

    Raises SwitchError: conflict for another switch than that with ``base_mac``; an empty one is any.
    """
    if base_mac is None:
        return ""
    found = driver.identity().base_mac.lower()
    if base_mac and found != base_mac.lower():
        told = f"is another switch ({found})" if found else "does not tell which switch it is"
        raise SwitchError(Code.CONFLICT, f"{driver.where}: {told}")
    return found


def _plan(driver: Driver, before: State, goal: Goal, rules: Rules) -> list[Planned]:
    try:
        return plan(before, completed(before, goal, rules, driver.capabilities), rules, driver.capabilities)
    except SwitchError as error:
        raise SwitchError(error.code, f"{driver.where}: {error.text}", error.hint) from None


def _do(driver: Driver, step: DeviceStep, end: float, clock: Clock) -> Steps[None]:
    """One step; what went wrong in asking does not count when it is seen to have happened."""
    try:
        driver.do(step)
        return
    except (DeviceError, Unproven) as error:
        refused = error
    pause = FIRST_PAUSE
    while True:
        try:
            if _shows(driver.look(), step):
                return
            definite = isinstance(refused, DeviceError)
        except DeviceError:
            definite = False
        if definite:
            raise refused
        if clock.now() >= end:
            raise Unproven(Code.UNAVAILABLE, f"{_reason(driver, refused)}, not seen to happen")
        yield min(pause, end - clock.now())
        pause = min(pause * 2, LONGEST_PAUSE)


def _shows(seen: State, step: DeviceStep) -> bool:
    if isinstance(step, steps.PortStep) and step.port not in seen.ports:
        return False
    return steps.is_done(seen, step)


def _prove(
    driver: Driver, before: State, should: State, planned: list[Planned], end: float, clock: Clock
) -> Steps[State]:
    """Read back until all that the plan touches is as it should be by now. Raises Unproven."""
    pause = FIRST_PAUSE
    while True:
        try:
            seen = driver.look()
            if _has_restarted(before, seen):
                raise Unproven(Code.UNAVAILABLE, "the switch has started anew")
            unlike = differences(should, seen, planned)
            if not unlike:
                return seen
            told = "; ".join(unlike)
        except DeviceError as error:
            told = _reason(driver, error)
        if clock.now() >= end:
            raise Unproven(Code.UNAVAILABLE, told)
        yield min(pause, end - clock.now())
        pause = min(pause * 2, LONGEST_PAUSE)


def _has_restarted(before: State, seen: State) -> bool:
    then, now = before.uptime_seconds, seen.uptime_seconds
    return then is not None and now is not None and now < then


def _save(driver: Driver, end: float, clock: Clock) -> Steps[None]:
    """Once more while there is no answer: it can be done twice."""
    while True:
        try:
            driver.save()
            return
        except Unproven:
            if clock.now() >= end:
                raise
        yield min(FIRST_PAUSE, max(0.0, end - clock.now()))


def _take_back(driver: Driver, before: State, done: list[Planned], rules: Rules, why: str, clock: Clock) -> Steps[None]:
    """Undo, the last first; a port is opened only when what it was in was read back. Raises Unproven."""
    end = clock.now() + BACK_SECONDS
    passed, moves = [before], [each for each in done if isinstance(each.step, steps.PortStep)]
    for each in done:
        passed.append(apply(passed[-1], each.step))
    try:
        for at in range(len(done) - 1, -1, -1):
            back = done[at].undo
            if isinstance(back, steps.Open):
                yield from _prove(driver, before, passed[at + 1], moves, end, clock)
            if back is not None:
                yield from _do(driver, back, end, clock)
        if done:
            yield from _prove(driver, before, before, done, end, clock)
    except (DeviceError, Unproven) as error:
        told = f"{why}; taking back: {_reason(driver, error)}"
        raise (yield from _quarantined(driver, done, rules, told, clock)) from error


def _quarantined(driver: Driver, begun: list[Planned], rules: Rules, why: str, clock: Clock) -> Steps[Unproven]:
    """Close what is at risk; the error that tells all."""
    ports = sorted(at_risk(begun) - set(rules.uplinks))
    if not ports:
        return Unproven(Code.UNAVAILABLE, why)
    told = (yield from _close(driver, ports, clock)) or f"closed: {', '.join(ports)}"
    return Unproven(Code.UNAVAILABLE, f"{why}; {told}")


def _close(driver: Driver, ports: list[str], clock: Clock) -> Steps[str]:
    """Close ports, see it, and save; what is not so, in words."""
    end, pause = clock.now() + BACK_SECONDS, FIRST_PAUSE
    while True:
        told = ""
        try:
            for port in ports:
                driver.do(steps.Close(port))
            seen = driver.look().ports
            left = [port for port in ports if port not in seen or seen[port].on]
            if not left:
                break
            told = f"not seen to be closed: {', '.join(left)}"
        except (DeviceError, Unproven) as error:
            told = f"not seen to be closed: {', '.join(ports)}: {_reason(driver, error)}"
        if clock.now() >= end:
            return told
        yield min(pause, end - clock.now())
        pause = min(pause * 2, LONGEST_PAUSE)
    if Capability.SAVE in driver.capabilities:
        try:
            yield from _save(driver, end, clock)
        except (DeviceError, Unproven) as error:
            return f"closed, not saved: {', '.join(ports)}: {_reason(driver, error)}"
    return ""


def _reason(driver: Driver, error: TashiError) -> str:
    return error.text.removeprefix(f"{driver.where}: ")
