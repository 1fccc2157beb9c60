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
from jobtrail.reconciler.decision import Decision, DecisionOutcome, decide, decide_for_now
from jobtrail.reconciler.inquiry import Inquiry
from jobtrail.reconciler.planner import as_failure, plan_change, plan_failure
from jobtrail.reconciler.report import Run
from jobtrail.store.datasets.datasets import DatasetRepository, with_since
from jobtrail.store.datasets.jobs import DatasetJobs

log = structlog.get_logger()

_CHUNKS_AHEAD = 2
"""Chunks whose answers are on their way while another one is written."""
_RELOOK_LEAST_S = 1.0
_RELOOK_MOST_S = 300.0


@dataclass(slots=True, kw_only=True)
class _Heard:
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
    def rests(self) -> bool:
        """Whether no job is at work any more, so that the API may well tell an end."""
        return self.quiet_at is not None or _says_end(self.events)

    @property
    def answers(self) -> Sequence[Answer]:
        return [answer for answer in (self.api, self.events) if answer is not None]


class Reconciler:
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
        self, run: Run, inquiry: Inquiry | None, dataset_ids: Collection[str] | None = None, *, for_now: bool = False
    ) -> dict[str, datetime]:
        """Check open datasets.

        `inquiry`: asks the API; None where it is not to be asked. `dataset_ids`: only these; None means all. Returns
        when to look again at datasets about which the jobs have not said their last word.
        """
        look_again: dict[str, datetime] = {}
        for_now = for_now and StatusSource.API in self._sources
        hearing: deque[asyncio.Task[Sequence[_Heard]]] = deque()
        try:
            async for histories, broken in self._datasets.open(dataset_ids):
                for error in broken:
                    _note_broken(run, error)
                hearing.append(asyncio.create_task(self._hear(run, inquiry, histories)))
                if len(hearing) > _CHUNKS_AHEAD:
                    look_again |= await self._settle(run, await hearing.popleft(), for_now=for_now)
            while hearing:
                look_again |= await self._settle(run, await hearing.popleft(), for_now=for_now)
        finally:
            for task in hearing:
                task.cancel()
            await asyncio.gather(*hearing, return_exceptions=True)
        return look_again

    async def _hear(self, run: Run, inquiry: Inquiry | None, histories: Sequence[History]) -> Sequence[_Heard]:
        groups, broken = await self._datasets.groups({history.group_key for history in histories})
        heard: list[_Heard] = []
        for history in histories:
            if history.group_key in broken:
                _note_broken(run, broken[history.group_key], history)
                continue
            group = groups.get(history.group_key) or Group(key=history.group_key, name=str(history.group_key))
            heard.append(_Heard(history=history, group=group))
        if StatusSource.EVENTS in self._sources:
            await self._hear_jobs(heard)
        if inquiry is not None:
            await asyncio.gather(*(self._ask(run, inquiry, each) for each in heard))
        return heard

    async def _hear_jobs(self, heard: Sequence[_Heard]) -> None:
        jobs = await self._jobs.read([each.history.dataset_id for each in heard])
        now = datetime.now(UTC)
        for each in heard:
            verdict = answer_by_jobs(
                jobs.get(each.history.dataset_id, ()),
                required=each.group.required_extractors,
                now=now,
                quiet_s=self._settings.dataset_quiet_s,
            )
            each.events = verdict.answer
            each.quiet_at = verdict.due_at

    async def _ask(self, run: Run, inquiry: Inquiry, heard: _Heard) -> None:
        dataset_id = heard.history.dataset_id
        try:
            heard.api = await inquiry.ask(dataset_id)
        except NotAskedError as error:
            heard.asked = False
            heard.api = _problem(error)
        except AnalyzerError as error:
            heard.api = _problem(error)
            log.error(
                "The API gave no answer",
                action=error.kind.action,
                run_id=run.id,
                dataset_id=dataset_id,
                error=error.detail,
            )
            run.wrong(error.kind, error.detail, dataset_id, heard.group.name)

    async def _settle(self, run: Run, heard: Sequence[_Heard], *, for_now: bool) -> dict[str, datetime]:
        """Decide about a chunk and write what follows; return when to look at which again."""
        now = datetime.now(UTC)
        changes: list[Change] = []
        news: list[News] = []
        refusals: list[CreationLog] = []
        look_again: dict[str, datetime] = {}
        for each in heard:
            decision = (
                decide_for_now(each.history, each.events) if for_now else decide(each.history, each.api, each.events)
            )
            if for_now and each.rests:
                run.to_ask.add(each.history.dataset_id)
            if (due := each.quiet_at if for_now else self._look_again_at(each, decision, now)) is not None:
                look_again[each.history.dataset_id] = due
            if decision.outcome is DecisionOutcome.CHANGED:
                plan = plan_change(
                    each.history, each.group, decision, each.answers, run_id=run.id, at=now, channels=self._channels
                )
                changes.append(plan)
                continue
            if decision.outcome is DecisionOutcome.INVALID and not _known(each):
                refusals.append(self._note_invalid(run, each, decision, now))
            if each.answers:
                news.append(
                    News(history=each.history, answers=each.answers, progress=_progress(each.history, decision))
                )
            self._count(run, each, decision)
        names = {each.history.dataset_id: each.group.name for each in heard}
        await self._apply(run, changes, names)
        await self._keep(run, news, refusals)
        run.tell_progress()
        return look_again

    def _look_again_at(self, heard: _Heard, decision: Decision, now: datetime) -> datetime | None:
        """When to look at a dataset again, without waiting for news of its jobs or for the next run."""
        if decision.status.is_end or heard.events is None or not heard.rests:
            return None
        api_answers = heard.api is not None and heard.api.status is not None
        if heard.quiet_at is not None and not api_answers:
            return heard.quiet_at
        # The jobs are done and the API does not say so yet: it is asked again, ever less often.
        pause_s = (now - self._rest_since(heard, heard.events)).total_seconds() / 2
        again_at = now + timedelta(seconds=min(max(pause_s, _RELOOK_LEAST_S), _RELOOK_MOST_S))
        return again_at if heard.quiet_at is None else min(again_at, heard.quiet_at)

    def _rest_since(self, heard: _Heard, events: Answer) -> datetime:
        if heard.quiet_at is not None:
            return heard.quiet_at - timedelta(seconds=self._settings.dataset_quiet_s)
        return with_since(events, heard.history.answers.get(StatusSource.EVENTS)).since or events.at

    def _count(self, run: Run, heard: _Heard, decision: Decision) -> None:
        outcome = decision.outcome
        if outcome is DecisionOutcome.UNANSWERED and not heard.asked:
            outcome = DecisionOutcome.NOT_ASKED
        run.outcomes[outcome] += 1
        run.statuses[decision.status] += 1
        log.debug(
            "No status change",
            action="dataset.unchanged",
            run_id=run.id,
            dataset_id=heard.history.dataset_id,
            status=decision.status.value,
            outcome=outcome.value,
            reason=decision.reason,
        )

    def _note_invalid(self, run: Run, heard: _Heard, decision: Decision, now: datetime) -> CreationLog:
        dataset_id = heard.history.dataset_id
        log.error(
            "Invalid status transition",
            action=AlertKind.INVALID_TRANSITION.action,
            run_id=run.id,
            dataset_id=dataset_id,
            status=heard.history.status.value,
            reason=decision.reason,
        )
        run.wrong(AlertKind.INVALID_TRANSITION, decision.reason, dataset_id, heard.group.name)
        return plan_failure(heard.history, decision, run_id=run.id, at=now)

    async def _apply(self, run: Run, changes: Sequence[Change], wishlists: dict[str, str]) -> None:
        """Make changes together; if one is refused, halve them until that one stands alone."""
        if not changes:
            return
        began = perf_counter()
        try:
            made = await self._datasets.apply(changes)
        except ChangeRefusedError as error:
            if len(changes) == 1:
                await self._note_refused(run, changes[0], error, wishlists)
                return
            middle = len(changes) // 2
            await self._apply(run, changes[:middle], wishlists)
            await self._apply(run, changes[middle:], wishlists)
            return
        run.database_s.append(perf_counter() - began)
        for change in made:
            _note_made(run, change)
        if len(made) < len(changes):
            run.outcomes[DecisionOutcome.OVERTAKEN] += len(changes) - len(made)

    async def _note_refused(
        self, run: Run, change: Change, error: ChangeRefusedError, wishlists: dict[str, str]
    ) -> None:
        dataset_id = change.history.dataset_id
        log.error(
            "Status change rolled back",
            action=error.step.action,
            run_id=run.id,
            dataset_id=dataset_id,
            change=change.name,
            error=error.detail,
            batch_jobs=len(change.batch_jobs),
            notifications=len(change.notifications),
            messages=len(change.outbox),
        )
        run.outcomes[DecisionOutcome.REFUSED] += 1
        run.statuses[change.history.status] += 1
        run.wrong(error.step, error.detail, dataset_id, wishlists[dataset_id])
        if error.step is not AlertKind.LOG_FAILED:
            await self._keep(run, [], [as_failure(change.log, str(error))])

    async def _keep(self, run: Run, news: Sequence[News], refusals: Sequence[CreationLog]) -> None:
        """Keep what was said of datasets that do not change."""
        began = perf_counter()
        for write in (partial(self._datasets.log, refusals), partial(self._datasets.note, news)):
            try:
                await write()
            except ChangeRefusedError as error:
                action = error.step.action
                log.error("What the sources said was refused", action=action, run_id=run.id, error=error.detail)
                run.wrong(error.step, error.detail)
        if news:
            run.database_s.append(perf_counter() - began)


def _note_broken(run: Run, error: RecordError, history: History | None = None) -> None:
    """Note a history, or the group of one, that is not what it should be; the dataset stays as it is."""
    dataset_id = history.dataset_id if history else None
    log.error("A record is broken", action=AlertKind.BROKEN_RECORD.action, dataset_id=dataset_id, error=str(error))
    run.wrong(AlertKind.BROKEN_RECORD, str(error), dataset_id)
    if history is not None:
        run.outcomes[DecisionOutcome.REFUSED] += 1
        run.statuses[history.status] += 1


def _says_end(answer: Answer | None) -> bool:
    return answer is not None and answer.status is not None and answer.status.is_end


def _progress(history: History, decision: Decision) -> float | None:
    """Return how far the decisive answer says the dataset is; one that lags behind the stored status says nothing."""
    answer = decision.answer
    if answer is None or answer.status is None or transition(history.status, answer.status) is Transition.INVALID:
        return None
    return answer.progress


def _known(heard: _Heard) -> bool:
    """Whether the API has said the same before; then it was logged and alerted then."""
    before = heard.history.answers.get(StatusSource.API)
    return before is not None and heard.api is not None and before.status is heard.api.status


def _problem(error: AnalyzerError) -> Answer:
    return Answer(source=StatusSource.API, at=datetime.now(UTC), problem=error.kind, detail=error.detail)


def _note_made(run: Run, change: Change) -> None:
    run.outcomes[DecisionOutcome.CHANGED] += 1
    run.statuses[change.to_status] += 1
    run.changes[change.name] += 1
    log.info(
        "Dataset status changed",
        action="dataset.status_changed",
        run_id=run.id,
        dataset_id=change.history.dataset_id,
        change=change.name,
        source=change.ruling.source.value,
        reason=change.ruling.reason,
        batch_jobs=[job.job_id for job in change.batch_jobs],
        notifications=len(change.notifications),
        messages=len(change.outbox),
        schedules_cancelled=change.cancels_schedules,
    )
