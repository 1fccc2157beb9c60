"""Prints an error on stderr: one line, or one JSON object with --json."""

import json
import os
import sys
from collections.abc import Iterator

from jobtrail.cli.exit_codes import exit_code
from jobtrail.models.redaction import redact


def report(error: Exception, *, as_json: bool, verbose: bool) -> None:
    """Print what went wrong; with `verbose` or JOBTRAIL_LOG_LEVEL=debug, its causes too."""
    verbose = verbose or os.environ.get("JOBTRAIL_LOG_LEVEL", "").lower() == "debug"
    message = _words(error)
    causes = [f"{type(cause).__name__}: {_words(cause)}" for cause in _causes(error)] if verbose else []
    if as_json:
        code = exit_code(error)
        content: dict[str, object] = {"code": code.name.lower(), "exit_code": int(code), "message": message}
        if causes:
            content["causes"] = causes
        lines = [json.dumps({"error": content})]
    else:
        lines = [f"jobtrail: error: {message}", *(f"  because of {cause}" for cause in causes)]
    sys.stderr.write("".join(f"{line}\n" for line in lines))


def _words(error: BaseException) -> str:
    """Make one line of an error's text, with secrets masked; without a text, of its class's docstring."""
    return redact(" ".join((str(error) or type(error).__doc__ or type(error).__name__).split()))


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause = error.__cause__
    while cause is not None:
        yield cause
        cause = cause.__cause__
