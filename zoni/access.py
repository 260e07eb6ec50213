"""Who we are to a device: users, passwords, communities. They never show: not in a log, not in an error.

They come from a file or over a socket and go to a worker over its channel; never in arguments or the environment.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Secret = Annotated[str, Meta(max_length=128)]
Port = Annotated[int, Meta(ge=1, le=65535)]


class Access(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all kinds have: a picture of one tells who, and not with what word."""

    user: Annotated[str, Meta(max_length=64)] = ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(user={self.user!r}, ...)"

    def secrets(self) -> list[str]:
        """What must not be shown anywhere; none of them is empty."""
        own = (getattr(self, name) for name in self.__struct_fields__ if name in SECRET_FIELDS)
        return [each for each in own if each]


class Login(Access, frozen=True, kw_only=True):
    """A user of a BMC. ``kg`` is the BMC's own key of IPMI 2.0, where one was set."""

    password: Secret = ""
    kg: Secret = ""


class Snmp(Access, frozen=True, kw_only=True):
    """SNMP v3 with authentication and privacy (RFC 3414, 3826, 7860); v2c, which has neither, only where it is said.

    Raises ValueError for passwords shorter than the 8 characters of RFC 3414, and for a version without what it needs.
    """

    version: Literal["v3", "v2c"] = "v3"
    auth: Literal["sha256", "sha512", "sha1", "md5"] = "sha256"
    auth_password: Secret = ""
    privacy: Literal["aes128", "des"] = "aes128"
    privacy_password: Secret = ""
    community: Secret = ""

    def __post_init__(self) -> None:
        if self.version == "v2c":
            if not self.community or self.user or self.auth_password or self.privacy_password:
                raise ValueError("v2c needs a community, and nothing else")
        elif self.community:
            raise ValueError("a community is for v2c, which has to be asked for")
        elif not self.user or min(len(self.auth_password), len(self.privacy_password)) < 8:
            raise ValueError("v3 needs a user and two passwords of 8 characters or more")


SECRET_FIELDS = ("password", "kg", "auth_password", "privacy_password", "community")
