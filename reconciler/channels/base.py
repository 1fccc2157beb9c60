"""What every channel to the outside does, and what may become of a message on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from jobtrail.models.notifications.alert import AlertKind
from jobtrail.models.notifications.outbox import ChannelName, DatasetNews, Envelope


class SendVerdict(StrEnum):
    """What became of one try to send a message."""

    SENT = "sent"
    FAILED = "failed"
    """Not sent; this message is tried again later."""
    REFUSED = "refused"
    """Not sent, and another try would not help."""
    LIMITED = "limited"
    """Too many messages: the whole channel waits. It counts as no attempt."""
    OUTAGE = "outage"
    """The service is away or does not let us in: the whole channel waits."""


@dataclass(slots=True, frozen=True, kw_only=True)
class SendOutcome:
    """What became of one try to send a message, and why."""

    verdict: SendVerdict
    code: str | None = None
    """The service's own error code, or the error's name."""
    error: str | None = None
    """In words, with advice where there is some, without secrets."""
    after_s: float | None = None
    """Seconds that the service asked to wait."""


SENT = SendOutcome(verdict=SendVerdict.SENT)


class NotificationChannel:
    """A way to the outside. Errors of its service become outcomes; no driver's error leaves it."""

    name: ClassVar[ChannelName]
    alert: ClassVar[AlertKind]
    """What its outage is."""
    fallback: ClassVar[str]
    """What users and admins have while it does not work."""
    groups: ClassVar[bool] = False
    """Whether messages with one recipient and one cause become one."""
    at_once: ClassVar[int] = 1
    """Messages that one `send` takes."""
    interval_s: ClassVar[float] = 0.0
    """Least seconds between two sends."""

    async def send(self, envelopes: Sequence[Envelope]) -> Sequence[SendOutcome]:
        """Try to send messages.

        Args:
            envelopes: At most `at_once` messages.

        Returns:
            One outcome per message, in their order.
        """
        raise NotImplementedError

    async def rest(self) -> None:
        """Close what was kept open between sends: there is nothing more to send for now."""


def news_in(envelope: Envelope) -> list[DatasetNews]:
    """Return the dataset news of a message; alerts and summaries are passed over."""
    return [entry.body for entry in envelope.entries if isinstance(entry.body, DatasetNews)]


NO_NEWS = SendOutcome(
    verdict=SendVerdict.REFUSED, code="no_dataset_news", error="only news of datasets can be sent on this channel"
)
