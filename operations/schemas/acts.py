"""What is asked for, and what was done."""

import json
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue

from jobtrail.models.jobs.status import Status
from jobtrail.models.jobs.wire import MAX_ID_LENGTH, MAX_NAME_LENGTH
from jobtrail.operations.schemas.base import Schema
from jobtrail.publisher.outgoing import fits_short_string


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("it must not be blank")
    return text


def _short(text: str) -> str:
    if not fits_short_string(text):
        raise ValueError("it must not be longer than 255 bytes")
    return text


def _finite(parameters: dict[str, JsonValue]) -> dict[str, JsonValue]:
    json.dumps(parameters, allow_nan=False)
    return parameters


FilledName = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH), AfterValidator(_not_blank)]


class SubmissionSchema(Schema):
    """A job that is asked for."""

    queue: Annotated[FilledName, AfterValidator(_short)] = Field(
        max_length=255,
        description="The workers' queue; pyClowder's default is the extractor's name.",
        examples=["ncsa.wordcount"],
    )
    resource_id: FilledName = Field(examples=["5cb2d2d3a4be0f9fd3400001"], description="The file's or dataset's id.")
    extractor: FilledName | None = Field(
        None, examples=["ncsa.wordcount"], description="The extractor's name where it is not the queue's."
    )
    user: FilledName | None = Field(None, examples=["alice"], description="Who asks for it.")
    parameters: Annotated[dict[str, JsonValue], AfterValidator(_finite)] = Field(
        default_factory=dict, description="For the extractor.", examples=[{"language": "en"}]
    )
    type: Literal["file", "dataset"] = Field("file", description="What `resource_id` names.")
    dataset: str = Field("", max_length=MAX_NAME_LENGTH, description="The dataset that the file is in.")
    filename: str = Field("", max_length=MAX_NAME_LENGTH, description="The file's name.", examples=["sample.json"])
    job_id: Annotated[FilledName, Field(max_length=MAX_ID_LENGTH)] | None = Field(
        None, description="Without it a UUID is made. Submitting a job id twice asks for the work twice."
    )


class SubmittedSchema(Schema):
    """A job that was asked for; no worker need have taken it yet."""

    job_id: str
    queue: str
    resource_id: str


class CancelledSchema(Schema):
    """A job that was taken back from the queue."""

    job_id: str
    status: Literal[Status.CANCELLED] = Status.CANCELLED
    queue: str
    resource_id: str
