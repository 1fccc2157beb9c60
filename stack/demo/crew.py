"""The programs of the demo, and how each is started."""

import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from jobtrail.broker.address import broker_urls
from jobtrail.stack.demo import wordcount
from jobtrail.stack.supervisor import Program

PYTHON_MODULE = (sys.executable, "-P", "-m")
"""Runs a module, but never one of the working folder that has the same name."""
_PYCLOWDER_HEARTBEAT_S = 5
_MODULES = {
    "demo.digest-1": "jobtrail.stack.demo.digest",
    "demo.digest-2": "jobtrail.stack.demo.digest",
    "demo.flaky": "jobtrail.stack.demo.flaky",
    "demo.legacy": "jobtrail.stack.demo.legacy",
    "demo.submitter": "jobtrail.stack.demo.submitter",
}
_VIEWPOINT = {"demo.viewpoint": "jobtrail.stack.demo.viewpoint"}
_OUTSIDE_WORLD = {
    "analyzer_url": ("demo.console", "jobtrail.stack.demo.console"),
    "smtp_url": ("demo.mailbox", "jobtrail.stack.demo.mailbox"),
}


def outside_world(environment: Mapping[str, str], folder: Path, simulated: Collection[str]) -> list[Program]:
    """List the programs that simulate the services whose settings are in `simulated`."""
    modules = dict(program for setting, program in _OUTSIDE_WORLD.items() if setting in simulated)
    return _programs(modules, environment, folder)


def crew(environment: Mapping[str, str], folder: Path, simulated: Collection[str]) -> list[Program]:
    """List the workers; the one for batch jobs only beside a simulated analyzer, not beside a real one."""
    # A real extractor does not know JobTrail: it gets pyClowder's own settings, and starts in its own folder.
    extractor = {
        **{name: value for name, value in environment.items() if not name.startswith("JOBTRAIL_")},
        "RABBITMQ_URI": broker_urls(environment["JOBTRAIL_AMQP_URL"])[0],
        "HEARTBEAT": str(_PYCLOWDER_HEARTBEAT_S),
    }
    home = Path(wordcount.__path__[0])
    wordcounter = Program(
        name="ncsa.wordcount", command=[sys.executable, home / "wordcount.py"], environment=extractor, folder=home
    )
    modules = _MODULES | (_VIEWPOINT if "analyzer_url" in simulated else {})
    return [wordcounter, *_programs(modules, environment, folder)]


def _programs(modules: Mapping[str, str], environment: Mapping[str, str], folder: Path) -> list[Program]:
    return [
        Program(name=name, command=[*PYTHON_MODULE, module], environment=environment, folder=folder)
        for name, module in modules.items()
    ]
