"""Which driver a path asks for, loaded only then."""

from __future__ import annotations

from typing import assert_never

from zoni.power import paths
from zoni.power.interface import Driver


def open_driver(path: paths.AnyPath, seconds: float) -> Driver:
    """The driver, in session with its device where there are sessions. ``seconds``: how long one exchange may take.

    Raises PowerError.
    """
    match path:
        case paths.Fake():
            from zoni.power.fake import FakeDriver, World

            return FakeDriver(World(path.world), path)
        case paths.Ipmi():
            from zoni.power.ipmi import IpmiDriver

            return IpmiDriver(path, seconds)
        case paths.Redfish():
            from zoni.power.redfish import RedfishDriver

            return RedfishDriver(path, seconds)
        case paths.Pdu():
            from zoni.power.pdu import PduDriver

            return PduDriver(path, seconds)
        case paths.Libvirt():
            from zoni.power.libvirt import LibvirtDriver

            return LibvirtDriver(path)
        case _:
            assert_never(path)
