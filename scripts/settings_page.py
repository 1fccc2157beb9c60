"""Writes the tables of docs/settings.md from the settings' model: `python -m scripts.settings_page`."""

from collections.abc import Iterator
from pathlib import Path

from jobtrail.models.settings import Settings

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
BEGIN = "<!-- tables: written by `python -m scripts.settings_page` -->"
END = "<!-- end of tables -->"
HEADINGS = {
    "amqp_url": "Broker, database and data",
    "reply_stream": "Status updates",
    "bridged_queues": "Bridges and the forwarder",
    "dead_letter_queue": "Queues",
    "prefetch": "Batches and retries",
    "heartbeat_interval_s": "Heartbeats",
    "console_database": "Datasets",
    "slack_token": "Notifications",
    "health_host": "Health pages",
    "capture_queues": "Dead letters",
    "web_host": "Web",
    "log_level": "Logging",
}
"""The sections of the page, each under the setting that it begins with."""


def page() -> str:
    """The page as it should be: its own prose, with tables made from the model."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{''.join(_tables())}\n{END}{after}"


def _tables() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        if name in HEADINGS:
            yield f"\n## {HEADINGS[name]}\n\n| variable | default | meaning |\n|---|---|---|\n"
        yield f"| `JOBTRAIL_{name.upper()}` | {_default(field.default)} | {field.description} |\n"


def _default(value: object) -> str:
    if value in (None, ""):
        return "none"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


if __name__ == "__main__":
    PAGE.write_text(page())
