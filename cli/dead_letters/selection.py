"""Which dead letters a command is about: the same arguments and options for all of them."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Annotated, ClassVar, get_type_hints

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from jobtrail.models.dead_letters.dead_letter import LetterFilter

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

    def letters(self, now: "datetime") -> "LetterFilter":
        """Make the filter that the database understands.

        Args:
            now: The present, from which ages are counted.

        Returns:
            The filter.

        Raises:
            SettingError: A time is none.
        """
        from jobtrail.cli.output.formats import parse_since
        from jobtrail.models.dead_letters.dead_letter import LetterFilter

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
        typer.Argument(help="These letters, as `list` shows them.", metavar="LETTER", show_default=False),
    ] = None
    everything: Annotated[bool, typer.Option("--all", help="All letters.")] = False

    def words(self) -> str:
        """Say in a few words which letters are meant; for records and messages."""
        if not self.ids:
            return SelectionOptions.words(self)
        more = f" and {len(self.ids) - 3:,} more" if len(self.ids) > 3 else ""
        return f"{', '.join(self.ids[:3])}{more}"

    def letters(self, now: "datetime") -> "LetterFilter":
        """Make the filter that the database understands.

        Args:
            now: The present, from which ages are counted.

        Returns:
            The filter.

        Raises:
            SettingError: Nothing was chosen, or in two ways at once, or a time is none.
        """
        from dataclasses import replace

        from jobtrail.models.errors import SettingError

        ways = [bool(self.ids), bool(self.given), self.everything]
        if not any(ways):
            options = ", ".join(f"--{name}" for name in (*_FILTERS, "repeated")).replace("--reason", self.reason_option)
            raise SettingError(f"say which letters: name them, or narrow them down ({options}), or take --all")
        if sum(ways) > 1:
            raise SettingError("letters are either named, or narrowed down by options, or --all; not two of these")
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
    """Give a command the arguments and options that choose letters; it gets them as its argument `which`.

    Args:
        what: `Filters`, or `Choice` where something is done with the letters.

    Returns:
        The decorator; it goes under Typer's own.
    """

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
