"""Who is in the demo fleet, and how each of them is started."""

import sys
from collections.abc import Mapping
from pathlib import Path

from stack.fleet import wordcount
from stack.supervisor import Program

PYTHON_MODULE = (sys.executable, "-P", "-m")
"""Runs a module; never one of the working folder that happens to have the same name."""
_PYCLOWDER_HEARTBEAT_S = 5
_MODULES = {
    "demo.digest-1": "stack.fleet.digest",
    "demo.digest-2": "stack.fleet.digest",
    "demo.flaky": "stack.fleet.flaky",
    "demo.legacy": "stack.fleet.legacy",
    "demo.submitter": "stack.fleet.submitter",
}


def crew(environment: Mapping[str, str], folder: Path) -> list[Program]:
    """List the programs of the demo fleet.

    Args:
        environment: That of JobTrail's services, with `JOBTRAIL_AMQP_URL`.
        folder: The working folder of those services.

    Returns:
        What to run.
    """
    # A real extractor knows nothing of JobTrail: it gets pyClowder's own settings, and starts in its own folder.
    extractor = {
        **{name: value for name, value in environment.items() if not name.startswith("JOBTRAIL_")},
        "RABBITMQ_URI": environment["JOBTRAIL_AMQP_URL"],
        "HEARTBEAT": str(_PYCLOWDER_HEARTBEAT_S),
    }
    home = Path(wordcount.__path__[0])
    programs = [
        Program(
            name="ncsa.wordcount", command=[sys.executable, home / "wordcount.py"], environment=extractor, folder=home
        )
    ]
    programs += [
        Program(name=name, command=[*PYTHON_MODULE, module], environment=environment, folder=folder)
        for name, module in _MODULES.items()
    ]
    return programs
