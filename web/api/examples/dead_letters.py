"""Answers about dead letters to show in OpenAPI, made of records by the schemas themselves."""

import pika

from jobtrail.broker.properties import encode
from jobtrail.broker.queue_depth import QueueDepth
from jobtrail.deadletters.accounting import Audit
from jobtrail.deadletters.archive import export_line
from jobtrail.models.dead_letters.accounting import HourlyCount, StreamFindings, stream_balance
from jobtrail.models.dead_letters.dead_letter import (
    Cause,
    CauseGroup,
    DeadLetter,
    Fix,
    LetterFilter,
    LetterKind,
    LetterState,
    Sending,
)
from jobtrail.models.dead_letters.dry_run import DryRun, Judgement, Verdict
from jobtrail.models.dead_letters.reasons import reason_words
from jobtrail.models.dead_letters.replay import Replay, ReplayState
from jobtrail.models.position import Position
from jobtrail.operations.dead_letter_view import LetterView, content_of
from jobtrail.operations.schemas.accounting import AuditSchema
from jobtrail.operations.schemas.dead_letters import (
    CountSchema,
    DryRunSchema,
    GroupListSchema,
    GroupSchema,
    LetterDetailSchema,
    LetterListSchema,
)
from jobtrail.operations.schemas.replays import ReplayListSchema, ReplaySchema
from jobtrail.store.keyset import Page
from jobtrail.web.api.examples.jobs import JOB, after

_QUEUE, _ORIGIN = "jobtrail.dead-letters", "jobtrail.updates"
_LETTER_ID, _GROUP_ID, _REPLAY_ID = "69210b1c0000000000000007", "5b2a0c4de9f81a37", "8c1f4a2be6d0"
_BODY = b'{"file_id": "5cb2d2d3a4be0f9fd3400001", "extractor_id": "ncsa.wordcount", "status": "done"}'

_CAUSE = Cause(
    queue=_ORIGIN,
    origin=_ORIGIN,
    reason="missing_field",
    error="start is missing",
    extractor_id=JOB.extractor_id,
    version="2.0",
)
_LETTER = DeadLetter(
    id=_LETTER_ID,
    cause_id=_GROUP_ID,
    cause=_CAUSE,
    kind=LetterKind.UPDATE,
    error="start is missing",
    captured_at=after(31),
    happened_at=after(30),
    seq=7,
    origin_seq=47,
    origin_routing_key=_ORIGIN,
    job_id=JOB.job_id,
    size_bytes=len(_BODY),
    body=_BODY,
    properties=encode(pika.BasicProperties(content_type="application/json", delivery_mode=2, headers={"x-try": 1})),
    state=LetterState.UNKNOWN,
    replay_id=_REPLAY_ID,
    sendings=[
        Sending(
            replay_id=_REPLAY_ID,
            at=after(600),
            target=_ORIGIN,
            outcome=LetterState.UNKNOWN,
            detail="nothing was heard of it",
            outcome_at=after(1200),
        )
    ],
)
_GROUP = CauseGroup(
    id=_GROUP_ID,
    cause=_CAUSE,
    kind=LetterKind.UPDATE,
    sample_error="start is missing",
    first_seen=after(30),
    last_seen=after(31),
    counts={LetterState.OPEN: 36, LetterState.UNKNOWN: 1, LetterState.RESOLVED: 4},
    fix=Fix(note="Deployed 2.1, which sends the time again.", who="ann", at=after(900)),
    hours=(0,) * 47 + (41,),
)
_TRIAL = DryRun()
for _ in range(9):
    _TRIAL.add(Judgement(verdict=Verdict.APPLIES, reason="its job becomes SUCCEEDED"), _ORIGIN)
_TRIAL.add(Judgement(verdict=Verdict.DUPLICATE, reason="the update is stored already"), _ORIGIN)
_TRIAL.add(Judgement(verdict=Verdict.FAILS, reason="missing_field: start is missing"), _ORIGIN)
_REPLAY = Replay(
    id=_REPLAY_ID,
    selection=LetterFilter(cause_id=_GROUP_ID),
    target=None,
    rate=100,
    staged=True,
    who="ann",
    origin="192.0.2.7",
    asked_at=after(590),
    total=37,
    state=ReplayState.RUNNING,
    sent=10,
    counts={LetterState.RESOLVED: 8, LetterState.REPLAYED: 2},
    detail="waiting for what becomes of the first 10",
)
_TALLY = HourlyCount(
    queue=_ORIGIN,
    hour=after(0).replace(minute=0, second=0),
    first_seq=1,
    last_seq=50,
    handed_out=50,
    stored=40,
    duplicates=3,
    dead_lettered=7,
)

LETTER_LIST = LetterListSchema.model_validate(Page(rows=[_LETTER], next=None))
LETTER = LetterDetailSchema.model_validate(
    LetterView(
        letter=_LETTER,
        content=content_of(_LETTER.body, _LETTER.properties),
        edited=None,
        reason_words=reason_words(_CAUSE.reason),
        target=_ORIGIN,
        judgement=Judgement(verdict=Verdict.FAILS, reason="missing_field: start is missing", detail="start is missing"),
        has_job=True,
    )
)
EXPORT = export_line(_LETTER) + "\n"
GROUP = GroupSchema.model_validate(_GROUP)
GROUP_LIST = GroupListSchema.model_validate(Page(rows=[_GROUP], next=None))
DRY_RUN = DryRunSchema.of(_TRIAL)
COUNT = CountSchema(count=37)
REPLAY = ReplaySchema.model_validate(_REPLAY)
REPLAY_LIST = ReplayListSchema.model_validate(Page(rows=[_REPLAY], next=None))
AUDIT = AuditSchema.model_validate(
    Audit(
        since=_TALLY.hour,
        at=after(3600),
        balances=[stream_balance(_TALLY, StreamFindings(), None)],
        positions=[Position(stream=_ORIGIN, offset=_TALLY.last_seq - 1)],
        waiting=[QueueDepth(queue=_QUEUE, waiting=1, consumers=0)],
    )
)
