"""How an error is told: one line for people, or one JSON object where JSON was asked for; always on stderr."""

import json
import os
import sys
from collections.abc import Iterator

from jobtrail.cli.exit_codes import exit_code
from jobtrail.models.redaction import redact


def report(error: Exception, *, as_json: bool, verbose: bool) -> None:
    """Tell on stderr what went wrong.

    Args:
        error: What went wrong.
        as_json: Whether the command was asked for JSON.
        verbose: Whether the causes are told too; `JOBTRAIL_LOG_LEVEL=debug` does the same.
    """
    verbose = verbose or os.environ.get("JOBTRAIL_LOG_LEVEL", "").lower() == "debug"
    message = _words(error)
    causes = [f"{type(cause).__name__}: {_words(cause)}" for cause in _causes(error)] if verbose else []
    if as_json:
        code = exit_code(error)
        told: dict[str, object] = {"code": code.name.lower(), "exit_code": int(code), "message": message}
        if causes:
            told["causes"] = causes
        lines = [json.dumps({"error": told})]
    else:
        lines = [f"jobtrail: error: {message}", *(f"  because of {cause}" for cause in causes)]
    sys.stderr.write("".join(f"{line}\n" for line in lines))


def _words(error: BaseException) -> str:
    """Make one line without secrets of an error's text; an error without words is told by its class's."""
    return redact(" ".join((str(error) or type(error).__doc__ or type(error).__name__).split()))


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause = error.__cause__
    while cause is not None:
        yield cause
        cause = cause.__cause__
