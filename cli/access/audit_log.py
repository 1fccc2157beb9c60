"""`jobtrail audit`: who changed what."""

from typing import Annotated

import typer

from jobtrail.cli.command_group import JsonOption


def audit_log(
    *,
    since: Annotated[
        str | None, typer.Option(help="Only since then: 30m, 2h, 1d, 1w, or a time in ISO 8601.", show_default=False)
    ] = None,
    act: Annotated[
        str | None, typer.Option(help="Only this act, such as job.cancel or login.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Records per page.")] = 20,
    cursor: Annotated[
        str | None, typer.Option(help="Go on where the last page ended: its `next`.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List who changed what, when, and from where, the latest first: on the web and by these commands."""
    from datetime import UTC, datetime

    from jobtrail.cli.access.audit_log_show import print_json, print_records, read
    from jobtrail.cli.interruptible import run_interruptible
    from jobtrail.cli.output.formats import parse_since
    from jobtrail.store.access.audit import AuditFilter

    after = parse_since(since, datetime.now(UTC)) if since else None
    found = run_interruptible(read(AuditFilter(act=act, since=after), limit=limit, cursor=cursor))
    if as_json:
        print_json(found)
    else:
        print_records(found)
