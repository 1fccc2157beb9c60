"""One round of questions to the analyzer's API: tries again what may pass, and ends when asking on is no use."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from time import monotonic

import stamina
import structlog
from stamina.instrumentation import set_on_retry_hooks

from jobtrail.models.datasets.analyzer import Reply, read_reply
from jobtrail.models.datasets.dataset import Answer, valid_dataset_id
from jobtrail.models.errors import AnalyzerError, NotAskedError, RateLimitedError, SettingError
from jobtrail.models.notifications.alert import MEANINGS, AlertKind
from jobtrail.models.notifications.outbox import Timings
from jobtrail.reconciler.rate_gate import RateGate
from jobtrail.reconciler.report import timings
from jobtrail.runtime.sleep import sleep_until

log = structlog.get_logger()

ATTEMPTS = 3
"""How often one dataset is asked for, as long as the error may pass."""
MAX_FAILED_IN_A_ROW = 20
"""So many datasets in a row without an answer, and the API counts as down."""
_MAY_PASS = (AlertKind.API_SERVICE_ERROR, AlertKind.API_TIMEOUT)
_FIRST_PAUSE = 0.05
"""The first pause as a share of the longest."""

set_on_retry_hooks(())  # stamina would log each retry too, without the dataset's id


class Inquiry:
    """Asks for many datasets at the same time, as one run does.

    `longest_pause_s`: the longest pause between two attempts, in seconds. `patience_s`: seconds after which a dataset
    is given up that the API refuses for its rate; if no other one was answered meanwhile, so are all.
    """

    def __init__(
        self,
        exchange: Callable[[str], Awaitable[Reply]],
        slots: asyncio.Semaphore,
        *,
        longest_pause_s: float,
        patience_s: float,
    ) -> None:
        first_pause_s = longest_pause_s * _FIRST_PAUSE
        self._exchange = exchange
        self._first_pause_s = first_pause_s
        self._slots = slots
        self._patience_s = patience_s
        self._retrying = stamina.AsyncRetryingCaller(
            attempts=ATTEMPTS - 1,
            timeout=None,
            wait_initial=first_pause_s,
            wait_max=longest_pause_s,
            wait_jitter=first_pause_s,
        )
        self._gate = RateGate(first_pause_s, longest_pause_s)
        self._failed_in_a_row = 0
        self._durations_s: list[float] = []
        self._end: AnalyzerError | None = None
        self._ended = asyncio.Event()

    async def ask(self, dataset_id: str) -> Answer:
        """Ask for one dataset. Start as many at once as you like: they wait for their turn.

        Returns what the API says. Raises `NotAskedError`: another dataset's error ended the inquiry. Raises
        `AnalyzerError`: there is no answer, after all attempts; the `kind` tells why.
        """
        try:
            valid_dataset_id(dataset_id)
        except SettingError as error:
            raise AnalyzerError(AlertKind.INVALID_DATASET_ID, str(error)) from error
        async with self._slots:
            try:
                answer = await self._attempts(dataset_id)
            except NotAskedError:
                raise
            except AnalyzerError as error:
                self._judge(error)
                raise
        self._failed_in_a_row = 0
        return answer

    def timings(self) -> Timings:
        """Return how long the API took for its replies so far."""
        return timings(self._durations_s)

    async def _attempts(self, dataset_id: str) -> Answer:
        numbers = count(1)
        try:
            return await self._attempt(dataset_id, numbers)
        except AnalyzerError as error:
            if not _may_pass(error):
                raise
        # stamina's work per call is a fifth of an exchange's, so only what failed once goes through it.
        await asyncio.sleep(self._first_pause_s)
        return await self._retrying(_may_pass, self._attempt, dataset_id, numbers)

    async def _attempt(self, dataset_id: str, numbers: Iterator[int]) -> Answer:
        number = next(numbers)
        refused_at: float | None = None
        while True:
            await self._turn()
            log.debug("asking the analyzer API", action="dataset.api_asked", dataset_id=dataset_id, attempt=number)
            sent_at = monotonic()
            try:
                return await self._ask_once(dataset_id)
            except RateLimitedError as error:
                if self._gate.refuse(sent_at, error.retry_after_s):
                    _log_failure(error, dataset_id, number, wait_s=round(self._gate.wait_s, 2))
                refused_at = refused_at or sent_at
                if self._gate.opens_at - refused_at > self._patience_s:
                    raise
            except AnalyzerError as error:
                _log_failure(error, dataset_id, number)
                raise

    async def _turn(self) -> None:
        """Wait until the gate is open or the inquiry has ended."""
        while self._end is None and (wait_s := self._gate.wait_s) > 0:
            await sleep_until(wait_s, self._ended)
        if self._end is not None:
            raise NotAskedError(self._end.kind, f"not asked, as the API had failed before: {self._end.detail}")

    async def _ask_once(self, dataset_id: str) -> Answer:
        reply = await self._exchange(dataset_id)
        self._durations_s.append(reply.duration_s)
        answer = read_reply(reply, dataset_id)
        self._gate.answered()
        log.debug(
            "the analyzer API answered",
            action="dataset.api_answered",
            dataset_id=dataset_id,
            status=answer.status,
            progress=answer.progress,
            duration_ms=round(reply.duration_s * 1000, 1),
        )
        return answer

    def _judge(self, error: AnalyzerError) -> None:
        """End the inquiry where a dataset's error says that all following ones would fail too."""
        self._failed_in_a_row = self._failed_in_a_row + 1 if _may_pass(error) else 0
        is_over = (
            error.kind is AlertKind.API_AUTHENTICATION
            or self._failed_in_a_row >= MAX_FAILED_IN_A_ROW
            or (error.kind is AlertKind.API_RATE_LIMITED and self._gate.futile_s > self._patience_s)
        )
        if is_over and self._end is None:
            self._end = error
            self._ended.set()


def _may_pass(error: Exception) -> bool:
    return isinstance(error, AnalyzerError) and not isinstance(error, NotAskedError) and error.kind in _MAY_PASS


def _log_failure(error: AnalyzerError, dataset_id: str, number: int, **more: object) -> None:
    log.warning(
        "the analyzer API gave no answer",
        action="dataset.api_attempt_failed",
        kind=error.kind,
        dataset_id=dataset_id,
        attempt=number,
        attempts=ATTEMPTS if _may_pass(error) else number,
        error=error.detail,
        response=error.response,
        advice=MEANINGS[error.kind].steps[0],
        **more,
    )
