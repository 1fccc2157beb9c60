"""How an event looks on Pusher: JSON of at most 10 KB."""

import json

from jobtrail.models.notifications.outbox import DatasetNews, Envelope
from jobtrail.reconciler.channels.wording import cut

DATA_BYTES = 10 * 1024
"""What Pusher takes as one event's data."""
_CUTS = (6000, 1000, 150)
"""Lengths in characters to which texts are cut, until all of it fits; a character takes up to 12 bytes of JSON."""

Event = dict[str, str]
"""An event as the library takes it: channel, name and data."""


def event(envelope: Envelope, news: DatasetNews) -> Event:
    """Write an event.

    Returns the event. Where long texts were cut, or the batch jobs left out, its data says `"cut": true`.
    """
    data = _data(envelope, news)
    for characters in _CUTS:
        if len(data) <= DATA_BYTES:
            break
        data = _data(envelope, news, characters)
    return {"channel": envelope.recipient, "name": news.event, "data": data}


def _data(envelope: Envelope, news: DatasetNews, characters: int | None = None) -> str:
    """Write the data in ASCII, so that its characters are its bytes."""
    texts = {"wishlist": news.wishlist, "error_message": news.error_message}
    if characters is not None:
        texts = {name: text and cut(text, characters) for name, text in texts.items()}
    content = {
        "id": envelope.key,
        "dataset_id": news.dataset_id,
        "status": news.status.value,
        **texts,
        "created_at": news.created_at.isoformat(timespec="milliseconds"),
        "ended_at": news.ended_at.isoformat(timespec="milliseconds"),
        "processing_s": round((news.ended_at - news.created_at).total_seconds(), 3),
        "batch_jobs": dict(news.batch_jobs or {}) if characters is None else {},
        "cut": characters is not None,
    }
    return json.dumps(content, separators=(",", ":"))
