"""The email channel."""

from collections.abc import Sequence
from contextlib import suppress
from email.message import EmailMessage
from email.utils import parseaddr
from urllib.parse import unquote, urlsplit

import aiosmtplib

from jobtrail.models.datasets.dataset import Group
from jobtrail.models.errors import SettingError
from jobtrail.models.notifications.alert import AlertKind
from jobtrail.models.notifications.outbox import DatasetNews, Envelope
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
from jobtrail.reconciler.channels.email_message import mail

TIMEOUT_S = 10.0
_CLOSING = 421
"""The server ends the connection: it shuts down, or has too many."""


class EmailChannel(NotificationChannel):
    """Sends mails over one connection, which is kept as long as there are mails."""

    name = ChannelName.EMAIL
    needs = ("smtp_url",)
    alert = AlertKind.EMAIL_FAILED
    fallback = "the notifications in the application stand"

    def __init__(self, settings: Settings) -> None:
        url = settings.smtp_url.get_secret_value() if settings.smtp_url else ""
        if "@" not in parseaddr(settings.email_from)[1]:
            raise SettingError("JOBTRAIL_EMAIL_FROM is not a mail address: write it as JobTrail <jobtrail@example.org>")
        self._server = _smtp_client(url)
        self._place = place_of(url)
        self._sender = settings.email_from
        self._docs_url = settings.docs_url

    def recipients(self, _news: DatasetNews, group: Group, /) -> Sequence[Recipient]:
        """The group's users that have an address."""
        return [Recipient(user.email, user.id) for user in group.users if user.email]

    async def check(self) -> str:
        """Log in."""
        try:
            async with self._server as server:
                await server.noop()
        except aiosmtplib.SMTPAuthenticationError as error:
            found = f"{self._place} refuses our user or password: {redact(error.message)}"
            raise ChannelCheckError(found, "correct JOBTRAIL_SMTP_URL", refused=True) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise unreachable(self._place, error, "start the mail server or correct JOBTRAIL_SMTP_URL") from error
        return f"{self._place} accepts us"

    async def send(self, envelopes: Sequence[Envelope]) -> Sequence[SendOutcome]:
        """Send mails, one after another."""
        return [await self._send(envelope) for envelope in envelopes]

    async def close(self) -> None:
        """Close the connection."""
        with suppress(aiosmtplib.SMTPException, OSError):  # there is nothing left to lose
            if self._server.is_connected:
                await self._server.quit()
        self._server.close()

    async def _send(self, envelope: Envelope) -> SendOutcome:
        news = news_in(envelope)
        if not news:
            return NO_NEWS
        try:
            message = mail(envelope, news[0], self._sender, self._docs_url)
        except ValueError as error:
            return SendOutcome(
                verdict=SendVerdict.REFUSED, code="invalid_address", error=f"no mail address: {error}"[:300]
            )
        return await self._deliver(message)

    async def _deliver(self, message: EmailMessage) -> SendOutcome:
        try:
            if not self._server.is_connected:
                await self._server.connect()
            await self._server.send_message(message)
        except aiosmtplib.SMTPNotSupported as error:
            return SendOutcome(verdict=SendVerdict.REFUSED, code="not_supported", error=_clean(error))
        except aiosmtplib.SMTPRecipientsRefused as error:
            return _refused(error.recipients[0])
        except aiosmtplib.SMTPDataError as error:
            return _refused(error)
        except (aiosmtplib.SMTPException, OSError) as error:
            return await self._outage(error)
        return SENT

    async def _outage(self, error: Exception) -> SendOutcome:
        """The server, or its view of our sender and password, is at fault: it concerns every mail."""
        await self.close()
        code = str(error.code) if isinstance(error, aiosmtplib.SMTPResponseException) else type(error).__name__
        advice = "; check JOBTRAIL_SMTP_URL" if isinstance(error, aiosmtplib.SMTPAuthenticationError) else ""
        return SendOutcome(verdict=SendVerdict.OUTAGE, code=code, error=f"mail server: {_clean(error)}{advice}")


def _smtp_client(url: str) -> aiosmtplib.SMTP:
    """Make the client of a mail server; it connects later. On `smtp://` TLS is used if the server offers it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _no_server() from error
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise _no_server()
    return aiosmtplib.SMTP(
        hostname=parts.hostname,
        port=port,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        use_tls=parts.scheme == "smtps",
        timeout=TIMEOUT_S,
    )


def _no_server() -> SettingError:
    return SettingError(
        "JOBTRAIL_SMTP_URL is not a mail server: write it as smtp://user:password@host:587 or smtps://…"
    )


def _refused(error: aiosmtplib.SMTPResponseException) -> SendOutcome:
    """A mail or its recipient was refused: 4xx for now, 5xx for good; 421 is about the connection."""
    verdict = (
        SendVerdict.OUTAGE
        if error.code == _CLOSING
        else SendVerdict.REFUSED
        if error.code >= 500
        else SendVerdict.FAILED
    )
    return SendOutcome(verdict=verdict, code=str(error.code), error=f"mail server: {_clean(error)}")


def _clean(error: Exception) -> str:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return redact(f"{error.code} {error.message}")[:300]
    return redact(str(error))[:300] or type(error).__name__
