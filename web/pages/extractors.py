"""The page of all extractors, and the page of one."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from jobtrail.broker.queue_depth import QueueDepth
from jobtrail.models.errors import NotFoundError
from jobtrail.models.heartbeat import likely_queues
from jobtrail.models.jobs.filter import JobFilter
from jobtrail.operations.extractors import ListedExtractor, find_extractor, list_extractors
from jobtrail.operations.figures import Figures, Period, Window
from jobtrail.operations.workload import MAX_COUNTED, read_running
from jobtrail.web.charts.jobs import duration_chart, outcome_chart, sparkline
from jobtrail.web.charts.shapes import Sparkline
from jobtrail.web.dependencies import AppParts, Caller
from jobtrail.web.parts import Parts
from jobtrail.web.paths import PathId

JOBS_SHOWN = 20
INSTANCES_SHOWN = 50
_QUEUES_SHOWN = 4
_INFO_SHOWN = 20_000
"""Characters."""


@dataclass(slots=True, frozen=True, kw_only=True)
class ExtractorRow:
    """One extractor of the list."""

    name: str
    extractor: ListedExtractor | None
    """None for one that is known from its jobs only, as no heartbeat was ever received."""
    figures: Figures
    spark: Sparkline
    running: int
    """Jobs that it has in work."""


router = APIRouter(include_in_schema=False)


@router.get("/extractors")
async def extractors(parts: AppParts, request: Request, identity: Caller, window: Window = Window.HOUR) -> HTMLResponse:
    found, period, running = await asyncio.gather(
        list_extractors(parts.extractors, parts.settings),
        parts.figures.read(window, parts.stall_detector().now),
        parts.workload.running_by_extractor(limit=MAX_COUNTED),
    )
    rows = _rows(found, period, running)
    return await parts.renderer.page(
        request,
        identity,
        "extractors.html",
        window=window,
        windows=tuple(Window),
        rows=rows,
        online=sum(row.extractor is not None and row.extractor.online for row in rows),
        figures=period.figures(),
    )


@router.get("/extractors/{name}")
async def extractor(
    parts: AppParts,
    request: Request,
    name: PathId,
    identity: Caller,
    window: Window = Window.HOUR,
) -> HTMLResponse:
    known = await _find(parts, name)
    detector = parts.stall_detector()
    period, running, queues = await asyncio.gather(
        parts.figures.read(window, detector.now),
        read_running(parts.workload, parts.jobs, detector, limit=JOBS_SHOWN, extractor_id=name),
        _queues(parts, name, known),
    )
    figures = period.figures(name)
    return await parts.renderer.page(
        request,
        identity,
        "extractor.html",
        name=name,
        known=known,
        window=window,
        windows=tuple(Window),
        figures=figures,
        outcomes=outcome_chart(figures, name),
        durations=duration_chart(figures, name),
        running=running,
        stalled=await parts.stuck.why_each(running.stalled, detector),
        queues=queues,
        instances_shown=INSTANCES_SHOWN,
        info=_info(known) if known else None,
    )


def _rows(found: Sequence[ListedExtractor], period: Period, running: Mapping[str, int]) -> Sequence[ExtractorRow]:
    by_name = {extractor.record.name: extractor for extractor in found}
    names = sorted(by_name.keys() | set(period.extractors) | running.keys())
    figures = {name: period.figures(name) for name in names}
    return [
        ExtractorRow(
            name=name,
            extractor=by_name.get(name),
            figures=figures[name],
            spark=sparkline(figures[name]),
            running=running.get(name, 0),
        )
        for name in names
    ]


async def _find(parts: Parts, name: str) -> ListedExtractor | None:
    """Read an extractor; None for one that has jobs but never sent a heartbeat."""
    try:
        return await find_extractor(parts.extractors, parts.settings, name)
    except NotFoundError:
        if not (await parts.jobs.list(JobFilter(extractor=name), limit=1)).jobs:
            raise
        return None


def _info(known: ListedExtractor) -> str:
    """Write what an extractor says of itself, which may be a megabyte."""
    text = json.dumps(known.record.info, indent=2, ensure_ascii=False)
    return text if len(text) <= _INFO_SHOWN else f"{text[:_INFO_SHOWN]}…"


async def _queues(parts: Parts, name: str, known: ListedExtractor | None) -> Sequence[QueueDepth]:
    """Ask for the queues that its workers take from; an extractor of whom none is known has that of its name."""
    queues = likely_queues((each.record for each in known.instances) if known else (), name)
    return await asyncio.gather(*(parts.queues.read(queue) for queue in queues[:_QUEUES_SHOWN]))
