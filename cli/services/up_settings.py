"""What `jobtrail up` chooses by itself: ports, the size of its streams, and the demo's analyzer and mail server."""

import secrets
from collections.abc import Mapping

from jobtrail.models.settings import Settings
from jobtrail.stack.private_stack import PrivateStack

_PORTS = (
    *("consumer_health_port", "monitor_health_port", "reconciler_health_port", "dead_letters_health_port"),
    *("forwarder_health_port", "web_port"),
)
_DEMO_CRON = "* * * * *"
_PRIVATE_STREAM = {"stream_retention_gb": "1", "stream_segment_mb": "64"}
"""Small, because it is a developer's disk."""


def chosen_settings(settings: Settings, stack: PrivateStack, *, demo: bool) -> dict[str, str]:
    """Choose settings, by field name; of those that were given, only ports that are taken are changed.

    The demo brings an analyzer and a mail server of its own, except where a database or an analyzer was given: real
    datasets must not be completed by a simulation.
    """
    chosen = {name: str(stack.reserve_port(name, getattr(settings, name))) for name in _PORTS}
    if settings.amqp_url is None:
        chosen |= {name: value for name, value in _PRIVATE_STREAM.items() if name not in settings.model_fields_set}
    if demo and settings.mongo_url is None and settings.analyzer_url is None:
        simulated = {
            "analyzer_url": f"http://127.0.0.1:{stack.reserve_port('analyzer')}",
            "analyzer_token": secrets.token_urlsafe(),
            "smtp_url": f"smtp://127.0.0.1:{stack.reserve_port('smtp')}",
            "dataset_cron": _DEMO_CRON,
        }
        chosen |= {name: value for name, value in simulated.items() if name not in settings.model_fields_set}
    return chosen


def pages_url(settings: Settings, chosen: Mapping[str, str]) -> str:
    """Return where a browser on this machine finds the pages."""
    host = "127.0.0.1" if settings.web_host in ("0.0.0.0", "::", "") else settings.web_host  # noqa: S104  # nothing is bound here
    return f"http://{f'[{host}]' if ':' in host else host}:{chosen['web_port']}/"
