"""Runs a replay in this process, or follows it where another one runs it; Ctrl-C asks it to stop."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine

from jobtrail.cli.access.audit_log_note import ORIGIN, note, whoever
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.dead_letters.receipt import Receipt, outcome_words, receipt
from jobtrail.cli.exit_codes import ExitCode
from jobtrail.cli.output.progress import ProgressTeller
from jobtrail.cli.services.logs import set_up_logs
from jobtrail.deadletters.outcomes import OutcomeJudge
from jobtrail.deadletters.replayer import LOOK_S, Replayer
from jobtrail.models.dead_letters.dead_letter import LetterFilter
from jobtrail.models.dead_letters.replay import Replay, ReplayState
from jobtrail.models.errors import StoreError, TooLateError
from jobtrail.models.settings import Settings
from jobtrail.operations.dead_letter_acts import start_replay
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.replays import ReplayRepository

_POLL_S = 0.3
_OUTCOMES_WITHIN_S = 30.0
"""How long the command waits for outcomes; those of later are settled by the service."""
_CANCELLED_WITHIN_S = 10.0
_LOOKED_AT = 100


class ReplayRun:
    """One replay, as a command runs it.

    Args:
        settings: The settings.
        database: The trail's database.
        teller: Told how far it is.
    """

    def __init__(self, settings: Settings, database: Database, teller: ProgressTeller) -> None:
        self._settings = settings
        self._database = database
        self._teller = teller
        self._replays = ReplayRepository(database)
        self._judge = OutcomeJudge(settings, database)
        self._stop = asyncio.Event()
        self.presses = 0
        """How often somebody pressed Ctrl-C."""

    async def run(self, replay_id: str) -> None:
        """Run a replay to its end, and wait a while for what becomes of its letters.

        The first Ctrl-C asks it to stop, and lets the batch in hand finish; the second one leaves at once.

        Args:
            replay_id: The replay.
        """
        await self._interruptible(replay_id, self._to_its_end(replay_id))
        if not self.presses:
            await self._interruptible(replay_id, self._outcomes(replay_id))
        else:
            await self._judge.judge(replay_id)

    async def finish(self, replay_id: str, within_s: float) -> None:
        """See to it that a replay that was asked to stop does, also where nobody runs it.

        Args:
            replay_id: The replay.
            within_s: Seconds after which it is left to itself.
        """
        try:
            async with asyncio.timeout(within_s):
                await self._to_its_end(replay_id)
        except TimeoutError:
            return

    async def _interruptible(self, replay_id: str, work: Coroutine[None, None, None]) -> None:
        loop = asyncio.get_running_loop()
        working = loop.create_task(work)
        asking: list[asyncio.Task[None]] = []

        def press() -> None:
            self.presses += 1
            if self.presses == 1:
                self._teller.rename("Stopping after this batch (Ctrl-C again leaves at once)")
                asking.append(loop.create_task(self._ask_to_cancel(replay_id)))
            else:
                working.cancel()

        loop.add_signal_handler(signal.SIGINT, press)
        await asyncio.wait((working,))
        await asyncio.gather(*asking)
        if not working.cancelled():
            working.result()

    async def _ask_to_cancel(self, replay_id: str) -> None:
        try:
            await self._replays.ask_to_cancel(replay_id)
        except StoreError as error:
            sys.stderr.write(f"jobtrail: warning: the replay could not be asked to stop: {error}\n")

    async def _to_its_end(self, replay_id: str) -> None:
        replayer = Replayer(self._settings, self._database, self._stop, self._show)
        # The service may have taken it first; should that one die, it is taken here.
        while not await replayer.run(replay_id):
            replay = await self._replays.get(replay_id)
            self._show(replay)
            if replay.state.is_end:
                return
            await asyncio.sleep(_POLL_S)

    async def _outcomes(self, replay_id: str) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (waited_s := loop.time() - began) < _OUTCOMES_WITHIN_S:
            await self._judge.judge(replay_id)
            replay = await self._replays.get(replay_id)
            self._show(replay)
            if not replay.pending or self.presses:
                return
            awaited = await self._replays.awaited(limit=_LOOKED_AT, replay_id=replay_id)
            if waited_s > LOOK_S and not any(self._judge.is_observable(letter) for letter in awaited):
                return
            await asyncio.sleep(_POLL_S)

    def _show(self, replay: Replay) -> None:
        self._teller.total = replay.total
        self._teller.note(replay.sent)
        if not self.presses:
            words = outcome_words(replay)
            self._teller.rename(replay.detail or (f"Replaying: {words}" if words else "Replaying"))


async def show_replay(
    selection: LetterFilter,
    *,
    words: str,
    target: str | None,
    rate: float | None,
    staged: bool,
    include_repeated: bool,
    show: Callable[[Receipt], None],
) -> ExitCode:
    """Replay letters, and show the receipt.

    Args:
        selection: Which letters.
        words: How they were chosen, for the record.
        target: The queue they go to; None for where each came from.
        rate: Letters per second at the most; None for no limit.
        staged: Whether it waits for outcomes after the first and the tenth letter.
        include_repeated: Whether also those are sent that may be repetitions of others.
        show: Shows the receipt.

    Returns:
        What the process ends with.

    Raises:
        BusyError: Another replay has some of the letters in its hands.
        NotFoundError: There is no such letter.
        SettingError: A setting, the rate or the queue is wrong.
        StoreError: The database can't be reached.
    """
    settings = current_settings()
    settings.require_amqp_url()
    _set_up_logs(settings)
    async with open_database(settings) as database:
        replay = await start_replay(
            database,
            selection,
            who=whoever(),
            origin=ORIGIN,
            target=target,
            rate=rate,
            staged=staged,
            include_repeated=include_repeated,
        )
        details = {"replay": replay.id, "letters": str(replay.total)} | ({"to": target} if target else {})
        await note(database, "letters.replay", target=words, details=details)
        with ProgressTeller("Replaying") as teller:
            run = ReplayRun(settings, database, teller)
            await run.run(replay.id)
        found = await receipt(database, replay.id)
    show(found)
    if run.presses:
        return ExitCode.INTERRUPTED
    done = found.replay.state is ReplayState.DONE and not found.replay.failed
    return ExitCode.DONE if done else ExitCode.FAILED


async def cancel_replay(replay_id: str) -> Receipt:
    """Ask a replay to stop, and wait a moment until it has.

    Args:
        replay_id: The replay.

    Returns:
        The replay as it is then.

    Raises:
        NotFoundError: There is no such replay.
        TooLateError: It had ended.
        SettingError: A setting is wrong.
        StoreError: The database can't be reached.
    """
    settings = current_settings()
    settings.require_amqp_url()
    _set_up_logs(settings)
    async with open_database(settings) as database:
        asked = await ReplayRepository(database).ask_to_cancel(replay_id)
        if asked.state.is_end:
            raise TooLateError(f"the replay {replay_id} has ended already: it is {asked.state}")
        await note(database, "replay.cancel", target=replay_id, details={"sent": str(asked.sent)})
        with ProgressTeller("Waiting until it stops") as teller:
            await ReplayRun(settings, database, teller).finish(replay_id, _CANCELLED_WITHIN_S)
        return await receipt(database, replay_id)


def _set_up_logs(settings: Settings) -> None:
    """Keep what goes well out of the log: the bar and the receipt say it."""
    quiet = settings.log_level == "info"
    set_up_logs(settings.model_copy(update={"log_level": "warning"}) if quiet else settings)
