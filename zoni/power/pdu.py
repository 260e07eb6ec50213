"""The pdu driver: an outlet of a PDU by SNMP. Models are tables, ours beside this file, others in a file of theirs.

An outlet tells what it gives, not what the machine makes of it: "on" is no sign of a machine that runs, "off" is proof
of one that doesn't, as far as this outlet is the only one that feeds it.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from tashi.wire.errors import Code
from zoni.access import Snmp
from zoni.outcome import Unproven
from zoni.power.interface import Action, Capability, Power, PowerError
from zoni.power.lacking import Lacking
from zoni.power.paths import Pdu
from zoni.snmp import Oid, Session, SnmpError, SnmpSilence, Value, open_session, parse_oid, strangers_let_in

Pattern = Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)*\.\{outlet\}(\.[0-9]+)*$")]


class Model(Struct, frozen=True, forbid_unknown_fields=True):
    """How a kind of PDU is spoken to; see pdu_models.toml."""

    about: str
    state: Pattern
    on: int
    off: int
    control: Pattern
    switch_on: int
    switch_off: int


class PduDriver(Lacking):
    """Implements `zoni.power.interface.Driver` for one outlet."""

    capabilities = frozenset[Capability]()

    def __init__(self, path: Pdu, seconds: float) -> None:
        self.where, self._path, self._seconds = path.where, path, seconds
        self._model = find_model(path.model, path.models, path.where)
        self._session = self._open(path.access)

    def power(self) -> Power:
        says: dict[Value | None, Power] = {self._model.on: "on", self._model.off: "off"}
        return says.get(self._get(), "unknown")

    def press(self, action: Action) -> None:
        value = {"on": self._model.switch_on, "off": self._model.switch_off}.get(action)
        if value is None:
            raise self.lacks(action)
        try:
            self._session.set((self._oid(self._model.control), value))
        except SnmpSilence as error:
            raise Unproven(error.code, f"{self.where}: {action}: {error.text}") from error
        except SnmpError as error:
            raise PowerError(error.code, f"{self.where}: {action}: {error.text}") from error

    def weaknesses(self) -> list[str]:
        """Whether a factory's community reads the outlet. Who was let in by v2c on purpose did not mean these."""
        state = self._oid(self._model.state)
        return strangers_let_in(self._path.address, self._path.port, state, self._seconds / 3)

    def close(self) -> None:
        self._session.close()

    # -- parts -------------------------------------------------------------------------------------------------------

    def _open(self, access: Snmp) -> Session:
        try:
            return open_session(self._path.address, self._path.port, access, self._seconds / 3, tries=3)
        except SnmpError as error:
            raise PowerError(error.code, f"{self.where}: {error.text}") from error

    def _get(self) -> Value:
        try:
            (value,) = self._session.get(self._oid(self._model.state))
        except (SnmpError, SnmpSilence) as error:
            raise PowerError(error.code, f"{self.where}: {error.text}") from error
        if value is None:
            raise PowerError(Code.NOT_FOUND, f"{self.where}: no such outlet, or the PDU is no {self._path.model}")
        return value

    def _oid(self, pattern: str) -> Oid:
        return parse_oid(pattern.replace("{outlet}", str(self._path.outlet)))


def read_models(text: str) -> dict[str, Model]:
    """The models of a table file. Raises ValueError that names the model and the field."""
    found = tomllib.loads(text)
    try:
        return msgspec.convert(found, type=dict[str, Model])
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


def find_model(name: str, file: str, where: str) -> Model:
    """A model of ours, or of ``file``. Raises PowerError."""
    try:
        own = read_models(resources.files("zoni.power").joinpath("pdu_models.toml").read_text())
        models = own | (read_models(Path(file).read_text()) if file else {})
    except (OSError, ValueError) as error:
        raise PowerError(Code.BAD_REQUEST, f"{where}: {file}: {error}") from error
    if name not in models:
        raise PowerError(Code.NOT_FOUND, f"{where}: no model {name}; there are {', '.join(sorted(models))}")
    return models[name]
