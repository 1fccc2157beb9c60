"""The results of checks, and the exit code that follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from jobtrail.cli.exit_codes import ExitCode


class CheckOutcome(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    """It works, or may be intended, but you should know."""
    FAILED = "failed"


@dataclass(slots=True, frozen=True, kw_only=True)
class Check:
    """One thing that was checked."""

    name: str
    outcome: CheckOutcome
    found: str
    """A sentence without secrets."""
    advice: str = ""
    """What to do; empty where there is nothing to do."""
    code: ExitCode = ExitCode.DONE
    """What the process ends with if this failed."""


def ok(name: str, found: str) -> Check:
    """Make a check that passed."""
    return Check(name=name, outcome=CheckOutcome.OK, found=found)


def warning(name: str, found: str, advice: str) -> Check:
    """Make a check with a warning."""
    return Check(name=name, outcome=CheckOutcome.WARNING, found=found, advice=advice)


def failed(name: str, found: str, advice: str, code: ExitCode = ExitCode.FAILED) -> Check:
    """Make a check that failed."""
    return Check(name=name, outcome=CheckOutcome.FAILED, found=found, advice=advice, code=code)


def exit_code_of(checks: Sequence[Check]) -> ExitCode:
    """Choose the exit code: a wrong setting comes first, because it may be the cause of the rest."""
    codes = {check.code for check in checks if check.outcome is CheckOutcome.FAILED}
    for code in (ExitCode.WRONG_USE, ExitCode.UNREACHABLE, ExitCode.FAILED):
        if code in codes:
            return code
    return ExitCode.DONE
