"""`jobtrail deadletters replay` and `cancel`: run a replay here, or follow it where another process runs it."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import Annotated

import typer

from jobtrail.cli.actor import audit_book, this_account
from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.dead_letters.dry_run import show_dry_run
from jobtrail.cli.dead_letters.replays import outcome_words, show_receipt
from jobtrail.cli.dead_letters.selection import Choice, YesOption, confirmed
from jobtrail.cli.exit_codes import ExitCode
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.options import with_options
from jobtrail.cli.output.progress import ProgressTeller
from jobtrail.cli.services.logs import set_up_logs
from jobtrail.deadletters.outcomes import OutcomeSettler
from jobtrail.deadletters.replayer import LOOK_S, Replayer
from jobtrail.models.dead_letters.dead_letter import UNSETTLED, LetterFilter
from jobtrail.models.dead_letters.replay import Replay, ReplayState
from jobtrail.models.errors import StoreError
from jobtrail.models.settings import Settings
from jobtrail.operations.dead_letters import DeadLetterActs
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.replays import ReplayRepository

_POLL_S = 0.3
_OUTCOMES_WITHIN_S = 30.0
"""How long the command waits for outcomes; the service settles later ones."""
_CANCELLED_WITHIN_S = 10.0
_LOOKED_AT = 100


@with_options
def replay(
    *,
    which: Choice,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Send nothing: test what the current version would do with them.")
    ] = False,
    to: Annotated[
        str | None,
        typer.Option(help="Send them to this queue; else each to its origin.", metavar="QUEUE", show_default=False),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="At most so many per second.", metavar="N", show_default=False)
    ] = None,
    at_once: Annotated[
        bool,
        typer.Option(
            "--no-staging",
            "--at-once",
            help="Don't wait for outcomes after the first and the tenth.",
            show_default=False,
        ),
    ] = False,
    include_repeated: Annotated[
        bool, typer.Option("--include-repeated", help="Include those that may be repetitions of others.")
    ] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send dead letters again: one, ten, then the rest; it halts when one fails again.

    If it is killed, it continues where it was; nothing is sent twice.
    Ctrl-C stops it after the current batch; what was sent stays sent.
    Then it waits up to 30 seconds for the outcomes.

    Exit code 1 if it halted, if some failed again, or if another replay holds
    them.
    """
    selection = confirmed(which, "Replay", UNSETTLED, yes=yes or dry_run, include_repeated=include_repeated)
    if dry_run:
        show_dry_run(selection, to, as_json=as_json)
        return
    code = run_interruptible(
        _replay(selection, target=to, rate=rate, staged=not at_once, include_repeated=include_repeated, as_json=as_json)
    )
    if code:
        raise typer.Exit(code)


def cancel(
    replay_id: Annotated[str, typer.Argument(help="The replay.", metavar="REPLAY")], as_json: JsonOption = False
) -> None:
    """Stop a replay after its current batch, wherever it runs. What was sent stays sent; the rest is open again."""
    run_interruptible(_cancel(replay_id, as_json=as_json))


async def _replay(
    selection: LetterFilter,
    *,
    target: str | None,
    rate: float | None,
    staged: bool,
    include_repeated: bool,
    as_json: bool,
) -> ExitCode:
    settings = _quiet_settings()
    async with open_database(settings) as database:
        begun = await DeadLetterActs(database, audit_book(database)).replay(
            this_account(), selection, target=target, rate=rate, staged=staged, include_repeated=include_repeated
        )
        with ProgressTeller("Replaying") as teller:
            run = ReplayRun(settings, database, teller)
            await run.run(begun.id)
        ended = await show_receipt(database, begun.id, as_json=as_json)
    if run.presses:
        return ExitCode.INTERRUPTED
    return ExitCode.DONE if ended.state is ReplayState.DONE and not ended.failed else ExitCode.FAILED


async def _cancel(replay_id: str, *, as_json: bool) -> None:
    settings = _quiet_settings()
    async with open_database(settings) as database:
        await DeadLetterActs(database, audit_book(database)).cancel(this_account(), replay_id, again_is_fine=False)
        with ProgressTeller("Waiting until it stops") as teller:
            await ReplayRun(settings, database, teller).finish(replay_id, _CANCELLED_WITHIN_S)
        await show_receipt(database, replay_id, as_json=as_json)


def _quiet_settings() -> Settings:
    """Read the settings and set up logs that leave out what the progress bar and the receipt say."""
    settings = current_settings()
    settings.require_amqp_url()
    quiet = settings.log_level == "info"
    set_up_logs(settings.model_copy(update={"log_level": "warning"}) if quiet else settings)
    return settings


class ReplayRun:
    """One replay, as a command runs it; `teller` shows its progress."""

    def __init__(self, settings: Settings, database: Database, teller: ProgressTeller) -> None:
        self._settings = settings
        self._database = database
        self._teller = teller
        self._replays = ReplayRepository(database)
        self._judge = OutcomeSettler(settings, database)
        self._stop = asyncio.Event()
        self.presses = 0
        """How often Ctrl-C was pressed."""

    async def run(self, replay_id: str) -> None:
        """Run a replay to its end, and wait a while for its outcomes.

        The first Ctrl-C requests that it stops after the current batch; the second one leaves at once.
        """
        await self._interruptible(replay_id, self._to_its_end(replay_id))
        if not self.presses:
            await self._interruptible(replay_id, self._outcomes(replay_id))
        else:
            await self._judge.judge(replay_id)

    async def finish(self, replay_id: str, within_s: float) -> None:
        """Bring a cancelled replay to its end, also if no process runs it, but wait no longer than `within_s`."""
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
            sys.stderr.write(f"jobtrail: warning: the replay could not be stopped: {error}\n")

    async def _to_its_end(self, replay_id: str) -> None:
        replayer = Replayer(self._settings, self._database, self._stop, self._show)
        # The service may have taken it first; if that one dies, it is taken here.
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
