"""Words that the messages of several channels share."""

from jobtrail.models.datasets.dataset import DatasetStatus
from jobtrail.models.notifications.outbox import DatasetNews
from jobtrail.models.times import duration

_PAGE = "datasets.md"


def cut(text: str, characters: int) -> str:
    """Shorten a text that is too long; an ellipsis shows where.

    Returns the text, or its beginning and `…`.
    """
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def outcome_of(news: DatasetNews) -> str:
    """Say what became of a dataset: `is complete` or `failed`."""
    return "is complete" if news.status is DatasetStatus.COMPLETE else "failed"


def processing_time(news: DatasetNews) -> str:
    """Say how long a dataset was in the making."""
    return duration((news.ended_at - news.created_at).total_seconds())


def docs_place(docs_url: str | None, anchor: str | None = None) -> str:
    """Say where the docs explain a message.

    `docs_url`: where the docs are published; None for their path in the repository.
    """
    base = docs_url.rstrip("/") if docs_url else "docs"
    return f"{base}/{_PAGE}#{anchor}" if anchor else f"{base}/{_PAGE}"
