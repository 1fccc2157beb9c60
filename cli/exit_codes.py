"""The exit codes, and which error ends in which."""

from enum import IntEnum

from jobtrail.models.errors import NotFoundError, SettingError, UnreachableError


class ExitCode(IntEnum):
    """What a command's exit code says."""

    DONE = 0
    """It did what was asked."""
    FAILED = 1
    """It could not, or what it checked is not as it should be."""
    WRONG_USE = 2
    """An option, an argument or a setting is wrong."""
    NOT_FOUND = 3
    """What was asked for does not exist."""
    UNREACHABLE = 4
    """RabbitMQ or MongoDB can't be reached."""
    INTERRUPTED = 130
    """Ctrl-C."""


def exit_code(error: Exception) -> ExitCode:
    """Choose the exit code of an error.

    Args:
        error: What went wrong.

    Returns:
        The code that the process ends with.
    """
    if isinstance(error, SettingError):
        return ExitCode.WRONG_USE
    if isinstance(error, NotFoundError):
        return ExitCode.NOT_FOUND
    if isinstance(error, UnreachableError):
        return ExitCode.UNREACHABLE
    return ExitCode.FAILED
