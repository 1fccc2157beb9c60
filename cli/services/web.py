"""`jobtrail web`: the service that answers over HTTP."""


def web() -> None:
    """Serve the pages and the REST API until SIGTERM or Ctrl-C.

    On a loopback address, which is the default, it is open to this machine. On any other it asks for a bearer token, or
    a login with one, and starts only when there is one: jobtrail token create NAME --role operator.
    """
    from jobtrail.cli.context import current_settings
    from jobtrail.cli.services.service import run_service
    from jobtrail.web.service import run_web

    settings = current_settings()
    run_service("web", settings, lambda stop, _on_ready: run_web(settings, stop))
