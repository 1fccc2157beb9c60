"""The email channel."""

from collections.abc import Sequence
from contextlib import suppress
from email.message import EmailMessage
from email.utils import parseaddr
from urllib.parse import unquote, urlsplit

import aiosmtplib

from jobtrail.models.errors import SettingError
from jobtrail.models.notifications.alert import AlertKind
from jobtrail.models.notifications.outbox import ChannelName, Envelope
from jobtrail.models.redaction import redact
from jobtrail.reconciler.channels.base import NO_NEWS, SENT, NotificationChannel, SendOutcome, SendVerdict, news_in
from jobtrail.reconciler.channels.email_message import mail

TIMEOUT_S = 10.0
_CLOSING = 421
"""The server ends the connection: it shuts down, or has too many."""


class EmailChannel(NotificationChannel):
    """Sends mails over one connection, which is kept as long as there are mails.

    Args:
        url: The mail server, as `smtp://user:password@host:587` or `smtps://…`; user and password URL-encoded.
        sender: The sender's address, with or without a name.
        docs_url: Where the docs are published; None if they are not.

    Raises:
        SettingError: The URL is none of a mail server, or the sender no mail address.
    """

    name = ChannelName.EMAIL
    alert = AlertKind.EMAIL_FAILED
    fallback = "the notifications in the application stand"

    def __init__(self, url: str, sender: str, docs_url: str | None) -> None:
        if "@" not in parseaddr(sender)[1]:
            raise SettingError("JOBTRAIL_EMAIL_FROM is no mail address: give it as JobTrail <jobtrail@example.org>")
        self._server = smtp_client(url)
        self._sender = sender
        self._docs_url = docs_url

    async def send(self, envelopes: Sequence[Envelope]) -> Sequence[SendOutcome]:
        """Send mails, one after another."""
        return [await self._send(envelope) for envelope in envelopes]

    async def rest(self) -> None:
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
        await self.rest()
        code = str(error.code) if isinstance(error, aiosmtplib.SMTPResponseException) else type(error).__name__
        advice = "; check JOBTRAIL_SMTP_URL" if isinstance(error, aiosmtplib.SMTPAuthenticationError) else ""
        return SendOutcome(verdict=SendVerdict.OUTAGE, code=code, error=f"mail server: {_clean(error)}{advice}")


def smtp_client(url: str) -> aiosmtplib.SMTP:
    """Make the client of a mail server; it connects later.

    Args:
        url: As for `EmailChannel`. On `smtp://` TLS is used if the server offers it.

    Returns:
        The client.

    Raises:
        SettingError: The URL is none of a mail server.
    """
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
    return SettingError("JOBTRAIL_SMTP_URL is no mail server: give it as smtp://user:password@host:587 or smtps://…")


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
