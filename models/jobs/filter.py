"""Which jobs are asked for: on the command line, over REST and on the page."""

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from jobtrail.models.filters import Filter, Moment, Name, Shown, Statuses, Text
from jobtrail.models.jobs.status import RUNNING, Status


class JobFilter(Filter):
    """Which jobs are asked for."""

    extractor: Annotated[Name | None, Shown(label="Extractor")] = Field(
        None, examples=["ncsa.wordcount"], description="Only jobs of this extractor."
    )
    status: Annotated[Statuses, Shown(label="Status")] = Field(default_factory=list)
    stalled: Annotated[bool, Shown(label="stalled")] = Field(
        default=False,
        description="Only running jobs that fell silent or lost their worker. They are found by looking through all "
        "that run: a page may be short, even empty, and not be the last.",
    )
    resource: Annotated[Name | None, Shown(label="Resource")] = Field(
        None, examples=["5cb2d2d3a4be0f9fd3400001"], description="Only jobs on this file or dataset."
    )
    user: Annotated[Name | None, Shown(label="User")] = Field(
        None, examples=["alice"], description="Only jobs that this user asked for."
    )
    since: Annotated[Moment | None, Shown(label="Updated since", placeholder="2h, 1d, 2026-11-22")] = Field(
        None, description="Only jobs updated at this time or later: RFC 3339, or an age (30m, 2h, 1d, 1w)."
    )
    until: Annotated[Moment | None, Shown(label="Until", placeholder="30m, 2026-11-23")] = Field(
        None, description="Only jobs updated before this time, written in the same ways."
    )
    q: Annotated[Text | None, Shown(label="Search", placeholder="Job, resource, words …", option="--grep")] = Field(
        None,
        examples=["no such file"],
        description="A job's whole id; else a part, in any case, of the job's, the resource's, the extractor's or the "
        "user's id, or of the latest message. The search looks through the latest jobs first, for two seconds at the "
        "most; then it says so, and `since` and `until` make it shorter.",
    )

    @property
    def statuses(self) -> Sequence[Status]:
        """The statuses to look for; empty for any."""
        return self.status or (RUNNING if self.stalled else ())

    @model_validator(mode="after")
    def _only_running_jobs_stall(self) -> Self:
        if self.stalled and not set(self.status) <= set(RUNNING):
            raise ValueError(f"only running jobs can be stalled: status can only be {' or '.join(RUNNING)}")
        return self
