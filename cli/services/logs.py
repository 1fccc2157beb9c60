"""Sets up the services' log: plain lines on a terminal, JSON lines elsewhere, secrets masked."""

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from jobtrail.models.redaction import redact
from jobtrail.models.settings import Settings

_NOISY = ("aio_pika", "aiormq", "pymongo", "pika", "asyncio", "httpx", "apscheduler")


def set_up_logs(settings: Settings) -> None:
    """Send the records of structlog and of the standard library's logging to stderr, in one form."""
    on_terminal = sys.stderr.isatty()
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not on_terminal)
    common: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redact_values,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=on_terminal and not os.environ.get("NO_COLOR"), timestamp_key="time", pad_event_to=32
        )
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=common, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for name in _NOISY:
        # Their errors are translated into ours, which are logged.
        logging.getLogger(name).setLevel("DEBUG" if settings.log_level == "debug" else "CRITICAL")
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *common,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def redact_values(_logger: object, _method: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask the secrets in every text of a record, in place."""
    for name, value in record.items():
        if isinstance(value, str):
            record[name] = redact(value)
    return record
