"""How a call to a device can end badly: definitely without effect, or nobody knows."""

from __future__ import annotations

from tashi.wire.errors import TashiError


class DeviceError(TashiError):
    """Nothing was changed."""


class Unproven(TashiError):
    """It was asked for and is not seen: it may have happened, or may yet."""
