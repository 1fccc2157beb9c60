"""How fast datasets are checked, and how fast job events reach them."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import quantiles
from typing import Any

from benchmarks.figures import Figure, Target, figure_of
from benchmarks.paced_load import SENT, dataset_id
from benchmarks.scale import Scale
from benchmarks.workbench import CONSUMER, RECONCILER, BenchmarkError, Lane, Workbench
from jobtrail.stack.ports import answers, free_port

API_DELAY_S = 0.02
RATE_PER_S = 100
"""Updates per second; two of them make a dataset fail."""
PATIENCE_S = 30.0


@dataclass(slots=True, frozen=True)
class Checked:
    """What one check of all datasets took."""

    checked: int
    seconds: float
    memory_mb: float

    @property
    def per_s(self) -> float:
        """Datasets per second."""
        return self.checked / self.seconds


def dataset_run(workbench: Workbench, scale: Scale) -> Iterator[Figure]:
    """Check many datasets against an API that takes 20 ms per answer, and few of them one after another.

    Args:
        workbench: The services.
        scale: How many.

    Yields:
        The figures.
    """
    ours: list[Checked] = []
    single: list[Checked] = []
    port = free_port()
    api = workbench.lane("api")
    with workbench.running(api, "benchmarks.slow_api", str(port), str(API_DELAY_S)):
        _await_port(port)
        for number in range(scale.rounds):
            workbench.say(f"dataset run, round {number + 1} of {scale.rounds}: {scale.datasets:,} datasets")
            ours.append(_check(workbench, scale.datasets, port, "run"))
            single.append(_check(workbench, scale.single_datasets, port, "single"))
    yield figure_of(
        [mine.per_s / other.per_s for mine, other in zip(ours, single, strict=True)],
        "dataset_run.ratio",
        "x",
        "datasets checked per second, compared with one after another",
        Target("at least", 20),
    )
    yield figure_of([each.per_s for each in ours], "dataset_run.per_s", "datasets/s", "checked by one run")
    yield figure_of([each.per_s for each in single], "dataset_run.single_per_s", "datasets/s", "one after another")
    yield figure_of(
        [each.memory_mb for each in ours],
        "dataset_run.memory",
        "MB",
        f"resident memory of a run over {scale.datasets:,} datasets",
        Target("less than", 200),
    )


def dataset_latency(workbench: Workbench, scale: Scale) -> Iterator[Figure]:
    """Let datasets fail by their jobs, and watch their histories change.

    Args:
        workbench: The services.
        scale: How long.

    Yields:
        The figures.
    """
    lane = workbench.lane("dataset_latency")
    count = int(RATE_PER_S * scale.failing_datasets_s / 2)
    workbench.say(f"dataset latency: {count:,} datasets fail in {scale.failing_datasets_s:g} s")
    _make_datasets(workbench, lane, count)
    latencies_ms = _watch(workbench, lane, count, scale.failing_datasets_s)
    percentiles = quantiles(latencies_ms, n=100)
    yield figure_of(
        [percentiles[98]],
        "dataset_latency.p99",
        "ms",
        "from a job's last update to the dataset's change: 99 of 100 within",
        Target("less than", 1000),
    )
    yield figure_of([percentiles[49]], "dataset_latency.p50", "ms", "the same: half of them within")
    workbench.drop(lane)


def _check(workbench: Workbench, count: int, port: int, how: str) -> Checked:
    lane = workbench.lane(how)
    _make_datasets(workbench, lane, count)
    api = {
        "JOBTRAIL_ANALYZER_URL": f"http://127.0.0.1:{port}",
        "JOBTRAIL_ANALYZER_TOKEN": "bench",
        "JOBTRAIL_DATASET_SOURCE": "api",
    }
    command = [sys.executable, "-m", "benchmarks.dataset_check", how]
    done = subprocess.run(
        command, env=lane.environment() | api, cwd=workbench.folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BenchmarkError(f"the check failed:\n{done.stderr[-2000:]}")
    workbench.drop(lane)
    checked = Checked(**json.loads(done.stdout))
    if checked.checked != count:
        raise BenchmarkError(f"only {checked.checked:,} of {count:,} datasets were checked")
    return checked


def _make_datasets(workbench: Workbench, lane: Lane, count: int) -> None:
    console = workbench.client[lane.console_database]
    group = console["wishlist_to_groups"].insert_one({"name": "Bench", "users": [{"id": "ada"}]}).inserted_id
    at = datetime.now(UTC) - timedelta(hours=1)
    history = {"wishlist_to_group_id": group, "status": "Analyzing", "created_at": at, "updated_at": at}
    console["wishlist_dataset_histories"].insert_many(
        {"dataset_id": dataset_id(number), **history} for number in range(count)
    )


def _watch(workbench: Workbench, lane: Lane, count: int, seconds: float) -> list[float]:
    """Return how long each dataset's failure took from the job's update to the history's change, in milliseconds."""
    pipeline = [{"$match": {"updateDescription.updatedFields.status": "Failed"}}]
    histories = workbench.client[lane.console_database]["wishlist_dataset_histories"]
    jobs = workbench.client[lane.database]["leases"]
    with (
        histories.watch(pipeline, max_await_time_ms=200) as changes,
        workbench.running(lane, *CONSUMER),
        workbench.running(lane, *RECONCILER),
    ):
        deadline = time.monotonic() + PATIENCE_S
        while jobs.count_documents({"_id": "dataset events", "holder": {"$ne": None}}) == 0:
            if time.monotonic() > deadline:
                raise BenchmarkError("the reconciler does not watch")
            time.sleep(0.1)
        with workbench.running(lane, "benchmarks.paced_load", "datasets", str(RATE_PER_S), str(seconds)):
            latencies_ms: list[float] = []
            deadline = time.monotonic() + seconds + PATIENCE_S
            while len(latencies_ms) < count:
                change: Any = changes.try_next()
                seen_ns = time.time_ns()
                if change is not None:
                    message = change["updateDescription"]["updatedFields"]["error_message"]
                    latencies_ms.append((seen_ns - int(message.partition(SENT)[2])) / 1e6)
                elif time.monotonic() > deadline:
                    raise BenchmarkError(f"only {len(latencies_ms):,} of {count:,} datasets failed")
            return latencies_ms


def _await_port(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not answers(port):
        if time.monotonic() > deadline:
            raise BenchmarkError("the slow API does not start")
        time.sleep(0.05)
