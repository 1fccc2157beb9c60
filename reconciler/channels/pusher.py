"""The Pusher channel: events to browsers."""

import asyncio
import re
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from pusher import Pusher
from pusher.errors import PusherBadAuth, PusherBadRequest, PusherBadStatus, PusherError, PusherForbidden

from jobtrail.models.datasets.dataset import Group
from jobtrail.models.errors import SettingError
from jobtrail.models.notifications.alert import AlertKind
from jobtrail.models.notifications.outbox import DatasetNews, Envelope
from jobtrail.models.notifications.pusher_channels import dataset_channel, user_channel
from jobtrail.models.places import place_of
from jobtrail.models.redaction import redact
from jobtrail.models.settings import ChannelName, Settings
from jobtrail.reconciler.channels.base import (
    NO_NEWS,
    SENT,
    ChannelCheckError,
    NotificationChannel,
    Recipient,
    SendOutcome,
    SendVerdict,
    news_in,
    unreachable,
)
from jobtrail.reconciler.channels.pusher_event import Event, event

TIMEOUT_S = 5


class PusherChannel(NotificationChannel):
    """Triggers events on private channels, several in one request."""

    name = ChannelName.PUSHER
    needs = ("pusher_url",)
    alert = AlertKind.PUSHER_FAILED
    fallback = "the notifications in the application stand; pages show them when they are loaded"
    batch_max = 10  # Pusher takes no more events in one request

    def __init__(self, settings: Settings) -> None:
        url = settings.pusher_url.get_secret_value() if settings.pusher_url else ""
        self._pusher = pusher_client(url)
        self._place = place_of(url)

    def recipients(self, news: DatasetNews, group: Group, /) -> Sequence[Recipient]:
        """The dataset's own channel, and that of each of the group's users."""
        users = [Recipient(user_channel(user.id), user.id) for user in group.users]
        return [Recipient(dataset_channel(news.dataset_id)), *users]

    async def check(self) -> str:
        """Ask for the channels, which needs key, secret and the app's id."""
        try:
            await asyncio.to_thread(self._pusher.channels_info)
        except (PusherBadAuth, PusherForbidden) as error:
            found = f"{self._place} refuses our key or secret"
            raise ChannelCheckError(found, "correct JOBTRAIL_PUSHER_URL", refused=True) from error
        except PusherBadStatus as error:
            advice = "check the host and the app's id in JOBTRAIL_PUSHER_URL"
            raise unreachable(self._place, error, advice) from error
        except (PusherError, OSError, ValueError) as error:
            raise unreachable(self._place, error, "check the network and JOBTRAIL_PUSHER_URL") from error
        return f"{self._place} accepts us"

    async def send(self, envelopes: Sequence[Envelope]) -> Sequence[SendOutcome]:
        """Trigger events in one request; if it is refused, each alone, so that the good ones arrive."""
        news = [news_in(envelope) for envelope in envelopes]
        events = [event(envelope, some[0]) for envelope, some in zip(envelopes, news, strict=True) if some]
        outcomes = iter(await self._trigger(events))
        return [next(outcomes) if some else NO_NEWS for some in news]

    async def _trigger(self, events: Sequence[Event]) -> list[SendOutcome]:
        if not events:
            return []
        outcome = await self._request(events)
        if outcome.verdict is not SendVerdict.REFUSED or len(events) == 1:
            return [outcome] * len(events)
        outcomes: list[SendOutcome] = []
        for alone in events:
            # What could not be asked any more because the service went away has the same fate as the one before.
            gone = bool(outcomes) and outcomes[-1].verdict in (SendVerdict.OUTAGE, SendVerdict.LIMITED)
            outcomes.append(outcomes[-1] if gone else await self._request([alone]))
        return outcomes

    async def _request(self, events: Sequence[Event]) -> SendOutcome:
        try:
            # Already encoded: the library would count Python's own overhead towards the 10 KB.
            await asyncio.to_thread(self._pusher.trigger_batch, list(events), already_encoded=True)
        except PusherError as error:
            return _outcome(error)
        except (OSError, ValueError) as error:  # no way to it, or an answer that is not JSON
            return SendOutcome(
                verdict=SendVerdict.OUTAGE, code=type(error).__name__, error=f"Pusher can't be reached: {_clean(error)}"
            )
        return SENT


def pusher_client(url: str) -> Pusher:
    """Make the client of Pusher, or of a server that speaks its protocol. It blocks; key and secret are URL-encoded."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _no_pusher() from error
    app = re.fullmatch(r"/apps/([0-9]+)/?", parts.path)
    if parts.scheme not in ("http", "https") or not (parts.hostname and parts.username and parts.password and app):
        raise _no_pusher()
    return Pusher(
        app_id=app[1],
        key=unquote(parts.username),
        secret=unquote(parts.password),
        ssl=parts.scheme == "https",
        host=f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname,
        port=port,
        timeout=TIMEOUT_S,
    )


def _no_pusher() -> SettingError:
    return SettingError(
        "JOBTRAIL_PUSHER_URL is not a Pusher URL: write it as https://key:secret@api-cluster.pusher.com/apps/id"
    )


def _outcome(error: PusherError) -> SendOutcome:
    words = _clean(error)
    if isinstance(error, PusherBadAuth | PusherForbidden):
        code = "401" if isinstance(error, PusherBadAuth) else "403"
        return SendOutcome(verdict=SendVerdict.OUTAGE, code=code, error=f"{words}; check JOBTRAIL_PUSHER_URL")
    if isinstance(error, PusherBadRequest):
        return SendOutcome(verdict=SendVerdict.REFUSED, code="400", error=words)
    status = str(error)[:3] if isinstance(error, PusherBadStatus) else ""
    verdict = {"413": SendVerdict.REFUSED, "429": SendVerdict.LIMITED}.get(status, SendVerdict.OUTAGE)
    return SendOutcome(verdict=verdict, code=status or type(error).__name__, error=words)


def _clean(error: Exception) -> str:
    """Leave out secrets, and the signed part of the URL that the way there puts into its errors."""
    return redact(re.sub(r"\?\S*", "", str(error)))[:300] or type(error).__name__
