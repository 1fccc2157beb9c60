"""`python -m stack.install`: get the private services' programs, before something with a time limit starts them."""

import sys

from jobtrail.models.errors import JobTrailError
from jobtrail.stack.mongod import prepare_mongod
from jobtrail.stack.rabbitmq import prepare_server


def main() -> int:
    """Install what is missing.

    Returns:
        The exit code: 0, or 4 when a service's program can't be had.
    """
    try:
        prepare_server(_tell)
        prepare_mongod(_tell)
    except JobTrailError as error:
        _tell(f"error: {error}")
        return 4
    return 0


def _tell(line: str) -> None:
    sys.stderr.write(f"jobtrail: {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
