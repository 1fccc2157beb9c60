"""What Clowder 2's lists may be asked with. Clowder takes any number; here each has a bound."""

import re
from datetime import date, timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from jobtrail.models.jobs.wire import MAX_NAME_LENGTH

MAX_SKIP = 100_000
MAX_LIMIT = 1000
HEARTBEAT_INTERVAL_S = 300
"""Clowder's own default."""
MAX_HEARTBEAT_INTERVAL_S = int(timedelta(days=7).total_seconds())
"""Instances are forgotten after this time."""


def _one_day(value: object) -> object:
    """Pass on a date as Clowder's clients write it: pydantic would take a number of seconds too."""
    if isinstance(value, str) and not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise ValueError("write it as YYYY-MM-DD")
    return value


Name = Annotated[str, Field(max_length=MAX_NAME_LENGTH)]
Day = Annotated[date, BeforeValidator(_one_day)]


class ClowderPageQuery(BaseModel):
    """Which part of a list."""

    model_config = ConfigDict(frozen=True)

    skip: int = Field(
        0,
        ge=0,
        le=MAX_SKIP,
        description="Leave out so many at the beginning. Each one skipped costs time: `/api/v1` pages without that.",
    )
    limit: int = Field(2, ge=1, le=MAX_LIMIT, description="So many at the most. Two is Clowder's own default.")


class ClowderJobQuery(ClowderPageQuery):
    """Which jobs."""

    listener_id: Name | None = Field(None, description="The extractor's name.")
    status: Name | None = Field(
        None, description="One of Clowder 2's words for a status, or a part of it, in any case.", examples=["succeeded"]
    )
    user_id: Name | None = Field(None, description="The user who asked for the job, as told with it: id or email.")
    file_id: Name | None = Field(None, description="The file. A dataset's id is found too.")
    dataset_id: Name | None = Field(None, description="The dataset. A file's id is found too.")
    created: Day | None = Field(None, description="The day on which it was created, UTC.", examples=["2026-11-22"])


class LivelihoodQuery(BaseModel):
    """Who counts as alive."""

    model_config = ConfigDict(frozen=True)

    heartbeat_interval: int = Field(
        HEARTBEAT_INTERVAL_S,
        ge=0,
        le=MAX_HEARTBEAT_INTERVAL_S,
        description="Seconds of silence after which a listener is not alive any more; 0 means 300.",
    )

    @property
    def interval_s(self) -> int:
        """The seconds that are meant."""
        return self.heartbeat_interval or HEARTBEAT_INTERVAL_S


class SearchQuery(ClowderPageQuery, LivelihoodQuery):
    """Which listeners, by text."""

    text: Name = Field("", description="A part of the name or the description, in any case.")
    process: Name | None = Field(None, description="`file` or `dataset`: those that work on such; others mean any.")
    dataset_id: Name | None = Field(None, description="Changes nothing: whoever may read sees every listener.")


class ListenerQuery(ClowderPageQuery, LivelihoodQuery):
    """Which listeners."""

    category: Name | None = Field(None, description="One of its `categories`, exactly.")
    label: Name | None = Field(None, description="One of its `default_labels`, exactly.")
    alive_only: bool = Field(False, description="Only those that are alive.")
    process: Name | None = Field(None, description="`file` or `dataset`: those that work on such; others mean any.")
    dataset_id: Name | None = Field(None, description="Changes nothing: whoever may read sees every listener.")
    all: bool = Field(False, description="Changes nothing: every listener is active.")
