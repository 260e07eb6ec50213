"""Which driver a path asks for, loaded only then."""

from __future__ import annotations

from typing import assert_never

from zoni.switch import paths
from zoni.switch.interface import Driver


def open_driver(path: paths.AnyPath, seconds: float) -> Driver:
    """The driver. ``seconds``: how long one exchange may take. Raises SwitchError."""
    match path:
        case paths.Fake():
            from zoni.switch.fake import FakeDriver, World

            return FakeDriver(World(path.world), path)
        case paths.Snmp():
            from zoni.switch.snmp import SnmpDriver

            return SnmpDriver(path, seconds)
        case paths.Ovs():
            from zoni.switch.ovs import OvsDriver

            return OvsDriver(path, seconds)
        case paths.LinuxBridge():
            from zoni.switch.linux_bridge import LinuxBridgeDriver

            return LinuxBridgeDriver(path, seconds)
        case _:
            assert_never(path)
