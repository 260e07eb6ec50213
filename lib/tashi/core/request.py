"""How one request of a command is answered: who may, what was asked, whether it was asked before, and with what.

The same request id with the same content gets the same answer again, whatever has happened since; a dry run takes the
same path and is undone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from tashi.core import choices, query, rights, verbs
from tashi.core.decision import Decision, Found, Park, entries_of, problem, request_key
from tashi.core.plainly import plainly
from tashi.core.records import Answered
from tashi.core.secrets import digest_of
from tashi.core.turn import Turn
from tashi.wire.errors import Code, Refused
from tashi.wire.messages import Accepted, ChangesBody, Problem, Reply, Request

if TYPE_CHECKING:
    from tashi.core.cluster import Cluster, Mark

_encode = msgspec.json.Encoder().encode


def answer(cluster: Cluster, turn: Turn, raw: Request, found: Found | None, mark: Mark) -> Decision:
    """Decide one request; raises TashiError with the reason where it is refused."""
    verb = verbs.VERBS.get(raw.verb)
    if verb is None:
        raise Refused(Code.UNKNOWN_VERB, f"{raw.verb[:40]!r}: no such verb")
    rights.check_role(turn.who, raw.verb, verb.role, verb.act is not None)
    body = _decode(raw)
    turn.verb = raw.verb
    if raw.owner:
        rights.act_for(turn, raw.owner)
    turn.authority, turn.contacts, turn.vault = cluster.authority, cluster.contacts, cluster.vault
    turn.account = cluster.account
    if verb.act is None:
        return _read(cluster, turn, raw, body)
    digest = digest_of(raw, cluster.vault)
    if found is not None:
        if found.hash != digest:
            raise Refused(Code.CONFLICT, "this request id was used for another request")
        return Decision(reply=Reply(raw.id, msgspec.Raw(found.ok), revision=found.revision))
    turn.request = request_key(turn.who.name, raw.id)
    turn.secret = cluster.chance() if raw.verb in verbs.SECRET else b""
    dry_run = getattr(body, "dry_run", False)
    try:
        accepted = verb.act(turn, body)
    except Refused as refused:
        if dry_run:
            raise
        return _refuse(cluster, turn, raw, refused, mark)
    if dry_run:
        cluster.undo(mark)
        accepted = replace(accepted, job="")  # there is no such operation: nothing to wait for
        return Decision(reply=Reply(raw.id, msgspec.Raw(_encode(accepted)), revision=mark.revision))
    return _accept(cluster, turn, raw, digest, accepted, mark)


def _accept(cluster: Cluster, turn: Turn, raw: Request, digest: str, accepted: Accepted, mark: Mark) -> Decision:
    ok = msgspec.Raw(_encode(accepted))
    kept = ok if not accepted.extra else msgspec.Raw(_encode(_unsecret(accepted)))
    cluster.state.put("request", turn.request, Answered(digest, kept, mark.revision))
    return cluster.close(turn, mark, reply=Reply(raw.id, ok, revision=mark.revision))


def _refuse(cluster: Cluster, turn: Turn, raw: Request, refused: Refused, mark: Mark) -> Decision:
    """Nothing is changed. That there was no room is remembered, so that it can be explained later."""
    cluster.undo(mark)
    if turn.weighed is None or not cluster.refusals.take(turn.who.name, turn.now.monotonic):
        raise refused
    before = cluster.state.mark()
    choice = choices.note_refusal(turn, refused)
    if choice is None:
        raise refused
    log = entries_of(turn, cluster.state.touched(before), mark.revision)
    cluster.revision += len(log)
    told = f"tashi-explain --decision {choice.id} tells more"
    known = Refused(refused.code, refused.text, f"{refused.hint}; {told}" if refused.hint else told)
    return Decision(reply=problem(raw.id, known, mark.revision), log=log)


def _read(cluster: Cluster, turn: Turn, raw: Request, body: Any) -> Decision:
    if isinstance(body, ChangesBody):
        ids = frozenset(query.ids_for(turn, body.ids))
        after = cluster.revision if body.after < 0 else body.after
        owner = "" if turn.sees_all() and not turn.acting else turn.owner
        park = Park(
            raw.id,
            after,
            ids,
            frozenset(body.kinds),
            body.job,
            body.limit,
            body.wait_seconds,
            turn.who.name,
            owner,
            frozenset(body.about),
        )
        return Decision(park=park)
    answer, rows = query.answer(turn, raw.verb, body, cluster)
    return Decision(reply=Reply(raw.id, msgspec.Raw(_encode(answer)), revision=cluster.revision), rows=rows)


def fault(request_id: str, revision: int) -> Reply:
    """The answer to a request that met a bug of ours."""
    text = "the controller has a fault; nothing was changed"
    return Reply(request_id, error=Problem(Code.FAULT, text, "its log says more"), revision=revision)


def _decode(raw: Request) -> Any:
    try:
        return verbs.DECODERS[raw.verb].decode(raw.body)
    except (ValueError, RecursionError) as wrong:
        raise Refused(Code.BAD_REQUEST, plainly(str(wrong))) from None


def _unsecret(accepted: Accepted) -> Accepted:
    """What is kept of an answer: not the token in it, which is told once and never again."""
    return replace(accepted, extra={}, note="the enrolment document was given once")
