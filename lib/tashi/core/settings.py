"""What an administrator may set about the core's decisions."""

from __future__ import annotations

from typing import NamedTuple

from tashi.core.demands import Ratios
from tashi.model.quota import UNLIMITED, Quota
from tashi.sched.policy import Policy
from tashi.wire.messages import ServerKey


class Settings(NamedTuple):
    """``heartbeat_seconds`` x ``missed`` of silence make a host unknown. ``pool_bytes`` 0: what the hosts see."""

    heartbeat_seconds: float = 1.0
    missed: int = 5
    steady_seconds: float = 60.0  # that a host must be heard for after it fell silent again and again; 0: it need not
    policy: Policy = Policy()
    ratios: Ratios = Ratios()  # of cores and memory that may be promised
    pool_bytes: int = 0
    quota: Quota = Quota(UNLIMITED, UNLIMITED, UNLIMITED, UNLIMITED)  # of everybody who has no number of its own
    networks: tuple[str, ...] = ("default",)
    agent_addresses: tuple[str, ...] = ()  # for enrolment documents
    user_addresses: tuple[str, ...] = ()
    admin_addresses: tuple[str, ...] = ()
    enroll_addresses: tuple[str, ...] = ()
    server_key: str = ""
    server_keys: tuple[ServerKey, ...] = ()  # the newest first; it is ``server_key``
    moves_per_host: int = 2  # migrations at a time from or to one host, in a drain
    start_seconds: float = 180.0  # budgets of operations
    stop_seconds: float = 120.0
    move_seconds: float = 600.0
    image_seconds: float = 60.0
    token_seconds: float = 3600.0
    certificate_seconds: float = 90 * 86_400.0
    resend_max_seconds: float = 30.0

    @property
    def silence_seconds(self) -> float:
        return self.heartbeat_seconds * self.missed

    @property
    def grace_seconds(self) -> float:
        """After a start: no silence is judged, no request refused for want of hosts."""
        return self.heartbeat_seconds * 2
