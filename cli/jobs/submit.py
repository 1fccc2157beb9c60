"""`jobtrail submit`: asks a worker for a job."""

import json
import sys
from enum import StrEnum
from typing import Annotated

import typer
from pydantic import JsonValue

from jobtrail.cli.actor import this_account
from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.context import current_settings
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.jobs.acts import open_job_acts
from jobtrail.cli.options import validated
from jobtrail.models.errors import SettingError
from jobtrail.operations.schemas.acts import SubmissionSchema


class ResourceKind(StrEnum):
    """What a resource id names."""

    FILE = "file"
    DATASET = "dataset"


def submit(
    queue: Annotated[str, typer.Argument(help="The worker's queue; pyClowder's default is the extractor's name.")],
    resource_id: Annotated[str, typer.Argument(help="The file's or dataset's id.")],
    *,
    user: Annotated[str | None, typer.Option(help="The user on whose behalf.")] = None,
    parameters: Annotated[str | None, typer.Option(help="For the extractor: a JSON object.", metavar="JSON")] = None,
    kind: Annotated[ResourceKind, typer.Option("--type", help="What RESOURCE_ID names.")] = ResourceKind.FILE,
    dataset: Annotated[str, typer.Option(help="The dataset that the file is in.")] = "",
    filename: Annotated[str, typer.Option(help="The file's name.")] = "",
    extractor: Annotated[str | None, typer.Option(help="The extractor's name where it is not the queue's.")] = None,
    job_id: Annotated[str | None, typer.Option(help="At most 128 characters; without it a UUID is made.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Submit a job to a worker's queue, and print its id."""
    given = {
        "queue": queue,
        "resource_id": resource_id,
        "extractor": extractor or None,
        "user": user or None,
        "parameters": _parsed(parameters),
        "type": kind.value,
        "dataset": dataset,
        "filename": filename,
        "job_id": job_id,
    }
    asked = validated(SubmissionSchema, given)

    async def send() -> str:
        async with open_job_acts(current_settings()) as acts:
            return await acts.submit(this_account(), asked)

    made = run_interruptible(send())
    if as_json:
        typer.echo(json.dumps({"job_id": made, "queue": queue, "resource_id": resource_id}))
    elif sys.stdout.isatty():
        typer.echo(f"Submitted job {made}\nWatch it:  jobtrail timeline {made} --follow")
    else:
        typer.echo(made)  # for a script


def _parsed(parameters: str | None) -> dict[str, JsonValue]:
    try:
        value = json.loads(parameters or "{}")
    except ValueError as error:
        raise SettingError(f"--parameters is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise SettingError("--parameters must be a JSON object")
    return value
