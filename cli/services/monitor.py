"""`jobtrail monitor`: the service that stores heartbeats."""

from jobtrail.cli.context import current_settings
from jobtrail.cli.services.service import run_service
from jobtrail.heartbeat.monitor import run_monitor


def monitor() -> None:
    """Store the workers' heartbeats until SIGTERM or Ctrl-C. They show who is online and which jobs are stalled."""
    settings = current_settings()
    run_service("monitor", settings, lambda stop, on_ready: run_monitor(settings, stop, on_ready=on_ready))
