"""Which dead letters a command is about: the options that select them, and the question whether so many are meant."""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import wraps
from typing import Annotated, ClassVar, get_type_hints

import typer

from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.exit_codes import ExitCode
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.output.formats import parse_since
from jobtrail.models.dead_letters.dead_letter import LetterFilter, LetterState
from jobtrail.models.errors import NotFoundError, SettingError
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.dead_letters import LetterRepository

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="Rows per page.")]
CursorOption = Annotated[
    str | None, typer.Option("--cursor", help="Continue after a page: its `next`.", show_default=False)
]
_FILTERS = ("group", "reason", "extractor", "queue", "origin", "job", "since", "until")


@dataclass(slots=True, frozen=True, kw_only=True)
class SelectionOptions:
    """What narrows letters down, as it was typed."""

    group: Annotated[
        str | None, typer.Option(help="Of this group, as `groups` shows it.", metavar="GROUP", show_default=False)
    ] = None
    reason: Annotated[
        str | None, typer.Option(help="With this reason, such as too_large or gave_up.", show_default=False)
    ] = None
    extractor: Annotated[str | None, typer.Option(help="Of this extractor.", show_default=False)] = None
    queue: Annotated[str | None, typer.Option(help="Captured from this queue.", show_default=False)] = None
    origin: Annotated[str | None, typer.Option(help="That came from this queue.", show_default=False)] = None
    job: Annotated[str | None, typer.Option(help="Of this job.", metavar="JOB_ID", show_default=False)] = None
    since: Annotated[
        str | None,
        typer.Option(help="Captured since then: 30m, 2h, 1d, 1w, or a time in ISO 8601.", show_default=False),
    ] = None
    until: Annotated[
        str | None, typer.Option(help="Captured by then: an age or a time, as --since.", show_default=False)
    ] = None
    repeated: Annotated[
        bool, typer.Option("--repeated", help="That may be repetitions of earlier ones.", show_default=False)
    ] = False

    @property
    def given(self) -> Mapping[str, str]:
        """The filters that were given, by name."""
        values = {name: getattr(self, name) for name in _FILTERS} | {"repeated": "only" if self.repeated else None}
        return {name: value for name, value in values.items() if value is not None}

    def words(self) -> str:
        """Say in a few words which letters are meant; for records and messages."""
        return ", ".join(f"{name} {value}" for name, value in self.given.items()) or "all"

    def letters(self, now: datetime) -> LetterFilter:
        """Make the filter that the database understands."""
        return LetterFilter(
            cause_id=self.group,
            queue=self.queue,
            origin=self.origin,
            reason=self.reason,
            extractor_id=self.extractor,
            job_id=self.job,
            since=parse_since(self.since, now) if self.since else None,
            until=parse_since(self.until, now, option="--until") if self.until else None,
            maybe_repeated=self.repeated or None,
        )


@dataclass(slots=True, frozen=True, kw_only=True)
class Choice(SelectionOptions):
    """Letters that something is to be done with; choosing none is not choosing all."""

    reason_option: ClassVar[str] = "--reason"
    """How the option is called that narrows letters down by their reason."""
    ids: Annotated[
        list[str] | None,
        typer.Argument(help="These dead letters, as `list` shows them.", metavar="LETTER", show_default=False),
    ] = None
    everything: Annotated[bool, typer.Option("--all", help="All dead letters.")] = False

    def words(self) -> str:
        """Say in a few words which letters are meant; for records and messages."""
        if not self.ids:
            return SelectionOptions.words(self)
        more = f" and {len(self.ids) - 3:,} more" if len(self.ids) > 3 else ""
        return f"{', '.join(self.ids[:3])}{more}"

    def letters(self, now: datetime) -> LetterFilter:
        """Make the filter that the database understands."""
        ways = [bool(self.ids), bool(self.given), self.everything]
        if not any(ways):
            options = ", ".join(f"--{name}" for name in (*_FILTERS, "repeated")).replace("--reason", self.reason_option)
            raise SettingError(f"select dead letters: name them, or use options ({options}), or take --all")
        if sum(ways) > 1:
            raise SettingError("name dead letters, or select them by options, or take --all; not two of these")
        ids = tuple(dict.fromkeys(self.ids)) if self.ids else None
        return replace(SelectionOptions.letters(self, now), ids=ids)


@dataclass(slots=True, frozen=True, kw_only=True)
class ChoiceToDiscard(Choice):
    """Letters that are to be discarded: there `--reason` says why that is done."""

    reason_option: ClassVar[str] = "--with-reason"
    reason: Annotated[
        str | None, typer.Option("--with-reason", help="With this reason, such as too_large.", show_default=False)
    ] = None


def takes(what: type[SelectionOptions]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the arguments and options that choose letters; it gets them as its argument `which`."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def with_choice(**given: object) -> None:
            command(which=what(**{name: given.pop(name) for name in hints}), **given)  # type: ignore[arg-type]

        hints = {each.name: get_type_hints(what, include_extras=True)[each.name] for each in fields(what)}
        defaults = {each.name: each.default for each in fields(what)}
        chosen = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name], annotation=hint)
            for name, hint in hints.items()
        ]
        own = [each for each in inspect.signature(command).parameters.values() if each.name != "which"]
        own_hints = {each.name: each.annotation for each in own}
        # Typer reads both.
        with_choice.__signature__ = inspect.Signature([*chosen, *own])  # type: ignore[attr-defined]
        with_choice.__annotations__ = hints | own_hints
        return with_choice

    return decorate


def confirmed(
    which: Choice, act: str, states: Sequence[LetterState] | None, *, yes: bool, include_repeated: bool = True
) -> LetterFilter:
    """Check that a choice selects dead letters that exist by now, and confirm on a terminal if it is more than one."""
    now = datetime.now(UTC)
    selection = which.letters(now)
    selection = selection if include_repeated else selection.to_replay()
    selection = replace(selection, until=min(selection.until, now) if selection.until else now)
    count = run_interruptible(_count(selection, states))
    asks = count > 1 and not yes and sys.stdin.isatty() and sys.stderr.isatty()
    if asks and not typer.confirm(f"{act} {counted(count)} ({which.words()})?", err=True):
        typer.echo("Nothing was done.", err=True)
        raise typer.Exit(ExitCode.FAILED)
    return selection


async def _count(selection: LetterFilter, states: Sequence[LetterState] | None) -> int:
    async with open_database(current_settings()) as database:
        return await count_selected(database, selection, states)


async def count_selected(database: Database, selection: LetterFilter, states: Sequence[LetterState] | None) -> int:
    """Count the dead letters of a selection in some states, None for any.

    Raises:
        NotFoundError: There are none, or a named one does not exist.
    """
    letters = LetterRepository(database)
    if selection.ids is not None:
        known = {letter.id for letter in (await letters.list(selection, limit=len(selection.ids))).rows}
        missing = [letter_id for letter_id in selection.ids if letter_id not in known]
        if missing:
            more = f" (nor {len(missing) - 1:,} others)" if len(missing) > 1 else ""
            raise NotFoundError(f"there is no dead letter {missing[0]!r}{more}")
    count = await letters.count(replace(selection, states=states))
    if not count:
        which = f" that is {' or '.join(state.value.replace('_', ' ') for state in states)}" if states else ""
        raise NotFoundError(f"no dead letter matches{which}; see jobtrail deadletters list --state any")
    return count


def counted(count: int) -> str:
    """Say how many dead letters."""
    return "1 dead letter" if count == 1 else f"{count:,} dead letters"
