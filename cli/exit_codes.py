"""The exit codes, and which error leads to which."""

from enum import IntEnum

from jobtrail.models.errors import NotFoundError, SettingError, UnreachableError


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    """It succeeded."""
    FAILED = 1
    """It failed, or what it checked is wrong."""
    WRONG_USE = 2
    """An option, an argument or a setting is wrong."""
    NOT_FOUND = 3
    """The requested item does not exist."""
    UNREACHABLE = 4
    """RabbitMQ or MongoDB can't be reached."""
    INTERRUPTED = 130
    """Ctrl-C."""


def exit_code(error: Exception) -> ExitCode:
    """Choose the exit code of an error."""
    if isinstance(error, SettingError):
        return ExitCode.WRONG_USE
    if isinstance(error, NotFoundError):
        return ExitCode.NOT_FOUND
    if isinstance(error, UnreachableError):
        return ExitCode.UNREACHABLE
    return ExitCode.FAILED
