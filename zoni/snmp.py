"""SNMP, through pysnmp: the only file of zoni that loads it, for PDUs and switches alike.

A session speaks to one agent, has an engine of its own, and waits for each answer: a worker does one thing at a time.
An engine takes a fifth of a second to make and holds nothing at the agent, so those that were answered last are kept
for the same agent's next call; one that was not is dropped, because after a change of the agent's engine id it would
never be again. Datagrams from any other address than the agent's are not looked at. Names are numbers (OIDs), without
MIBs.

pysnmp raises nothing of what an agent or the network does; it returns it. Here it is raised, as `SnmpError` (nothing
was changed) or `SnmpSilence` (no answer: what was set may have been, or may be yet).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import Any

from pysnmp.carrier.asyncio.dgram import udp, udp6
from pysnmp.hlapi.v3arch import asyncio as hlapi
from pysnmp.proto import errind, rfc1902, rfc1905

from tashi.wire.errors import Code, TashiError
from zoni.access import Snmp

Oid = tuple[int, ...]
Value = int | bytes | Oid


class Gauge(int):
    """To be set as an Unsigned32: agents that are strict take nothing else for one."""


AUTH = {
    "sha256": hlapi.USM_AUTH_HMAC192_SHA256,
    "sha512": hlapi.USM_AUTH_HMAC384_SHA512,
    "sha1": hlapi.USM_AUTH_HMAC96_SHA,
    "md5": hlapi.USM_AUTH_HMAC96_MD5,
}
PRIVACY = {
    "aes128": hlapi.USM_PRIV_CFB128_AES,
    "des": hlapi.USM_PRIV_CBC56_DES,
}
KEPT = 16  # sessions
BULK = 60  # values that one message asks for: what fits into one frame; an agent sends fewer if it likes
ROWS_MAX = 50_000  # of a table: the stations of a large switch
FACTORY = ("public", "private")  # communities that devices are sold with
STRANGERS = (
    errind.UnknownUserName,
    errind.WrongDigest,
    errind.DecryptionError,
    errind.AuthenticationFailure,
    errind.UnsupportedSecurityLevel,
    errind.UnknownSecurityName,
    errind.UnknownCommunityName,
)
# error-status of RFC 3416, 3 -> ours; any other is the agent's own trouble
STATUS: dict[int, Code] = {
    2: Code.NOT_FOUND,  # noSuchName, of version 1
    4: Code.IMPOSSIBLE,  # readOnly
    6: Code.DENIED,  # noAccess
    7: Code.IMPOSSIBLE,  # wrongType
    10: Code.IMPOSSIBLE,  # wrongValue
    11: Code.IMPOSSIBLE,  # noCreation
    12: Code.WRONG_STATE,  # inconsistentValue
    16: Code.DENIED,  # authorizationError
    17: Code.IMPOSSIBLE,  # notWritable
    18: Code.WRONG_STATE,  # inconsistentName
}


class SnmpError(TashiError):
    """Nothing was changed."""


class SnmpSilence(TashiError):
    """No answer."""

    def __init__(self, text: str) -> None:
        super().__init__(Code.UNAVAILABLE, text)


class Session:
    """Requests to one agent; see `open_session`."""

    def __init__(self, address: str, port: int, access: Snmp, seconds: float, tries: int) -> None:
        self._heard, self._key = False, (address, port, access, seconds, tries)
        self._runner = asyncio.Runner()
        self._access = _user(access)
        try:
            family, _, _, _, where = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)[0]
        except OSError as error:
            raise SnmpError(Code.UNAVAILABLE, f"{address}: {error.strerror}") from error
        self._engine = hlapi.SnmpEngine()
        self._target = self._runner.run(_target(family, (str(where[0]), port), seconds, tries))

    def get(self, *oids: Oid) -> list[Value | None]:
        """The values, None for what the agent has not."""
        return self._ask(hlapi.get_cmd, [hlapi.ObjectType(_name(oid)) for oid in oids])

    def walk(self, *bases: Oid) -> list[dict[Oid, Value]]:
        """All that lies under each of ``bases``, by what follows it; asked for together, as columns of one table."""
        rows: list[dict[Oid, Value]] = [{} for _ in bases]
        last = dict(enumerate(bases))  # of those that have not come to their end
        while last:
            columns = list(last)
            names = [hlapi.ObjectType(_name(last[column])) for column in columns]
            for at, (oid, value) in enumerate(self._exchange(hlapi.bulk_cmd, [0, -(-BULK // len(names)), *names])):
                column = columns[at % len(columns)]
                if column not in last:
                    continue
                base = bases[column]
                if value is None or oid[: len(base)] != base:
                    del last[column]
                elif oid <= last[column] or len(rows[column]) == ROWS_MAX:
                    raise SnmpError(Code.UNAVAILABLE, f"a table without an end at {'.'.join(map(str, oid))}")
                else:
                    rows[column][oid[len(base) :]], last[column] = value, oid
        return rows

    def set(self, *pairs: tuple[Oid, Value]) -> None:
        """All of them or, as agents go, some: read back. Sent again when no answer comes."""
        self._ask(hlapi.set_cmd, [hlapi.ObjectType(_name(oid), _wire(value)) for oid, value in pairs])

    def close(self) -> None:
        """Done with it, for now or for good."""
        if not self._heard:
            self._end()
            return
        _kept[self._key] = self
        if len(_kept) > KEPT:
            _kept.pop(next(iter(_kept)))._end()

    def _end(self) -> None:
        self._engine.close_dispatcher()
        self._runner.close()

    def _ask(self, command: Any, names: Sequence[Any]) -> list[Value | None]:
        return [value for _, value in self._exchange(command, names)]

    def _exchange(self, command: Any, names: Sequence[Any]) -> list[tuple[Oid, Value | None]]:
        done = command(self._engine, self._access, self._target, hlapi.ContextData(), *names, lookupMib=False)
        self._heard = False
        failure, status, index, found = self._runner.run(done)
        self._heard = not failure
        if isinstance(failure, STRANGERS):
            raise SnmpError(Code.DENIED, f"user, password or rights are wrong: {failure}")
        if isinstance(failure, errind.RequestTimedOut | errind.EmptyResponse):
            raise SnmpSilence("no answer")
        if failure:
            raise SnmpError(Code.UNAVAILABLE, f"an answer that can't be read: {failure}")
        if int(status):
            which = f" (name {int(index)})" if len(names) > 1 else ""
            raise SnmpError(STATUS.get(int(status), Code.UNAVAILABLE), f"refused: {status.prettyPrint()}{which}")
        return [(tuple(oid), _plain(value)) for oid, value in found]


_kept: dict[tuple[str, int, Snmp, float, int], Session] = {}


def open_session(address: str, port: int, access: Snmp, seconds: float = 1.0, tries: int = 3) -> Session:
    """A session with the agent at ``address``: ``seconds`` for an answer, ``tries`` in all.

    Raises SnmpError where that is no address and no name.
    """
    return _kept.pop((address, port, access, seconds, tries), None) or Session(address, port, access, seconds, tries)


def strangers_let_in(address: str, port: int, oid: Oid, seconds: float) -> list[str]:
    """The factory's communities that read ``oid``, in words; each is waited for ``seconds`` at most."""
    found = []
    for word in FACTORY:
        session = open_session(address, port, Snmp(version="v2c", community=word), seconds, tries=1)
        try:
            if session.get(oid) != [None]:
                found.append(f"answers to the factory's community {word}")
        except (SnmpError, SnmpSilence) as error:
            del error  # it does not let strangers in
        finally:
            session.close()
    return found


def parse_oid(text: str) -> Oid:
    """``1.3.6.1``. Raises ValueError."""
    parts = tuple(int(part) for part in text.strip(".").split("."))
    if len(parts) < 2 or not all(0 <= part < 2**32 for part in parts):
        raise ValueError(f"{text[:100]!r} is not an object identifier")
    return parts


def _user(access: Snmp) -> Any:
    if access.version == "v2c":
        return hlapi.CommunityData(access.community, mpModel=1)
    return hlapi.UsmUserData(
        access.user,
        authKey=access.auth_password,
        privKey=access.privacy_password,
        authProtocol=AUTH[access.auth],
        privProtocol=PRIVACY[access.privacy],
    )


async def _target(family: int, where: tuple[str, int], seconds: float, tries: int) -> Any:
    """Where requests go, and the only place where answers may come from."""
    v6 = family == socket.AF_INET6
    agent = ipaddress.ip_address(where[0].partition("%")[0])

    class Target(hlapi.Udp6TransportTarget if v6 else hlapi.UdpTransportTarget):  # type: ignore[misc]
        class PROTO_TRANSPORT(udp6.Udp6AsyncioTransport if v6 else udp.UdpAsyncioTransport):  # type: ignore[misc]
            def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
                if (ipaddress.ip_address(sender[0].partition("%")[0]), sender[1]) == (agent, where[1]):
                    super().datagram_received(data, sender)

    return await Target.create(where, timeout=seconds, retries=tries - 1)


def _name(oid: Oid) -> Any:
    return hlapi.ObjectIdentity(oid)


def _wire(value: Value) -> Any:
    match value:
        case Gauge():
            return rfc1902.Gauge32(value)
        case int():
            return rfc1902.Integer32(value)
        case bytes():
            return rfc1902.OctetString(value)
        case _:
            return rfc1902.ObjectIdentifier(value)


def _plain(value: Any) -> Value | None:
    if isinstance(value, rfc1905.NoSuchObject | rfc1905.NoSuchInstance | rfc1905.EndOfMibView):
        return None
    if isinstance(value, rfc1902.univ.ObjectIdentifier):  # a decoder's values are of pyasn1's own class
        return tuple(value)
    if isinstance(value, rfc1902.OctetString):
        return bytes(value)
    return int(value)
