"""How dead letters, their groups and replays look as MongoDB documents."""

from collections.abc import Mapping, Sequence
from typing import Any

from bson import Binary, ObjectId
from bson.errors import InvalidId

from jobtrail.models.dead_letters.dead_letter import (
    UNSETTLED,
    Cause,
    CauseGroup,
    DeadLetter,
    Edit,
    Fix,
    LetterFilter,
    LetterKind,
    LetterState,
    Sending,
)
from jobtrail.models.dead_letters.replay import Replay, ReplayState
from jobtrail.store.database import Document

_CAUSE_FIELDS = ("queue", "origin", "reason", "folded", "extractor_id", "version")
WITHOUT_BYTES = {"body": 0, "edit.body": 0}
"""The projection for lists."""
FREE: Document = {"held_by": None}
"""The condition of a dead letter that no replay holds. A held one keeps its state, because a change of state changes
the indexes, and a change that changes none is three times as fast."""


def letter_document(letter: DeadLetter) -> Document:
    """Make a `dead_letters` document; a large body goes elsewhere (`store.dead_letters.bodies`)."""
    document: Document = {
        "_id": ObjectId(letter.id),
        "cause_id": letter.cause_id,
        **cause_fields(letter.cause),
        "kind": letter.kind.value,
        "error": letter.error,
        "captured_at": letter.captured_at,
        "happened_at": letter.happened_at,
        "seq": letter.seq,
        "origin_exchange": letter.origin_exchange,
        "origin_routing_key": letter.origin_routing_key,
        "deaths": letter.deaths,
        "size_bytes": letter.size_bytes,
        "body": Binary(letter.body),
        "properties": Binary(letter.properties),
        "state": letter.state.value,
    }
    for name, value in (
        ("origin_seq", letter.origin_seq),
        ("job_id", letter.job_id),
        ("message_id", letter.message_id),
        ("correlation_id", letter.correlation_id),
        ("key", letter.key),
        ("fingerprint", letter.fingerprint),
        ("maybe_repeated", letter.maybe_repeated),
        ("parent", letter.parent),
        ("sent_by", letter.sent_by),
    ):
        if value is not None:
            document[name] = value
    if letter.edit is not None:
        document["edit"] = edit_document(letter.edit)
    return document


def letter_from(document: Mapping[str, Any]) -> DeadLetter:
    """Read a dead letter from its document, with or without its bytes."""
    get = document.get
    held_by = get("held_by")
    return DeadLetter(
        id=str(document["_id"]),
        cause_id=document["cause_id"],
        cause=_cause(document),
        kind=LetterKind(document["kind"]),
        error=document["error"],
        captured_at=document["captured_at"],
        happened_at=document["happened_at"],
        seq=document["seq"],
        origin_seq=get("origin_seq"),
        origin_exchange=document["origin_exchange"],
        origin_routing_key=document["origin_routing_key"],
        deaths=document["deaths"],
        job_id=get("job_id"),
        message_id=get("message_id"),
        correlation_id=get("correlation_id"),
        size_bytes=document["size_bytes"],
        body=bytes(get("body", b"")),
        properties=bytes(document["properties"]),
        key=get("key"),
        fingerprint=get("fingerprint"),
        maybe_repeated=get("maybe_repeated"),
        state=LetterState(document["state"]) if held_by is None else LetterState.HELD,
        replay_id=held_by or get("replay_id"),
        attempts_before=get("attempts_before"),
        parent=get("parent"),
        sent_by=get("sent_by"),
        sendings=[_sending(each) for each in get("sendings", ())],
        edit=_edit(document["edit"]) if "edit" in document else None,
        note=get("note", ""),
        settled_at=get("settled_at"),
    )


def cause_fields(cause: Cause) -> Document:
    """Make the fields of a cause, as dead letters and groups have them."""
    values = (cause.queue, cause.origin, cause.reason, cause.error, cause.extractor_id, cause.version)
    return dict(zip(_CAUSE_FIELDS, values, strict=True))


def edit_document(edit: Edit) -> Document:
    """Make the field of an edit."""
    return {"body": Binary(edit.body), "properties": Binary(edit.properties), "by": edit.by, "at": edit.at}


def sending_document(sending: Sending) -> Document:
    """Make one entry of `sendings`."""
    return {
        "replay_id": sending.replay_id,
        "at": sending.at,
        "target": sending.target,
        "attempts": sending.attempts,
        "outcome": sending.outcome.value,
    }


def letter_query(wanted: LetterFilter) -> Document:
    """Make the query for a selection."""
    query: Document = {}
    if wanted.ids is not None:
        query["_id"] = {"$in": [object_id(each) for each in wanted.ids]}
    if wanted.states is not None:
        query |= _in_states(wanted.states)
    for name, value in (
        ("cause_id", wanted.cause_id),
        ("kind", wanted.kind and wanted.kind.value),
        ("queue", wanted.queue),
        ("origin", wanted.origin),
        ("reason", wanted.reason),
        ("extractor_id", wanted.extractor_id),
        ("job_id", wanted.job_id),
        ("replay_id", wanted.replay_id),
    ):
        if value is not None:
            query[name] = value
    if wanted.maybe_repeated is not None:
        query["maybe_repeated"] = {"$ne": None} if wanted.maybe_repeated else None
    times = {"$gte": wanted.since, "$lte": wanted.until}
    bounds = {operator: moment for operator, moment in times.items() if moment is not None}
    if bounds:
        query["captured_at"] = bounds
    return query


def _in_states(states: Sequence[LetterState]) -> Document:
    free: Document = {"state": {"$in": [state.value for state in states if state is not LetterState.HELD]}}
    if LetterState.HELD not in states:
        return free | FREE
    if set(UNSETTLED) <= set(states):
        return free
    held = {"state": {"$in": [state.value for state in UNSETTLED]}, "held_by": {"$ne": None}}
    return {"$or": [free | FREE, held]}


def object_id(text: str) -> ObjectId:
    """Read an id; an invalid one becomes an id that no dead letter has."""
    try:
        return ObjectId(text)
    except InvalidId:
        return ObjectId(b"\0" * 12)


def group_from(document: Mapping[str, Any], hours: Sequence[int] = ()) -> CauseGroup:
    """Read a group from its document."""
    fix = document.get("fix")
    return CauseGroup(
        id=document["_id"],
        cause=_cause(document),
        kind=LetterKind(document["kind"]),
        sample_error=document["sample_error"],
        first_seen=document["first_seen"],
        last_seen=document["last_seen"],
        counts=_counts(document),
        fix=Fix(note=fix["note"], who=fix["who"], at=fix["at"]) if fix else None,
        hours=hours,
    )


def filter_document(wanted: LetterFilter) -> Document:
    """Make the field that keeps a selection."""
    fields: Document = {}
    for name in LetterFilter.__slots__:
        value = getattr(wanted, name)
        if value is not None:
            fields[name] = list(value) if name in ("ids", "states") else value
    return fields


def replay_document(replay: Replay) -> Document:
    """Make the `replays` document of a replay that begins."""
    return {
        "_id": replay.id,
        "selection": filter_document(replay.selection),
        "target": replay.target,
        "rate": replay.rate,
        "staged": replay.staged,
        "who": replay.who,
        "origin": replay.origin,
        "asked_at": replay.asked_at,
        "total": replay.total,
        "state": replay.state.value,
        "cancel": replay.cancel,
        "sent": replay.sent,
        "counts": {},
        "detail": replay.detail,
        "ended_at": replay.ended_at,
    }


def replay_from(document: Mapping[str, Any]) -> Replay:
    """Read a replay from its document."""
    selection = dict(document["selection"])
    if "states" in selection:
        selection["states"] = tuple(LetterState(state) for state in selection["states"])
    if "kind" in selection:
        selection["kind"] = LetterKind(selection["kind"])
    return Replay(
        id=document["_id"],
        selection=LetterFilter(**selection),
        target=document["target"],
        rate=document["rate"],
        staged=document["staged"],
        who=document["who"],
        origin=document["origin"],
        asked_at=document["asked_at"],
        total=document["total"],
        state=ReplayState(document["state"]),
        cancel=document["cancel"],
        sent=document["sent"],
        counts=_counts(document),
        detail=document["detail"],
        ended_at=document["ended_at"],
    )


def _cause(document: Mapping[str, Any]) -> Cause:
    return Cause(
        queue=document["queue"],
        origin=document["origin"],
        reason=document["reason"],
        error=document["folded"],
        extractor_id=document["extractor_id"],
        version=document["version"],
    )


def _counts(document: Mapping[str, Any]) -> Mapping[LetterState, int]:
    return {LetterState(state): count for state, count in document["counts"].items() if count}


def _edit(document: Mapping[str, Any]) -> Edit:
    return Edit(
        body=bytes(document.get("body", b"")),
        properties=bytes(document["properties"]),
        by=document["by"],
        at=document["at"],
    )


def _sending(document: Mapping[str, Any]) -> Sending:
    get = document.get
    return Sending(
        replay_id=document["replay_id"],
        at=document["at"],
        target=document["target"],
        attempts=document["attempts"],
        outcome=LetterState(document["outcome"]),
        detail=get("detail", ""),
        outcome_at=get("outcome_at"),
        child=get("child"),
    )
