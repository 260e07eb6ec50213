"""The agent's side of SNMP, over records that read and write by number: what the laboratory's PDU and switch share.

It stands on pysnmp's responders with a controller of its own, without MIBs. What pysnmp does not do is done here: rows
that are made by a set, the index of the value that was refused, and asking whether somebody may.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from pysnmp.carrier.asyncio.dgram import udp
from pysnmp.entity import config, engine
from pysnmp.entity.rfc3413 import cmdrsp, context
from pysnmp.proto import rfc1902, rfc1905
from pysnmp.proto.api import v2c
from pysnmp.smi import error, instrum

Oid = tuple[int, ...]
Pair = tuple[Oid, Any]
EVERYTHING: Oid = (1,)
NOWHERE: Oid = (2, 999)  # pysnmp takes an empty view for the whole tree


class Refusal(Exception):
    """``name`` is an error-status of RFC 3416; ``index`` is that of the pair, from 0."""

    def __init__(self, name: str, index: int = 0) -> None:
        super().__init__(name)
        self.name, self.index = name, index


class Records(Protocol):
    """Values are pysnmp's, of rfc1902. All may raise `Refusal`."""

    def read(self, oid: Oid) -> Any | None: ...

    def after(self, oid: Oid) -> Pair | None:
        """The next one that there is."""

    def write(self, pairs: Sequence[Pair]) -> None: ...


class Right(NamedTuple):
    """A community of v2c."""

    community: str
    writes: bool


class Controller(instrum.AbstractMibInstrumController):  # type: ignore[misc]
    """Between pysnmp and the records. Whether one may is asked here: otherwise everybody might."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def read_variables(self, *pairs: Any, **context: Any) -> list[Any]:
        self._check("read", pairs, context)
        found = ((oid, self._records.read(tuple(oid))) for oid, _ in pairs)
        return [(oid, rfc1905.noSuchInstance if value is None else value) for oid, value in found]

    def read_next_variables(self, *pairs: Any, **context: Any) -> list[Any]:
        self._check("read", pairs, context)
        found = ((oid, self._records.after(tuple(oid))) for oid, _ in pairs)
        return [(rfc1902.ObjectName(pair[0]), pair[1]) if pair else (oid, rfc1905.endOfMibView) for oid, pair in found]

    def write_variables(self, *pairs: Any, **context: Any) -> tuple[Any, ...]:
        self._check("write", pairs, context)
        self._records.write([(tuple(oid), value) for oid, value in pairs])
        return pairs

    def _check(self, kind: str, pairs: Any, context: Any) -> None:
        """It raises where there is no such user, and says true for an object that he has no right to."""
        for oid, _ in pairs:
            if context["acFun"](kind, (oid, None), **context):
                raise error.NoAccessError(name=oid, idx=0)


class _Refusing:
    """Told which of several was refused; left to itself pysnmp says it was the first."""

    def handle_management_operation(self, agent: Any, reference: Any, name: Any, pdu: Any) -> None:
        try:
            super().handle_management_operation(agent, reference, name, pdu)  # type: ignore[misc]
        except Refusal as refusal:
            pairs = v2c.apiPDU.get_varbinds(pdu)
            self.send_varbinds(agent, reference, refusal.name, refusal.index + 1, pairs)  # type: ignore[attr-defined]
            self.release_state_information(reference)  # type: ignore[attr-defined]


RESPONDERS = [
    type(stock.__name__, (_Refusing, stock), {})
    for stock in (
        cmdrsp.GetCommandResponder,
        cmdrsp.NextCommandResponder,
        cmdrsp.BulkCommandResponder,
        cmdrsp.SetCommandResponder,
    )
]


async def serve(
    records: Records,
    address: str,
    name: str,
    user: tuple[str, str, str],
    rights: Sequence[Right],
) -> tuple[str, int]:
    """An agent at a free port of ``address``, which is returned. ``user``: of v3, with both passwords.

    The engine's id is made of ``name``: a client must know it again.
    """
    agent = engine.SnmpEngine(rfc1902.OctetString(b"\x80\x00\x4f\xb8\x05" + name.encode()))
    config.add_transport(agent, udp.DOMAIN_NAME, udp.UdpAsyncioTransport().open_server_mode((address, 0)))
    for number, right in enumerate(rights):
        config.add_v1_system(agent, f"community-{number}", right.community)
        views = (EVERYTHING, EVERYTHING if right.writes else NOWHERE)
        config.add_vacm_user(agent, 2, f"community-{number}", "noAuthNoPriv", *views)
    auth, privacy = config.USM_AUTH_HMAC192_SHA256, config.USM_PRIV_CFB128_AES
    config.add_v3_user(agent, user[0], auth, user[1], privacy, user[2])
    config.add_vacm_user(agent, 3, user[0], "authPriv", EVERYTHING, EVERYTHING)
    contexts = context.SnmpContext(agent)
    contexts.unregister_context_name(b"")
    contexts.register_context_name(b"", Controller(records))
    for responder in RESPONDERS:
        responder(agent, contexts)
    door = agent.transport_dispatcher.get_transport(udp.DOMAIN_NAME)
    await door._lport
    port: tuple[str, int] = door.transport.get_extra_info("sockname")
    return port
