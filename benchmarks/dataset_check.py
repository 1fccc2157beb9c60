"""Checks all open datasets once and prints how long that took: `python -m benchmarks.dataset_check run|single`.

`run` is JobTrail's own; `single` asks, decides and writes one dataset after another, with the same parts.
"""

import asyncio
import json
import resource
import sys
import time
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry

from jobtrail.cli.services.logs import set_up_logs
from jobtrail.models.datasets.change import News
from jobtrail.models.settings import Settings, load_settings
from jobtrail.reconciler.analyzer import Analyzer
from jobtrail.reconciler.channels.configured import channels_on
from jobtrail.reconciler.decision import DecisionOutcome, decide
from jobtrail.reconciler.planner import plan_change
from jobtrail.reconciler.service import reconciler_parts
from jobtrail.store.database import Database
from jobtrail.store.datasets.console import Console
from jobtrail.store.datasets.datasets import DatasetRepository


async def run(settings: Settings) -> int:
    """Check as `jobtrail dataset:get-status` does.

    Args:
        settings: Where.

    Returns:
        How many were checked.
    """
    async with reconciler_parts(settings, CollectorRegistry()) as parts, parts.runner() as runner:
        return (await runner.run()).checked


async def single(settings: Settings) -> int:
    """Check one dataset after another.

    Args:
        settings: Where.

    Returns:
        How many were checked.
    """
    checked = 0
    async with Database(settings.require_mongo_url(), settings.database) as database, Analyzer(settings) as analyzer:
        datasets = DatasetRepository(Console(database, settings))
        inquiry = analyzer.inquiry()
        async for histories, _ in datasets.open():
            groups, _ = await datasets.groups({history.group_key for history in histories})
            for history in histories:
                answer = await inquiry.ask(history.dataset_id)
                decision = decide(history, answer, None)
                if decision.outcome is DecisionOutcome.CHANGED:
                    change = plan_change(
                        history,
                        groups[history.group_key],
                        decision,
                        [answer],
                        run_id="single",
                        at=datetime.now(UTC),
                        channels=channels_on(settings),
                    )
                    await datasets.apply([change])
                else:
                    await datasets.note([News(history=history, answers=[answer], progress=answer.progress)])
                checked += 1
    return checked


def main() -> None:
    """Measure and print one JSON object."""
    settings = load_settings()
    set_up_logs(settings)
    begun_at = time.perf_counter()
    checked = asyncio.run({"run": run, "single": single}[sys.argv[1]](settings))
    seconds = time.perf_counter() - begun_at
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(f"{json.dumps({'checked': checked, 'seconds': seconds, 'memory_mb': memory_mb})}\n")


if __name__ == "__main__":
    main()
