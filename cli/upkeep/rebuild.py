"""`jobtrail rebuild`: makes the jobs anew from their events."""

from jobtrail.cli.command_group import JsonOption


def rebuild(as_json: JsonOption = False) -> None:
    """Make every job anew from its events; only jobs that differ are written. Safe while the consumer runs."""
    from jobtrail.cli.interruptible import run_interruptible
    from jobtrail.cli.upkeep.recount import show_rebuild

    run_interruptible(show_rebuild(as_json=as_json))
