"""Checks datasets: hears what the sources say, decides, and writes what follows, chunk by chunk."""

import asyncio
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from time import perf_counter

import structlog

from jobtrail.models.datasets.change import Change, News
from jobtrail.models.datasets.dataset import Answer, CreationLog, Group, History, StatusSource, Transition, transition
from jobtrail.models.datasets.jobs import answer_by_jobs
from jobtrail.models.errors import AnalyzerError, ChangeRefusedError, NotAskedError, RecordError
from jobtrail.models.notifications.alert import AlertKind
from jobtrail.models.settings import Settings
from jobtrail.reconciler.channels.base import NotificationChannel
from jobtrail.reconciler.decision import Decision, DecisionOutcome, decide, decide_before_api
from jobtrail.reconciler.inquiry import Inquiry
from jobtrail.reconciler.planner import as_failure, plan_change, plan_failure
from jobtrail.reconciler.report import RunReport
from jobtrail.store.datasets.datasets import DatasetRepository, with_since
from jobtrail.store.datasets.jobs import DatasetJobs

log = structlog.get_logger()

_CHUNKS_AHEAD = 2
"""Chunks whose answers are on their way while another one is written."""
_RELOOK_LEAST_S = 1.0
_RELOOK_MOST_S = 300.0


@dataclass(slots=True, kw_only=True)
class _Answers:
    """What the sources said of one dataset."""

    history: History
    group: Group
    api: Answer | None = None
    events: Answer | None = None
    asked: bool = True
    """Whether the API was asked, if it was to be."""
    quiet_at: datetime | None = None
    """When the jobs, all of them done, count as all there are, if no news comes until then."""

    @property
    def jobs_ended(self) -> bool:
        """Whether no job is at work any more, so that the API may well tell an end."""
        return self.quiet_at is not None or _says_end(self.events)

    @property
    def answers(self) -> Sequence[Answer]:
        return [answer for answer in (self.api, self.events) if answer is not None]


class DatasetChecker:
    """Checks datasets in the name of one run after another."""

    def __init__(
        self,
        settings: Settings,
        datasets: DatasetRepository,
        jobs: DatasetJobs,
        channels: Sequence[NotificationChannel],
    ) -> None:
        self._settings = settings
        self._sources = settings.dataset_sources
        self._channels = channels
        self._datasets = datasets
        self._jobs = jobs

    async def check(
        self,
        report: RunReport,
        inquiry: Inquiry | None,
        dataset_ids: Collection[str] | None = None,
        *,
        before_api: bool = False,
    ) -> dict[str, datetime]:
        """Check open datasets.

        `inquiry`: asks the API; None where it is not to be asked. `dataset_ids`: only these; None means all. Returns
        when to look again at datasets about which the jobs have not said their last word.
        """
        look_again: dict[str, datetime] = {}
        before_api = before_api and StatusSource.API in self._sources
        asking: deque[asyncio.Task[Sequence[_Answers]]] = deque()
        try:
            async for histories, broken in self._datasets.open(dataset_ids):
                for error in broken:
                    _note_broken(report, error)
                asking.append(asyncio.create_task(self._ask_sources(report, inquiry, histories)))
                if len(asking) > _CHUNKS_AHEAD:
                    look_again |= await self._decide(report, await asking.popleft(), before_api=before_api)
            while asking:
                look_again |= await self._decide(report, await asking.popleft(), before_api=before_api)
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        return look_again

    async def _ask_sources(
        self, report: RunReport, inquiry: Inquiry | None, histories: Sequence[History]
    ) -> Sequence[_Answers]:
        groups, broken = await self._datasets.groups({history.group_key for history in histories})
        datasets: list[_Answers] = []
        for history in histories:
            if history.group_key in broken:
                _note_broken(report, broken[history.group_key], history)
                continue
            group = groups.get(history.group_key) or Group(key=history.group_key, name=str(history.group_key))
            datasets.append(_Answers(history=history, group=group))
        if StatusSource.EVENTS in self._sources:
            await self._ask_jobs(datasets)
        if inquiry is not None:
            await asyncio.gather(*(self._ask_api(report, inquiry, each) for each in datasets))
        return datasets

    async def _ask_jobs(self, datasets: Sequence[_Answers]) -> None:
        jobs = await self._jobs.read([each.history.dataset_id for each in datasets])
        now = datetime.now(UTC)
        for each in datasets:
            verdict = answer_by_jobs(
                jobs.get(each.history.dataset_id, ()),
                required=each.group.required_extractors,
                now=now,
                quiet_s=self._settings.dataset_quiet_s,
            )
            each.events = verdict.answer
            each.quiet_at = verdict.due_at

    async def _ask_api(self, report: RunReport, inquiry: Inquiry, dataset: _Answers) -> None:
        dataset_id = dataset.history.dataset_id
        try:
            dataset.api = await inquiry.ask(dataset_id)
        except NotAskedError as error:
            dataset.asked = False
            dataset.api = _problem(error)
        except AnalyzerError as error:
            dataset.api = _problem(error)
            log.error(
                "The API gave no answer",
                action=error.kind.action,
                run_id=report.id,
                dataset_id=dataset_id,
                error=error.detail,
            )
            report.note_error(error.kind, error.detail, dataset_id, dataset.group.name)

    async def _decide(
        self, report: RunReport, datasets: Sequence[_Answers], *, before_api: bool
    ) -> dict[str, datetime]:
        """Decide about a chunk and write what follows; return when to look at which again."""
        now = datetime.now(UTC)
        changes: list[Change] = []
        news: list[News] = []
        refusals: list[CreationLog] = []
        look_again: dict[str, datetime] = {}
        for each in datasets:
            decision = (
                decide_before_api(each.history, each.events)
                if before_api
                else decide(each.history, each.api, each.events)
            )
            if before_api and each.jobs_ended:
                report.to_ask.add(each.history.dataset_id)
            if (due := each.quiet_at if before_api else self._look_again_at(each, decision, now)) is not None:
                look_again[each.history.dataset_id] = due
            if decision.outcome is DecisionOutcome.CHANGED:
                plan = plan_change(
                    each.history, each.group, decision, each.answers, run_id=report.id, at=now, channels=self._channels
                )
                changes.append(plan)
                continue
            if decision.outcome is DecisionOutcome.INVALID and not _known(each):
                refusals.append(self._note_invalid(report, each, decision, now))
            if each.answers:
                news.append(
                    News(history=each.history, answers=each.answers, progress=_progress(each.history, decision))
                )
            self._count(report, each, decision)
        names = {each.history.dataset_id: each.group.name for each in datasets}
        await self._apply(report, changes, names)
        await self._keep(report, news, refusals)
        report.show_progress()
        return look_again

    def _look_again_at(self, dataset: _Answers, decision: Decision, now: datetime) -> datetime | None:
        """When to look at a dataset again, without waiting for news of its jobs or for the next run."""
        if decision.status.is_end or dataset.events is None or not dataset.jobs_ended:
            return None
        api_answers = dataset.api is not None and dataset.api.status is not None
        if dataset.quiet_at is not None and not api_answers:
            return dataset.quiet_at
        # The jobs are done and the API does not say so yet: it is asked again, ever less often.
        pause_s = (now - self._ended_since(dataset, dataset.events)).total_seconds() / 2
        again_at = now + timedelta(seconds=min(max(pause_s, _RELOOK_LEAST_S), _RELOOK_MOST_S))
        return again_at if dataset.quiet_at is None else min(again_at, dataset.quiet_at)

    def _ended_since(self, dataset: _Answers, events: Answer) -> datetime:
        if dataset.quiet_at is not None:
            return dataset.quiet_at - timedelta(seconds=self._settings.dataset_quiet_s)
        return with_since(events, dataset.history.answers.get(StatusSource.EVENTS)).since or events.at

    def _count(self, report: RunReport, dataset: _Answers, decision: Decision) -> None:
        outcome = decision.outcome
        if outcome is DecisionOutcome.UNANSWERED and not dataset.asked:
            outcome = DecisionOutcome.NOT_ASKED
        report.outcomes[outcome] += 1
        report.statuses[decision.status] += 1
        log.debug(
            "No status change",
            action="dataset.unchanged",
            run_id=report.id,
            dataset_id=dataset.history.dataset_id,
            status=decision.status.value,
            outcome=outcome.value,
            reason=decision.reason,
        )

    def _note_invalid(self, report: RunReport, dataset: _Answers, decision: Decision, now: datetime) -> CreationLog:
        dataset_id = dataset.history.dataset_id
        log.error(
            "Invalid status transition",
            action=AlertKind.INVALID_TRANSITION.action,
            run_id=report.id,
            dataset_id=dataset_id,
            status=dataset.history.status.value,
            reason=decision.reason,
        )
        report.note_error(AlertKind.INVALID_TRANSITION, decision.reason, dataset_id, dataset.group.name)
        return plan_failure(dataset.history, decision, run_id=report.id, at=now)

    async def _apply(self, report: RunReport, changes: Sequence[Change], wishlists: dict[str, str]) -> None:
        """Make changes together; if one is refused, halve them until that one stands alone."""
        if not changes:
            return
        began = perf_counter()
        try:
            made = await self._datasets.apply(changes)
        except ChangeRefusedError as error:
            if len(changes) == 1:
                await self._note_refused(report, changes[0], error, wishlists)
                return
            middle = len(changes) // 2
            await self._apply(report, changes[:middle], wishlists)
            await self._apply(report, changes[middle:], wishlists)
            return
        report.database_s.append(perf_counter() - began)
        for change in made:
            _note_made(report, change)
        if len(made) < len(changes):
            report.outcomes[DecisionOutcome.OVERTAKEN] += len(changes) - len(made)

    async def _note_refused(
        self, report: RunReport, change: Change, error: ChangeRefusedError, wishlists: dict[str, str]
    ) -> None:
        dataset_id = change.history.dataset_id
        log.error(
            "Status change rolled back",
            action=error.step.action,
            run_id=report.id,
            dataset_id=dataset_id,
            change=change.name,
            error=error.detail,
            batch_jobs=len(change.batch_jobs),
            notifications=len(change.notifications),
            messages=len(change.outbox),
        )
        report.outcomes[DecisionOutcome.REFUSED] += 1
        report.statuses[change.history.status] += 1
        report.note_error(error.step, error.detail, dataset_id, wishlists[dataset_id])
        if error.step is not AlertKind.LOG_FAILED:
            await self._keep(report, [], [as_failure(change.log, str(error))])

    async def _keep(self, report: RunReport, news: Sequence[News], refusals: Sequence[CreationLog]) -> None:
        """Keep what was said of datasets that do not change."""
        began = perf_counter()
        for write in (partial(self._datasets.log, refusals), partial(self._datasets.note, news)):
            try:
                await write()
            except ChangeRefusedError as error:
                action = error.step.action
                log.error("What the sources said was refused", action=action, run_id=report.id, error=error.detail)
                report.note_error(error.step, error.detail)
        if news:
            report.database_s.append(perf_counter() - began)


def _note_broken(report: RunReport, error: RecordError, history: History | None = None) -> None:
    """Note a history, or the group of one, that is not what it should be; the dataset stays as it is."""
    dataset_id = history.dataset_id if history else None
    log.error("A record is broken", action=AlertKind.BROKEN_RECORD.action, dataset_id=dataset_id, error=str(error))
    report.note_error(AlertKind.BROKEN_RECORD, str(error), dataset_id)
    if history is not None:
        report.outcomes[DecisionOutcome.REFUSED] += 1
        report.statuses[history.status] += 1


def _says_end(answer: Answer | None) -> bool:
    return answer is not None and answer.status is not None and answer.status.is_end


def _progress(history: History, decision: Decision) -> float | None:
    """Return how far the decisive answer says the dataset is; one that lags behind the stored status says nothing."""
    answer = decision.answer
    if answer is None or answer.status is None or transition(history.status, answer.status) is Transition.INVALID:
        return None
    return answer.progress


def _known(dataset: _Answers) -> bool:
    """Whether the API has said the same before; then it was logged and alerted then."""
    before = dataset.history.answers.get(StatusSource.API)
    return before is not None and dataset.api is not None and before.status is dataset.api.status


def _problem(error: AnalyzerError) -> Answer:
    return Answer(source=StatusSource.API, at=datetime.now(UTC), problem=error.kind, detail=error.detail)


def _note_made(report: RunReport, change: Change) -> None:
    report.outcomes[DecisionOutcome.CHANGED] += 1
    report.statuses[change.to_status] += 1
    report.changes[change.name] += 1
    log.info(
        "Dataset status changed",
        action="dataset.status_changed",
        run_id=report.id,
        dataset_id=change.history.dataset_id,
        change=change.name,
        source=change.ruling.source.value,
        reason=change.ruling.reason,
        batch_jobs=[job.job_id for job in change.batch_jobs],
        notifications=len(change.notifications),
        messages=len(change.outbox),
        schedules_cancelled=change.cancels_schedules,
    )
