"""What a channel to the outside answers: whether it is on, who hears of a dataset, whether its service accepts us."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from jobtrail.models.datasets.dataset import Group
from jobtrail.models.errors import JobTrailError
from jobtrail.models.notifications.alert import AlertKind
from jobtrail.models.notifications.outbox import DatasetNews, Envelope
from jobtrail.models.redaction import redact
from jobtrail.models.settings import ChannelName, Settings


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


@dataclass(slots=True, frozen=True)
class Recipient:
    """One who hears of a dataset on one channel."""

    address: str
    """As the channel writes it: a Slack channel, a mail address, a Pusher channel."""
    user_id: str | None = None
    """The user, where it is one."""


class ChannelCheckError(JobTrailError):
    """A channel's service refuses us, or can't be reached."""

    def __init__(self, found: str, advice: str, *, refused: bool = False) -> None:
        super().__init__(found)
        self.advice = advice
        self.refused = refused


class NotificationChannel(ABC):
    """A way to the outside: all that is particular to one channel. No driver's error leaves it.

    A channel is a module of this folder, named as in `ChannelName`, with one subclass in it.
    """

    name: ClassVar[ChannelName]
    needs: ClassVar[Sequence[str]]
    """The settings without which it is off, by field name."""
    alert: ClassVar[AlertKind] = AlertKind.CHANNEL_FAILED
    """What its outage is."""
    fallback: ClassVar[str]
    """What users and admins have while it does not work."""
    groups: ClassVar[bool] = False
    """Whether messages with one recipient and one cause become one."""
    batch_max: ClassVar[int] = 1
    """Messages that one `send` takes."""
    interval_s: ClassVar[float] = 0.0
    """Least seconds between two sends."""

    @abstractmethod
    def __init__(self, settings: Settings) -> None:
        """Make it of settings that turn it on; connects to nothing yet. Raises `SettingError` if one is unusable."""

    @classmethod
    def is_on(cls, settings: Settings) -> bool:
        """Say whether everything that it needs is set."""
        return all(getattr(settings, name) for name in cls.needs)

    @classmethod
    def variables(cls) -> str:
        """Name the environment variables that turn it on."""
        return " and ".join(f"JOBTRAIL_{name.upper()}" for name in cls.needs)

    @abstractmethod
    def recipients(self, news: DatasetNews, group: Group, /) -> Sequence[Recipient]:
        """Choose who hears of a dataset of this wishlist group."""

    @abstractmethod
    async def check(self) -> str:
        """Ask the service whether it accepts us, and send nothing; raises `ChannelCheckError` if it does not.

        Returns where messages go, such as `to #ops, as jobtrail at ACME`.
        """

    @abstractmethod
    async def send(self, envelopes: Sequence[Envelope]) -> Sequence[SendOutcome]:
        """Try to send at most `batch_max` messages; returns one outcome per message, in their order."""

    async def close(self) -> None:  # noqa: B027  # most keep nothing open
        """Close what was kept open between sends: there is nothing more to send for now."""


def news_in(envelope: Envelope) -> list[DatasetNews]:
    """Return the dataset news of a message; alerts and summaries are passed over."""
    return [entry.body for entry in envelope.entries if isinstance(entry.body, DatasetNews)]


NO_NEWS = SendOutcome(
    verdict=SendVerdict.REFUSED, code="no_dataset_news", error="only news of datasets can be sent on this channel"
)


def unreachable(place: str, error: Exception, advice: str) -> ChannelCheckError:
    """Make the error of a service that gives no usable answer; a URL's query is cut off, it may hold a signature."""
    words = redact(str(error)).partition("?")[0][:200] or type(error).__name__
    return ChannelCheckError(f"{place}: {words}", advice)
