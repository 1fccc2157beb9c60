"""`jobtrail web`: the service that answers over HTTP."""

from jobtrail.cli.context import current_settings
from jobtrail.cli.services.service import run_service
from jobtrail.web.service import run_web


def web() -> None:
    """Serve the pages and the REST API until SIGTERM or Ctrl-C.

    On a loopback address, which is the default, everyone on this machine has access. On any other address a bearer
    token or a login with one is required. Create one before the first start:
    jobtrail token create NAME --role operator.
    """
    settings = current_settings()
    run_service("web", settings, lambda stop, _on_ready: run_web(settings, stop))
