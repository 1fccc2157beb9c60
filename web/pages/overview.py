"""The overview: what is running, waiting, failed or stalled, recent figures, and what needs attention."""

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from jobtrail.broker.address import broker_address
from jobtrail.models.jobs.filter import JobFilter
from jobtrail.models.jobs.status import Status
from jobtrail.operations.extractors import list_extractors
from jobtrail.operations.figures import Window
from jobtrail.operations.workload import MAX_COUNTED, read_load, read_running
from jobtrail.web.auth.identity import Identity
from jobtrail.web.charts.jobs import duration_chart, outcome_chart
from jobtrail.web.dependencies import AppParts, Caller
from jobtrail.web.parts import Parts

ROWS_SHOWN = 6

router = APIRouter(include_in_schema=False)


@router.get("/")
async def overview(parts: AppParts, request: Request, identity: Caller, window: Window = Window.HOUR) -> HTMLResponse:
    if await parts.workload.is_empty():
        return await _first_steps(parts, request, identity)
    return await _overview(parts, request, identity, window)


async def _first_steps(parts: Parts, request: Request, identity: Identity) -> HTMLResponse:
    url = parts.settings.amqp_url
    return await parts.renderer.page(
        request,
        identity,
        "first_steps.html",
        broker=broker_address(url.get_secret_value()) if url else None,
        reply_streams=parts.settings.reply_streams,
        docs_url=parts.settings.docs_url,
    )


async def _overview(parts: Parts, request: Request, identity: Identity, window: Window) -> HTMLResponse:
    detector = parts.stall_detector()
    period, day, load, running, failures, extractors = await asyncio.gather(
        parts.figures.read(window, detector.now),
        parts.figures.read(Window.DAY, detector.now),
        read_load(parts.workload),
        read_running(parts.workload, parts.jobs, detector, limit=ROWS_SHOWN),
        parts.jobs.list(JobFilter(status=(Status.ERROR,)), limit=ROWS_SHOWN),
        list_extractors(parts.extractors, parts.settings),
    )
    figures, lately = period.figures(), day.figures()
    offline = [each for each in extractors if not each.online]
    return await parts.renderer.page(
        request,
        identity,
        "overview.html",
        window=window,
        windows=tuple(Window),
        figures=figures,
        outcomes=outcome_chart(figures),
        durations=duration_chart(figures),
        load=load,
        most_counted=MAX_COUNTED,
        failed=lately.total.ended.get(Status.ERROR, 0),
        failed_is_known=not lately.uncounted,
        running=running,
        stalled=await parts.stuck.why_each(running.stalled, detector),
        failures=failures.jobs,
        extractors=extractors,
        offline=sorted(offline, key=lambda each: each.record.last_seen, reverse=True),
        incidents=await parts.incidents.unacknowledged(),
        rows_shown=ROWS_SHOWN,
    )
