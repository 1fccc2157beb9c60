"""Which dead letters are wanted: as options of a command, as parameters of REST, and as the form of a page."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from jobtrail.models.dead_letters.dead_letter import LetterFilter, LetterKind, LetterState
from jobtrail.models.filters import Filter, Moment, Name, Shown


class DeadLetterFilter(Filter):
    """What dead letters have in common that an act is about."""

    group: Annotated[Name | None, Shown(label="Group")] = Field(
        None, examples=["5b2a0c4de9f81a37"], description="Only dead letters of this group."
    )
    kind: Annotated[LetterKind | None, Shown(label="Kind")] = Field(None, description="Only dead letters of this kind.")
    queue: Annotated[Name | None, Shown(label="Captured from")] = Field(
        None, examples=["jobtrail.dead-letters"], description="Only dead letters that were captured from this queue."
    )
    origin: Annotated[Name | None, Shown(label="Origin", placeholder="jobtrail.replies")] = Field(
        None, examples=["jobtrail.replies"], description="Only dead letters that had been in this queue before."
    )
    reason: Annotated[Name | None, Shown(label="Reason", placeholder="too_large")] = Field(
        None, examples=["too_large"], description="Only dead letters with this reason."
    )
    extractor: Annotated[Name | None, Shown(label="Extractor")] = Field(
        None, examples=["ncsa.wordcount"], description="Only dead letters of this extractor."
    )
    job: Annotated[Name | None, Shown(label="Job")] = Field(None, description="Only dead letters of this job.")
    replay: Annotated[Name | None, Shown(label="Replay")] = Field(
        None, examples=["8c1f4a2be6d0"], description="Only dead letters that this replay sent last."
    )
    maybe_repeated: Annotated[bool | None, Shown(label="Maybe repeated", option="--repeated/--not-repeated")] = Field(
        None, description="Only dead letters that may be repetitions of earlier ones; if false, only the others."
    )
    since: Annotated[Moment | None, Shown(label="Captured since", placeholder="2h, 1d, 2026-11-22")] = Field(
        None, description="Only dead letters captured at this time or later: RFC 3339, or an age (30m, 2h, 1d, 1w)."
    )
    until: Annotated[Moment | None, Shown(label="Until", placeholder="30m, 2026-11-23")] = Field(
        None, description="Only dead letters captured at this time or before, written in the same ways."
    )

    def selection(self) -> LetterFilter:
        """Make the selection that the database reads."""
        return LetterFilter(
            cause_id=self.group,
            kind=self.kind,
            queue=self.queue,
            origin=self.origin,
            reason=self.reason,
            extractor_id=self.extractor,
            job_id=self.job,
            replay_id=self.replay,
            maybe_repeated=self.maybe_repeated,
            since=self.since,
            until=self.until,
        )


class DeadLetterListFilter(DeadLetterFilter):
    """Which dead letters a list shows."""

    state: Annotated[list[LetterState], Shown(label="State")] = Field(
        default_factory=list, description="Only dead letters in this state; may be repeated.", examples=[["open"]]
    )

    def selection(self) -> LetterFilter:
        """Make the selection that the database reads; without a state, any."""
        return replace(super().selection(), states=tuple(dict.fromkeys(self.state)) or None)
