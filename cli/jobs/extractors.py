"""`jobtrail extractors`: who works, and who no longer does."""

from jobtrail.cli.command_group import JsonOption


def extractors(as_json: JsonOption = False) -> None:
    """List the extractors that ever sent a heartbeat: versions, live instances, and what each is working on."""
    from jobtrail.cli.interruptible import run_interruptible
    from jobtrail.cli.jobs.extractors_show import print_extractors, print_json, read

    found = run_interruptible(read())
    if as_json:
        print_json(found)
    else:
        print_extractors(found)
