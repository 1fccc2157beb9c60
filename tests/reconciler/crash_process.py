"""Runs `jobtrail dataset:get-status` and kills itself (SIGKILL) at one point, `POINT=module:Class.function:when:n`.

`when` is `before` or `after`, `n` the call that is the last one.
"""

import functools
import importlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

HURRY = {
    "jobtrail.reconciler.planner:GROUPING_S": 0.1,
    "jobtrail.models.notifications.slack_entries:GROUPING_S": 0.1,
    "jobtrail.reconciler.channels.slack:SlackChannel.interval_s": 0.1,
}
"""What lets Slack's messages wait neither for others of their cause nor for each other."""


def owner_and_name(place: str) -> tuple[Any, str]:
    """Find what `module:Class.name` names: who has it, and its name there."""
    module_name, path = place.split(":")
    *owners, name = path.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module_name))
    getattr(owner, name)  # it must be there
    return owner, name


def die_at(point: str) -> None:
    """Let this process die at a point."""
    place, when, number = point.rsplit(":", 2)
    owner, name = owner_and_name(place)
    function: Callable[..., Awaitable[Any]] = getattr(owner, name)
    calls = 0

    @functools.wraps(function)
    async def deadly(*arguments: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        last = calls == int(number)
        if last and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = await function(*arguments, **more)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, deadly)


if __name__ == "__main__":
    for place, value in HURRY.items():
        setattr(*owner_and_name(place), value)
    if point := os.environ.get("POINT"):
        die_at(point)
    from jobtrail.cli.main import run

    sys.argv = ["jobtrail", "dataset:get-status", *sys.argv[1:]]
    run()
