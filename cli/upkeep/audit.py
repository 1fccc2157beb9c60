"""`jobtrail audit`: is every message accounted for?"""

from typing import Annotated

import typer

from jobtrail.cli.command_group import JsonOption


def audit(
    *,
    since: Annotated[str, typer.Option(help="Only since then: 30m, 2h, 1d, 1w, or a time in ISO 8601.")] = "1d",
    as_json: JsonOption = False,
) -> None:
    """Look, per stream and hour, for each update that was taken: as an event, a duplicate or a dead letter.

    Exit code 1 when anything is missing or found twice; nothing is changed. Older than 35 days nothing is audited.
    """
    from datetime import UTC, datetime

    from jobtrail.cli.exit_codes import ExitCode
    from jobtrail.cli.interruptible import run_interruptible
    from jobtrail.cli.output.formats import parse_since
    from jobtrail.cli.upkeep.audit_show import print_audit, print_json, read

    found = run_interruptible(read(parse_since(since, datetime.now(UTC))))
    if as_json:
        print_json(found)
    else:
        print_audit(found)
    if found.wrong:
        raise typer.Exit(ExitCode.FAILED)
