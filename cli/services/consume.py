"""`jobtrail consume`: the service that stores status updates."""

from jobtrail.cli.context import current_settings
from jobtrail.cli.services.service import run_service
from jobtrail.consumer.service import run_consumer


def consume() -> None:
    """Store status updates until SIGTERM or Ctrl-C.

    On a stop it finishes its batch first. It waits through outages of the broker and the database.
    """
    settings = current_settings()
    run_service("consumer", settings, lambda stop, on_ready: run_consumer(settings, stop, on_ready=on_ready))
