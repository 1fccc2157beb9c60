"""`python -m tests.browser.install`: get Debian's chromium, before a test with a time limit needs it."""

import sys

from jobtrail.models.errors import JobTrailError
from jobtrail.stack.debian import install
from tests.browser.chromium import EXECUTABLE, PACKAGE

_OTHERWISE = (
    f"{EXECUTABLE} is missing, which the browser tests need: install it, on Debian with "
    f"`sudo apt-get install {PACKAGE}`, or leave them out with `make test ARGS='--ignore tests/browser'`"
)


def main() -> None:
    """Install chromium where it is missing; who may not is told, and can run the other tests."""
    if EXECUTABLE.exists():
        return
    try:
        install(PACKAGE, on_progress=_tell, otherwise=_OTHERWISE)
    except JobTrailError as error:
        _tell(str(error))


def _tell(line: str) -> None:
    sys.stderr.write(f"jobtrail: {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
