"""How fast pages are with many jobs stored, beside ingest, and how soon an open page shows an update."""

import json
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from statistics import median, quantiles
from urllib.parse import quote

from benchmarks.figures import Figure, Target, figure_of
from benchmarks.open_page import shown_after_ms
from benchmarks.scale import Scale
from benchmarks.serving import PATIENCE_S, Server, serving
from benchmarks.stored_trail import TrailShape, job_id, resource_id, store_trail
from benchmarks.workbench import CONSUMER, BenchmarkError, Lane, MeasuredProcess, Workbench

REQUESTS_PER_S = 20
EVENTS_PER_S = 1000
PER_PAGE = 50
DEEP_READS = 40
_JOBS_PER_RESOURCE = 5
_DAYS = 30


def web_pages(workbench: Workbench, scale: Scale) -> Iterator[Figure]:
    """Ask for pages at a steady rate while the consumer takes in 1,000 events per second.

    Args:
        workbench: The services.
        scale: How much is stored, and how long it is measured.

    Yields:
        The figures.
    """
    lane = workbench.lane("web")
    shape = TrailShape(
        jobs=scale.web_jobs,
        updates_per_job=5,
        jobs_per_resource=_JOBS_PER_RESOURCE,
        begun_at=datetime.now(UTC) - timedelta(days=_DAYS),
        interval_s=_DAYS * 86400 / scale.web_jobs,
    )
    workbench.say(f"web: storing {shape.jobs:,} jobs with {shape.events:,} events")
    store_trail(workbench, lane, shape)
    workbench.checkpoint()
    with serving(workbench, lane) as (server, web):
        workbench.say(f"web: {REQUESTS_PER_S} pages/s for {scale.web_s:g} s beside {EVENTS_PER_S:,} events/s")
        took_ms = _beside_ingest(workbench, lane, scale, lambda: _ask_for_pages(server, web, shape, scale.web_s))
        for page, values in took_ms.items():
            yield figure_of(
                [quantiles(values, n=100)[94]],
                f"web_pages.{page}_p95",
                "ms",
                f"the {page} page, {shape.jobs:,} jobs stored, beside ingest: 95 of 100 within",
                Target("less than", 50),
            )
        workbench.say(f"web: page {scale.web_deep_page:,} of the jobs list and page 1 in turns")
        yield figure_of(
            _deep_against_first(server, scale.web_deep_page),
            "web_pages.deep_ratio",
            "x",
            f"page {scale.web_deep_page:,} of the jobs list, compared with page 1",
            Target("less than", 1.5),
        )
        yield figure_of([web.peak_memory_mb()], "web_pages.memory", "MB", "resident memory of the web")
    workbench.drop(lane)


def web_shown(workbench: Workbench, scale: Scale) -> Iterator[Figure]:
    """Send updates of a running job whose page is open in a browser.

    Args:
        workbench: The services.
        scale: How many updates.

    Yields:
        The figures.
    """
    lane = workbench.lane("shown")
    workbench.say(f"web shown: {scale.shown_updates} updates of a job whose page is open in chromium")
    with serving(workbench, lane) as (server, _web), workbench.running(lane, *CONSUMER):
        percentiles = quantiles(
            shown_after_ms(lane, server.address, workbench.folder / "spool", scale.shown_updates), n=100
        )
    yield figure_of(
        [percentiles[94]],
        "web_shown.p95",
        "ms",
        "from publish to shown in an open page: 95 of 100 within",
        Target("less than", 300),
    )
    yield figure_of([percentiles[49]], "web_shown.p50", "ms", "the same: half of them within")
    workbench.drop(lane)


def _beside_ingest(
    workbench: Workbench, lane: Lane, scale: Scale, measure: Callable[[], dict[str, list[float]]]
) -> dict[str, list[float]]:
    events = workbench.client[lane.database]["extractions"]
    before = events.estimated_document_count()
    load = ("benchmarks.paced_load", "updates", str(EVENTS_PER_S), str(scale.web_s + PATIENCE_S))
    with workbench.running(lane, *CONSUMER):
        loading = workbench.spawn(lane, *load)
        try:
            deadline = time.monotonic() + PATIENCE_S
            while events.estimated_document_count() - before < EVENTS_PER_S:
                if time.monotonic() > deadline:
                    raise BenchmarkError("the consumer stores nothing")
                time.sleep(0.1)
            stored, begun_at = events.estimated_document_count(), time.monotonic()
            found = measure()
            rate = (events.estimated_document_count() - stored) / (time.monotonic() - begun_at)
        finally:
            loading.stop(0)
    if rate < EVENTS_PER_S * 0.9:
        raise BenchmarkError(f"only {rate:.0f} events/s were stored meanwhile")
    return found


def _ask_for_pages(server: Server, web: MeasuredProcess, shape: TrailShape, seconds: float) -> dict[str, list[float]]:
    chosen = random.Random(20261122)  # the same pages in each run
    pages: dict[str, Callable[[], str]] = {
        "jobs": lambda: "/jobs",
        "resource": lambda: f"/resources/{quote(resource_id(chosen.randrange(shape.jobs), shape))}",
        "job": lambda: f"/jobs/{quote(job_id(chosen.randrange(shape.jobs)))}",
    }
    for path in pages.values():
        server.get(path())  # templates are compiled, connections opened
    took_ms: dict[str, list[float]] = {name: [] for name in pages}
    names = list(pages)
    begun_at = time.perf_counter()
    for number in range(round(REQUESTS_PER_S * seconds)):
        ahead_s = begun_at + number / REQUESTS_PER_S - time.perf_counter()
        if ahead_s > 0:
            time.sleep(ahead_s)
        web.check()
        name = names[number % len(names)]
        took_ms[name].append(server.get(pages[name]())[1])
    return took_ms


def _deep_against_first(server: Server, number: int) -> list[float]:
    """Walk to a deep page by its cursors, and compare reading it with reading the first one, in three rounds."""
    first = path = f"/api/v1/jobs?limit={PER_PAGE}"
    # A thousand jobs at a time: where a page begins does not depend on how big the pages before it were.
    for _ in range(max(1, (number - 1) * PER_PAGE // 1000)):
        body, _took = server.get(f"/api/v1/jobs?limit=1000{_after(path)}")
        path = f"/api/v1/jobs?limit={PER_PAGE}&cursor={quote(json.loads(body)['next'])}"
    ratios = []
    for _ in range(3):
        took: dict[str, list[float]] = {first: [], path: []}
        for _ in range(DEEP_READS):
            for which, values in took.items():
                values.append(server.get(which)[1])
        ratios.append(median(took[path]) / median(took[first]))
    return ratios


def _after(path: str) -> str:
    _, cursor, value = path.partition("&cursor=")
    return cursor + value
