"""The filters of the job list, as they stand in the page's address: read, judged field by field, and told as chips."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, Field

from jobtrail.models.jobs.status import Status, status_of_word
from jobtrail.operations.job_list import RUNNING
from jobtrail.store.jobs.jobs import JobFilter
from jobtrail.web.pages.chip import Chip
from jobtrail.web.pages.typed_time import typed_time
from jobtrail.web.render import query

_TEXTS = ("q", "extractor", "resource", "user", "since", "until")


class JobQuery(BaseModel):
    """What stands in the address: text, as somebody typed it."""

    q: str = ""
    status: list[str] = Field(default_factory=list)
    extractor: str = ""
    resource: str = ""
    user: str = ""
    since: str = ""
    until: str = ""
    stalled: str = ""
    cursor: str = ""

    def address(self, **changed: object) -> str:
        """Make the address of a list.

        Args:
            changed: Values that differ from these; without a cursor among them it is the first page.

        Returns:
            Such as `/jobs?status=ERROR`.
        """
        return f"/jobs{query(**self.model_dump(exclude={'cursor'}) | changed)}"


@dataclass(slots=True, frozen=True, kw_only=True)
class JobForm:
    """The filters, judged."""

    typed: JobQuery
    statuses: Sequence[Status]
    """Those that were chosen; words that are none are left out."""
    wanted: JobFilter
    problems: Mapping[str, str]
    """What is wrong, by field; with any of them `wanted` is not all that was asked for."""
    chips: Sequence[Chip]


def read_form(typed: JobQuery, now: datetime) -> JobForm:
    """Judge the filters.

    Args:
        typed: What stands in the address.
        now: The present, for ages.

    Returns:
        The filters, with what is wrong with them.
    """
    problems: dict[str, str] = {}
    statuses = _statuses(typed, problems)
    moments: dict[str, datetime | None] = {}
    for field, text in (("since", typed.since), ("until", typed.until)):
        moments[field], problem = typed_time(text, now)
        if problem:
            problems[field] = problem
    since, until = moments["since"], moments["until"]
    if since and until and since >= until:
        problems["until"] = "This must be later than “Updated since”."
    wanted = JobFilter(
        extractor_id=typed.extractor.strip() or None,
        resource_id=typed.resource.strip() or None,
        user_id=typed.user.strip() or None,
        statuses=statuses or (RUNNING if typed.stalled else ()),
        since=since,
        until=until,
        text=typed.q.strip() or None,
    )
    return JobForm(typed=typed, statuses=statuses, wanted=wanted, problems=problems, chips=list(_chips(typed)))


def _statuses(typed: JobQuery, problems: dict[str, str]) -> Sequence[Status]:
    found = {word: status_of_word(word) for word in typed.status}
    if unknown := [word for word, status in found.items() if status is None]:
        problems["status"] = f"No such status: {', '.join(word[:40] for word in unknown)}."
    statuses = tuple(dict.fromkeys(status for status in found.values() if status is not None))
    if typed.stalled and not set(statuses) <= set(RUNNING):
        problems["status"] = f"Only a running job can be stalled: choose {' or '.join(RUNNING)}, or no status."
    return statuses


def _chips(typed: JobQuery) -> Iterator[Chip]:
    for field in _TEXTS:
        if value := getattr(typed, field).strip():
            yield Chip(name="has" if field == "q" else field, value=value, without=typed.address(**{field: ""}))
    for word in typed.status:
        others = [other for other in typed.status if other != word]
        yield Chip(name="status", value=word, without=typed.address(status=others))
    if typed.stalled:
        yield Chip(name="only", value="stalled", without=typed.address(stalled=""))
