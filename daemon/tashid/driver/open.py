"""Which driver the settings ask for, loaded only then."""

from __future__ import annotations

from tashid.driver.interface import Driver
from tashid.driver.settings import DriverSettings


def open_driver(settings: DriverSettings) -> Driver:
    """The driver, not yet connected to anything. Raises DriverError when its library is not installed."""
    if settings.driver == "fake":
        from tashid.driver.fake import open_fake

        return open_fake(settings)
    from tashid.driver.libvirt_driver import LibvirtDriver

    return LibvirtDriver(settings)
