"""`jobtrail forward`: the service that copies updates to a queue of somebody else's."""

from typing import Annotated

import typer


def forward(
    to: Annotated[
        str | None,
        typer.Option(
            help="The queue to copy to; its owner makes it. Without it, that of JOBTRAIL_FORWARD_TO.",
            show_default=False,
        ),
    ] = None,
    extractor: Annotated[
        list[str] | None,
        typer.Option(
            help="Copy only what this extractor sends; more than once for several. Without it, those of "
            "JOBTRAIL_FORWARD_EXTRACTORS, or all.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="The forwarder's name: each has a position of its own. Without it, JOBTRAIL_FORWARD_NAME.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Copy status updates to another queue until SIGTERM or Ctrl-C, beside the consumer and whatever it does.

    Nothing is missing there. What is copied twice after a crash has the same message id both times. Several processes
    of one name share the work.
    """
    from jobtrail.cli.context import current_settings
    from jobtrail.cli.services.service import run_service
    from jobtrail.consumer.forwarding.service import run_forwarder

    extractors = ",".join(extractor) if extractor else None
    settings = current_settings({"forward_to": to, "forward_extractors": extractors, "forward_name": name})
    run_service("forwarder", settings, lambda stop, on_ready: run_forwarder(settings, stop, on_ready=on_ready))
