"""`jobtrail forward`: the service that copies status updates to another queue."""

from typing import Annotated

import typer

from jobtrail.cli.context import current_settings
from jobtrail.cli.services.service import run_service
from jobtrail.consumer.forwarding.service import run_forwarder


def forward(
    to: Annotated[
        str | None,
        typer.Option(
            help="The queue to copy to; its owner declares it. Default: JOBTRAIL_FORWARD_TO.",
            show_default=False,
        ),
    ] = None,
    extractor: Annotated[
        list[str] | None,
        typer.Option(
            help="Copy only updates of this extractor; may be given more than once. "
            "Default: JOBTRAIL_FORWARD_EXTRACTORS, or all.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="The forwarder's name; each name has its own position. Default: JOBTRAIL_FORWARD_NAME.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Copy status updates to another queue until SIGTERM or Ctrl-C, independently of the consumer.

    No update is left out. One that is copied twice after a crash has the same message id both times. Several processes
    with the same name share the work.
    """
    extractors = ",".join(extractor) if extractor else None
    settings = current_settings({"forward_to": to, "forward_extractors": extractors, "forward_name": name})
    run_service("forwarder", settings, lambda stop, on_ready: run_forwarder(settings, stop, on_ready=on_ready))
