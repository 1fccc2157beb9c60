"""`jobtrail outbox`: the messages to Slack, mail and Pusher."""

from typing import Annotated

import typer

from jobtrail.cli.command_group import JsonOption, examples

outbox = typer.Typer(invoke_without_command=True)


@outbox.callback(epilog=examples("jobtrail outbox", "jobtrail outbox --failed --json", "jobtrail outbox retry"))
def show(
    context: typer.Context,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="Only messages that were given up.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Messages that are listed at the most.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show the messages to Slack, mail and Pusher: what waits, what was given up and why, what was sent lately."""
    if context.invoked_subcommand is not None:
        return
    from jobtrail.cli.interruptible import run_interruptible
    from jobtrail.cli.notifications.outbox_show import print_json, print_outbox, read

    found = run_interruptible(read(failed_only=failed, limit=limit))
    if as_json:
        print_json(found)
    else:
        print_outbox(found, failed_only=failed)


@outbox.command(epilog=examples("jobtrail outbox retry", "jobtrail outbox retry ds-1:Complete:slack:C0123456789"))
def retry(
    keys: Annotated[
        list[str] | None,
        typer.Argument(help="Only these messages; none means all that were given up.", metavar="KEY"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Let messages that were given up be tried again. What was one message stays one."""
    import json

    from jobtrail.cli.interruptible import run_interruptible
    from jobtrail.cli.notifications.outbox_show import retry as again

    count = run_interruptible(again(keys or None))
    if as_json:
        typer.echo(json.dumps({"retried": count}))
    elif count:
        typer.echo(f"{count:,} message{'' if count == 1 else 's'} will be tried again.\nWatch:  jobtrail outbox")
    else:
        typer.echo("No message was given up.")
