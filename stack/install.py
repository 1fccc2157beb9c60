"""`python -m jobtrail.stack.install`: installs RabbitMQ and MongoDB, before something with a time limit starts them."""

import sys

from jobtrail.models.errors import JobTrailError
from jobtrail.stack.mongod import prepare_mongod
from jobtrail.stack.rabbitmq import prepare_server


def main() -> int:
    """Install what is missing; the exit code is 0, or 4 when a program can't be installed."""
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
