"""How a host gets its place: as every agent does, and with the answer comes its certificate (``tls.json``)."""

from __future__ import annotations

import time

from tashi.run.document import Document
from tashi.run.enroll import Place
from tashi.run.enroll import enroll as register
from tashi.wire.messages import Enroll
from tashid.credential_files import asking, keep

HOST = Place("host", "thost-add", "tashi-agent", "enroll", "host")


def enroll(state: str, file: str, addresses: tuple[str, ...]) -> str:
    """Use the enrolment document in ``file`` ("-": standard input); returns the host's name.

    ``addresses`` are where the other hosts' hypervisors reach this one.

    Raises TashiError: no answer, wrong token, not a document.
    """

    def body(document: Document, public: str) -> Enroll:
        fresh = asking(state, addresses, answered_too=True)
        return Enroll(document.token, document.name, public, fresh.request, list(addresses))

    name, given = register(state, file, HOST, body)
    if given is not None and given.credential is not None:
        keep(state, given.credential, time.time())
    return name
