"""Simulates the console and the analyzer: requests datasets, advances them, and submits jobs for some of them."""

import asyncio
import logging
import random
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import uuid4

from jobtrail.models.datasets.seed import Seed, SeedDataset, SeedGroup, SeedSchedule, SeedUser
from jobtrail.models.errors import NotFoundError, SettingError, UnreachableError
from jobtrail.models.settings import Settings, load_settings
from jobtrail.publisher.connection import open_channel
from jobtrail.publisher.submission import submit
from jobtrail.stack.demo import digest, flaky
from jobtrail.stack.demo.analyzer import AnalyzerSimulator, Plan
from jobtrail.stack.demo.until_sigterm import run_until_sigterm
from jobtrail.store.database import Database
from jobtrail.store.datasets.console import Console
from jobtrail.store.datasets.jobs import DatasetJobs
from jobtrail.store.datasets.seed import DatasetSeeder

_GROUPS = (
    SeedGroup(
        name="Vintage cameras",
        training_schedule="weekly",
        users=(SeedUser(id="amara", email="amara@demo.example"), SeedUser(id="bruno", email="bruno@demo.example")),
        viewpoints=("price", "condition"),
    ),
    SeedGroup(
        name="Mechanical keyboards",
        training_schedule="manual",
        is_manual_request=True,
        users=(SeedUser(id="chen", email="chen@demo.example"), SeedUser(id="dalia")),
        viewpoints=("demand",),
        required_extractors=(digest.NAME, flaky.NAME),
    ),
)
_SCHEDULES = (SeedSchedule(group="Mechanical keyboards"),)
_FAILURES = (
    "only 3 of 40 items have a usable picture",
    "the crawler was blocked by shop.example after 12 pages",
    "the training did not converge: loss 0.83 after 50 epochs",
)
_MAX_OPEN = 4
_PAUSE_S = (4.0, 9.0)
"""Seconds between two new datasets."""
_TICK_S = 0.5
"""Seconds after which the analyzer knows a dataset that was requested elsewhere."""
_FAILING_SHARE = 0.2
_JOB_S = (2.0, 6.0)
_JOBS_SHARE = 0.8
"""The share of datasets that the demo's workers work on too; the others are completed by the analyzer alone."""
_LOST_FILE_SHARE = 0.15
_chance = random.SystemRandom()
logger = logging.getLogger(__name__)


@dataclass(slots=True, frozen=True, kw_only=True)
class Wish:
    """A dataset that will be requested."""

    group: SeedGroup
    plan: Plan
    jobs: tuple[str, ...]
    """The extractors that work on it."""
    job_s: float = 0.0
    """Seconds that each of them takes."""
    file_is_lost: bool = False
    """Whether they find no file: then the jobs disagree with the analyzer."""


class Population:
    """The users who request datasets."""

    def __init__(self, settings: Settings, console: Console, analyzer: AnalyzerSimulator) -> None:
        self._settings = settings
        self._seeder = DatasetSeeder(console)
        self._jobs = DatasetJobs(console)
        self._analyzer = analyzer
        self._known: set[str] = set()
        self._wishes = _wishes()
        self._folder = settings.data_dir / "demo" / "datasets"

    async def live(self) -> None:
        """Request datasets now and then, until cancelled."""
        await self._prepare()
        clock = asyncio.get_running_loop().time
        due_at = clock()
        while True:
            try:
                open_count = await self._adopt()
                if open_count < _MAX_OPEN and clock() >= due_at:
                    await self._ask(next(self._wishes))
                    due_at = clock() + _chance.uniform(*_PAUSE_S)
            except UnreachableError as error:
                logger.warning("No new datasets for now: %s", error)
            await asyncio.sleep(_TICK_S)

    async def _prepare(self) -> None:
        """Write the files that the workers need, and wait until updates are stored."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for group in _GROUPS:
            (self._folder / _file_name(group)).write_text(group.model_dump_json(indent=2))
        while not await asyncio.to_thread(self._queues_are_there):
            await self._adopt()
            await asyncio.sleep(_TICK_S)

    def _queues_are_there(self) -> bool:
        try:
            with open_channel(self._settings.require_amqp_url(), "demo.console") as channel:
                for stream in self._settings.reply_streams:
                    channel.queue_declare(stream, passive=True)
                for queue in (digest.NAME, flaky.NAME):
                    channel.queue_declare(queue, durable=True)
        except NotFoundError:
            return False
        return True

    async def _adopt(self) -> int:
        """Add open datasets of an earlier run or requested by hand to the analyzer; return how many are open."""
        open_ids = set(await self._jobs.open_ids())
        for dataset_id in open_ids - self._known:
            self._analyzer.add(dataset_id, _plan())
        self._known = open_ids
        return len(open_ids)

    async def _ask(self, wish: Wish) -> None:
        group = wish.group
        dataset_id = f"{_slug(group)}-{uuid4().hex[:8]}"
        # First of all, because the analyzer must know a dataset before it is asked about it.
        self._analyzer.add(dataset_id, wish.plan)
        self._known.add(dataset_id)
        dataset = SeedDataset(dataset_id=dataset_id, group=group.name)
        await self._seeder.plant(Seed(groups=_GROUPS, datasets=(dataset,), crawler_schedules=_SCHEDULES))
        for queue in wish.jobs:
            await asyncio.to_thread(self._submit, queue, dataset_id, wish)

    def _submit(self, queue: str, dataset_id: str, wish: Wish) -> None:
        path = self._folder / ("lost.json" if wish.file_is_lost else _file_name(wish.group))
        submit(
            self._settings.require_amqp_url(),
            queue,
            resource_id=dataset_id,
            resource_type="dataset",
            user_id=wish.group.users[0].id,
            parameters={"path": str(path), "duration_s": round(wish.job_s, 1)},
            filename=path.name,
            reply_queue=self._settings.reply_stream,
            partitions=self._settings.reply_partitions,
        )


def _wishes() -> Iterator[Wish]:
    """Begin with one that completes soon, so that a newcomer sees a whole dataset; continue at random."""
    yield Wish(group=_GROUPS[0], plan=Plan(pending_s=1, analyzing_s=3), jobs=(flaky.NAME,), job_s=4.5)
    while True:
        group = _chance.choice(_GROUPS)
        watched = _chance.random() < _JOBS_SHARE
        yield Wish(
            group=group,
            plan=_plan(),
            jobs=(group.required_extractors or (_chance.choice((digest.NAME, flaky.NAME)),)) if watched else (),
            job_s=_chance.uniform(*_JOB_S),
            file_is_lost=_chance.random() < _LOST_FILE_SHARE,
        )


def _plan() -> Plan:
    message = _chance.choice(_FAILURES) if _chance.random() < _FAILING_SHARE else None
    return Plan(pending_s=_chance.uniform(1, 3), analyzing_s=_chance.uniform(4, 12), error_message=message)


def _slug(group: SeedGroup) -> str:
    return group.name.lower().replace(" ", "-")


def _file_name(group: SeedGroup) -> str:
    return f"{_slug(group)}.json"


async def play() -> None:
    """Answer as the analyzer at `JOBTRAIL_ANALYZER_URL`, and request datasets, until cancelled."""
    settings = load_settings()
    if settings.analyzer_url is None or settings.analyzer_token is None:
        raise SettingError("the demo's console needs JOBTRAIL_ANALYZER_URL and JOBTRAIL_ANALYZER_TOKEN")
    port = urlsplit(settings.analyzer_url).port or 0
    async with (
        Database(settings.require_mongo_url(), settings.database) as database,
        AnalyzerSimulator(settings.analyzer_token.get_secret_value(), port=port) as analyzer,
    ):
        await Population(settings, Console(database, settings), analyzer).live()


if __name__ == "__main__":
    run_until_sigterm(play())
