"""Which dead letters are meant, as it stands in the addresses and the forms of pages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import BaseModel, Field

from jobtrail.models.dead_letters.dead_letter import UNSETTLED, LetterFilter, LetterKind, LetterState
from jobtrail.models.errors import SettingError
from jobtrail.web.pages.chip import Chip
from jobtrail.web.pages.typed_time import typed_time
from jobtrail.web.render import query

LETTERS = "/dead-letters/letters"
_TEXTS = ("group", "queue", "origin", "reason", "extractor", "job", "replay")
_YES_NO = {"true": True, "false": False}
TICKED = "ticked"
"""The letters that were ticked, and not all that match."""


class Filters(BaseModel):
    """Which letters, as somebody typed it."""

    group: str = ""
    kind: str = ""
    queue: str = ""
    origin: str = ""
    reason: str = ""
    extractor: str = ""
    job: str = ""
    replay: str = ""
    maybe_repeated: str = ""
    since: str = ""
    until: str = ""

    def read(self, now: datetime) -> tuple[LetterFilter, Mapping[str, str]]:
        """Judge what was typed.

        Args:
            now: The present, for ages.

        Returns:
            The filter; and what is wrong, by field.
        """
        problems: dict[str, str] = {}
        moments: dict[str, datetime | None] = {}
        for name, text in (("since", self.since), ("until", self.until)):
            moments[name], problem = typed_time(text, now)
            if problem:
                problems[name] = problem
        kind = self.kind.strip() or None
        if kind is not None and kind not in set(LetterKind):
            problems["kind"] = f"There is no kind {kind[:40]!r}."
        repeated = self.maybe_repeated.strip()
        if repeated and repeated not in _YES_NO:
            problems["maybe_repeated"] = "It is true or false."
        texts = {name: getattr(self, name).strip() or None for name in _TEXTS}
        return LetterFilter(
            cause_id=texts["group"],
            kind=LetterKind(kind) if kind and not problems.get("kind") else None,
            queue=texts["queue"],
            origin=texts["origin"],
            reason=texts["reason"],
            extractor_id=texts["extractor"],
            job_id=texts["job"],
            replay_id=texts["replay"],
            maybe_repeated=_YES_NO.get(repeated),
            since=moments["since"],
            until=moments["until"],
        ), problems


class LetterQuery(Filters):
    """The address of a list of letters."""

    state: list[str] = Field(default_factory=list)
    cursor: str = ""

    def address(self, **changed: object) -> str:
        """Make the address of a list.

        Args:
            changed: Values that differ from these; without a cursor among them it is the first page.

        Returns:
            Such as `/dead-letters/letters?state=open`.
        """
        return f"{LETTERS}{query(**self.model_dump(exclude={'cursor'}) | changed)}"


class Selection(Filters):
    """What a form says of the letters that an act is about."""

    id: list[str] = Field(default_factory=list)
    which: str = ""
    """`ticked`, or `all` that match; else the ids where there are any."""

    def wanted(self, now: datetime) -> LetterFilter:
        """Make the filter of it.

        Args:
            now: The present, for ages.

        Returns:
            The filter.

        Raises:
            SettingError: Nothing was ticked or named, or something can't be read.
        """
        if self.which == TICKED or (self.id and not self.which):
            if not self.id:
                raise SettingError("no letter is ticked: tick some, or choose all that match")
            return LetterFilter(ids=tuple(dict.fromkeys(self.id)))
        wanted, problems = self.read(now)
        if problems:
            raise SettingError("; ".join(f"{name}: {words}" for name, words in problems.items()))
        if wanted == LetterFilter() and self.which != "all":
            raise SettingError("it is not said which letters are meant")
        return wanted

    def fields(self) -> Mapping[str, object]:
        """Return what has a value, for an address or the hidden fields of a form."""
        told: Mapping[str, object] = self.model_dump()
        if self.which == TICKED:
            told = {"id": self.id}
        elif self.which == "all":
            told = {**told, "id": []}
        return {name: value for name, value in told.items() if value}


@dataclass(slots=True, frozen=True, kw_only=True)
class LetterForm:
    """The filters of a list, judged."""

    typed: LetterQuery
    wanted: LetterFilter
    states: Sequence[LetterState]
    problems: Mapping[str, str]
    """What is wrong, by field; with any of them `wanted` is not all that was asked for."""
    chips: Sequence[Chip]

    @property
    def may_act_on_all(self) -> bool:
        """Whether an act on all that match is about the letters shown: acts pass over what is settled."""
        return not self.states or set(UNSETTLED) <= set(self.states)


def read_form(typed: LetterQuery, now: datetime) -> LetterForm:
    """Judge the filters of a list.

    Args:
        typed: What stands in the address.
        now: The present, for ages.

    Returns:
        The filters, with what is wrong with them.
    """
    wanted, problems = typed.read(now)
    known = [state for state in LetterState if state in typed.state]
    if unknown := [word for word in typed.state if word not in set(LetterState)]:
        problems = {**problems, "state": f"No such state: {', '.join(word[:40] for word in unknown)}."}
    return LetterForm(
        typed=typed,
        wanted=replace(wanted, states=tuple(known) or None),
        states=known,
        problems=problems,
        chips=list(_chips(typed)),
    )


def _chips(typed: LetterQuery) -> Iterator[Chip]:
    for name in (*_TEXTS, "kind", "maybe_repeated", "since", "until"):
        if value := getattr(typed, name).strip():
            yield Chip(name=name.replace("_", " "), value=value, without=typed.address(**{name: ""}))
    for word in typed.state:
        others = [other for other in typed.state if other != word]
        yield Chip(name="state", value=word, without=typed.address(state=others))
