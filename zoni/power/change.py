"""How a change is made and proven, the same on every path.

Theory of operation. To be acknowledged is not to be done: BMCs answer before it is true, answer and do nothing, do it
and lose the answer. So a change looks first, asks once, and then reads back, at growing pauses, until what was asked
for is seen or the time is up. Only then it has ended well; otherwise it is `Unproven`, with what was last seen. What
can't be seen at all (a reset leaves the power on) ends with ``proven`` false. An unknown power is never acted on.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from tashi.run.clock import Clock
from tashi.wire.errors import Code, TashiError
from zoni.outcome import Unproven
from zoni.pauses import FIRST_PAUSE, LONGEST_PAUSE, Steps
from zoni.power.interface import Action, Boot, Capability, Driver, Identity, Power, PowerError

WANTED: dict[Action, Power] = {"on": "on", "off": "off", "soft": "off", "reset": "on"}
NEEDS: dict[Action, Capability] = {"soft": Capability.SOFT, "reset": Capability.RESET}


class Changed(Struct, frozen=True):
    """``power`` was read back after the change. ``proven``: it could not have been so without it."""

    before: Power
    power: Power
    proven: bool = True


class Lit(Struct, frozen=True):
    on: bool
    proven: bool


class Enrolled(Struct, frozen=True):
    """What a path was found to be."""

    identity: Identity
    power: Power
    capabilities: list[Capability]


def switch(driver: Driver, action: Action, seconds: float, clock: Clock) -> Steps[Changed]:
    """Switch on or off, ask the system to end (soft), or reset it, within ``seconds``.

    Off when off is success; it is asked for all the same, because somebody else's "on" may be on its way.
    """
    end = clock.now() + seconds
    need(driver, NEEDS.get(action))
    before = yield from _definite(driver, action, end, clock)
    if action == "reset" and before == "off":
        raise PowerError(Code.WRONG_STATE, f"{driver.where}: is off, nothing to reset")
    if action != "off" and action != "reset" and before == WANTED[action]:
        return Changed(before, before)
    silence = ""
    try:
        driver.press(action)
    except Unproven as error:
        if action == "reset":
            raise  # nothing that could be read would tell
        silence = error.text
    except PowerError:
        if before != WANTED[action] or action == "reset":
            raise  # some take "off" for an error where it is off
    power = yield from _until(driver, WANTED[action], action, silence, end, clock)
    return Changed(before, power, proven=action != "reset")


def cycle(driver: Driver, seconds: float, rest_seconds: float, clock: Clock) -> Steps[Changed]:
    """Off, and proven so; ``rest_seconds`` without power; then on. Never a device's own cycle: it shows no off."""
    end = clock.now() + seconds
    off = yield from switch(driver, "off", seconds, clock)
    yield rest_seconds
    on = yield from switch(driver, "on", end - clock.now(), clock)
    return replace(on, before=off.before)


def set_boot(driver: Driver, boot: Boot, seconds: float, clock: Clock) -> Steps[Boot]:
    """Say what is booted from, and read it back."""
    need(driver, Capability.BOOT)
    if boot.once:
        need(driver, Capability.ONCE)
    end = clock.now() + seconds
    asked = "was accepted"
    try:
        driver.set_boot(boot)
    except Unproven:
        asked = "was not answered"
    pause = FIRST_PAUSE
    while True:
        try:
            seen = driver.boot()
            if (seen.device, seen.once) == (boot.device, boot.once) and boot.uefi in (None, seen.uefi):
                return seen
            told = f"is {_say(seen)}"
        except TashiError as error:
            told = error.text.removeprefix(f"{driver.where}: ")
        if clock.now() >= end:
            raise Unproven(Code.UNAVAILABLE, f"{driver.where}: boot device {_say(boot)} {asked}, {told}")
        yield min(pause, end - clock.now())
        pause = min(pause * 2, LONGEST_PAUSE)


def set_light(driver: Driver, on: bool) -> Steps[Lit]:
    """Switch the identify light, and look at it where that can be done."""
    need(driver, Capability.LIGHT)
    driver.set_light(on)
    yield 0.0
    seen = driver.light()
    if seen is not None and seen != on:
        raise Unproven(Code.UNAVAILABLE, f"{driver.where}: the light was switched and is {'on' if seen else 'off'}")
    return Lit(on, proven=seen is not None)


def enroll(driver: Driver, uuid: str, serial: str) -> Steps[Enrolled]:
    """Judge a path that is new: that it keeps strangers out, and leads to the machine with this uuid or serial.

    With neither, whatever machine it leads to is told. Nothing is changed. Raises PowerError: wrong-state for a door
    that stands open, conflict for another machine.
    """
    yield 0.0
    if open_doors := driver.weaknesses():
        raise PowerError(
            Code.WRONG_STATE, f"{driver.where}: {'; '.join(open_doors)}", "close it on the device, then try again"
        )
    found = driver.identity() if Capability.IDENTITY in driver.capabilities else Identity()
    if (uuid or serial) and Capability.IDENTITY in driver.capabilities:
        _check_machine(driver.where, found, uuid, serial)
    return Enrolled(found, driver.power(), sorted(driver.capabilities))


def _check_machine(where: str, found: Identity, uuid: str, serial: str) -> None:
    told = [(found.uuid, uuid, same_uuid), (found.serial, serial, lambda one, two: one.strip() == two.strip())]
    known = [same(one, two) for one, two, same in told if one and two]
    if not known:
        raise PowerError(Code.CONFLICT, f"{where}: does not tell which machine it is of")
    if not all(known):
        machine = ", ".join(
            f"{name} {value}" for name, value in (("uuid", found.uuid), ("serial", found.serial)) if value
        )
        raise PowerError(Code.CONFLICT, f"{where}: is of another machine ({machine})")


def same_uuid(one: str, two: str) -> bool:
    """Whether they name one machine. Firmware and BMCs disagree about the byte order of the first three fields (SMBIOS
    7.2.1 against IPMI 20.8), so a pair that differs by it alone is one."""
    first, second = (each.lower().replace("-", "") for each in (one, two))
    return len(first) == 32 and second in (first, _turned(first))


def _turned(digits: str) -> str:
    pairs = [digits[at : at + 2] for at in range(0, 32, 2)]
    return "".join([*pairs[3::-1], *pairs[5:3:-1], *pairs[7:5:-1], *pairs[8:]])


def _definite(driver: Driver, action: Action, end: float, clock: Clock) -> Steps[Power]:
    """The power, waiting while it is in between. Raises PowerError when it stays unknown: nothing was done."""
    pause = FIRST_PAUSE
    while (power := driver.power()) == "unknown":
        if clock.now() >= end:
            raise PowerError(Code.UNAVAILABLE, f"{driver.where}: {action}: does not tell whether it is on or off")
        yield min(pause, end - clock.now())
        pause = min(pause * 2, LONGEST_PAUSE)
    return power


def _until(driver: Driver, wanted: Power, action: Action, silence: str, end: float, clock: Clock) -> Steps[Power]:
    """Read back until it is as wanted. Raises Unproven."""
    pause, seen = FIRST_PAUSE, ""
    while True:
        try:
            power = driver.power()
            if power == wanted:
                return power
            seen = f"is {power}"
        except TashiError as error:
            seen = error.text.removeprefix(f"{driver.where}: ")
        if clock.now() >= end:
            asked = "was not answered" if silence else "was acknowledged"
            raise Unproven(Code.UNAVAILABLE, f"{driver.where}: {action} {asked}, not seen to happen: {seen}")
        yield min(pause, end - clock.now())
        pause = min(pause * 2, LONGEST_PAUSE)


def need(driver: Driver, capability: Capability | None) -> None:
    """Raises PowerError for a driver that can't."""
    if capability is not None and capability not in driver.capabilities:
        raise PowerError(Code.IMPOSSIBLE, f"{driver.where}: can't do {capability}")


def _say(boot: Boot) -> str:
    return " ".join([boot.device, *(["once"] if boot.once else []), *(["uefi"] if boot.uefi else [])])
