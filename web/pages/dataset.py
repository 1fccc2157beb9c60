"""The page of one dataset: what is known of it, what its sources say, its jobs, who was notified, and its timeline."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from fastapi import APIRouter, Request, Response

from jobtrail.models.jobs.filter import JobFilter
from jobtrail.models.notifications.outbox import OutboxEntry
from jobtrail.operations.job_list import ListedJob, with_stalls
from jobtrail.store.datasets.story import Moment, MomentKind
from jobtrail.web.auth.identity import Identity
from jobtrail.web.dependencies import AppParts, Caller
from jobtrail.web.parts import Parts
from jobtrail.web.paths import PathId, address

JOBS_SHOWN = 20
MOMENTS_SHOWN = 300
"""The latest lines of the story, unless all are asked for."""


@dataclass(slots=True, frozen=True, kw_only=True)
class SourceLine:
    """One line of the story."""

    moment: Moment
    count: int
    """How many answers in a row it stands for: a source that only counts up its progress gets one line."""
    from_progress: float | None
    """The progress of the first of them."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Day:
    """The lines of one day."""

    name: str
    lines: Sequence[SourceLine]


router = APIRouter(include_in_schema=False)


@router.get("/datasets/{dataset_id}")
async def dataset(parts: AppParts, request: Request, dataset_id: PathId, identity: Caller, story: str = "") -> Response:
    timeline = await parts.dataset_stories.read(dataset_id)
    moments = [moment for moment in timeline.moments if identity.may_see_told(moment.notified_user)]
    lines = list(_lines(moments))
    shown = lines if story == "all" else lines[-MOMENTS_SHOWN:]
    return await parts.renderer.page(
        request,
        identity,
        "dataset.html",
        dataset=timeline.dataset,
        status_since=timeline.status_since,
        cut=timeline.cut,
        here=address("datasets", dataset_id),
        jobs=await _jobs(parts, dataset_id),
        batch_jobs=_batch_jobs(moments),
        logs=[moment for moment in reversed(moments) if moment.kind is MomentKind.LOG],
        notifications=[moment for moment in reversed(moments) if moment.kind is MomentKind.NOTIFICATION],
        messages=await _messages(parts, dataset_id, identity),
        days=[Day(name=name, lines=list(group)) for name, group in groupby(shown, key=_day)],
        hidden=len(lines) - len(shown),
    )


async def _jobs(parts: Parts, dataset_id: str) -> Sequence[ListedJob]:
    page = await parts.jobs.list(JobFilter(resource=dataset_id), limit=JOBS_SHOWN)
    return await with_stalls(parts.stall_detector(), page.jobs)


async def _messages(parts: Parts, dataset_id: str, identity: Identity) -> Sequence[OutboxEntry]:
    entries = await parts.outbox.of_dataset(dataset_id)
    return [entry for entry in reversed(entries) if identity.may_see_told(entry.user_id)]


def _batch_jobs(moments: Iterable[Moment]) -> Sequence[Moment]:
    """Take the latest moment of each batch job; there is one per viewpoint."""
    latest = {moment.subject: moment for moment in moments if moment.kind is MomentKind.BATCH_JOB}
    return list(latest.values())


def _lines(moments: Sequence[Moment]) -> Iterator[SourceLine]:
    """Make lines of moments; answers in a row that differ in nothing but their progress become one."""
    for _same, group in groupby(enumerate(moments), key=lambda numbered: _sameness(*numbered)):
        run = [moment for _place, moment in group]
        first = run[0].facts.get("progress")
        yield SourceLine(
            moment=run[-1],
            count=len(run),
            from_progress=first if len(run) > 1 and isinstance(first, int | float) else None,
        )


def _sameness(place: int, moment: Moment) -> tuple[object, ...]:
    if moment.kind is not MomentKind.ANSWER:
        return (place,)
    return (moment.subject, moment.state, moment.message, moment.facts.get("problem"))


def _day(line: SourceLine) -> str:
    return "No time known" if line.moment.at is None else f"{line.moment.at:%Y-%m-%d} UTC"
