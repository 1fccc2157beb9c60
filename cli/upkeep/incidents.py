"""`jobtrail incidents`: was a stream not what its reader had left?"""

from typing import Annotated

import typer

from jobtrail.cli.command_group import JsonOption


def incidents(
    *,
    acknowledge: Annotated[
        str | None,
        typer.Option(help="Note that you know of this one.", metavar="ID", show_default=False),
    ] = None,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that nobody has acknowledged.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Incidents per page.")] = 20,
    cursor: Annotated[
        str | None, typer.Option(help="Go on where the last page ended: its `next`.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List where a stream was deleted, cut short, or lost updates before they were read; the latest first."""
    from jobtrail.cli.interruptible import run_interruptible
    from jobtrail.cli.upkeep.incidents_show import acknowledge as note_known
    from jobtrail.cli.upkeep.incidents_show import print_acknowledged, print_incidents, print_json, read

    if acknowledge is not None:
        print_acknowledged(run_interruptible(note_known(acknowledge)), as_json=as_json)
        return
    found = run_interruptible(read(open_only=open_only, limit=limit, cursor=cursor))
    if as_json:
        print_json(found)
    else:
        print_incidents(found)
