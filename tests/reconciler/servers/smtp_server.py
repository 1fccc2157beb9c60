"""A real SMTP server (aiosmtpd) in the test's event loop."""

import asyncio
import email
import email.policy
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


@dataclass(slots=True)
class SmtpServer:
    """What it has got, and what it is told to answer."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    """To whom, by the envelopes."""
    connections: int = 0
    encrypted: list[bool] = field(default_factory=list)
    """Whether each mail came over TLS."""
    logins: list[tuple[str, str]] = field(default_factory=list)
    recipient_answers: dict[str, str] = field(default_factory=dict)
    """Answers other than 250, by recipient."""
    data_answers: deque[str] = field(default_factory=deque)
    """Answers to give to the next mails instead of taking them."""
    password: str | None = None

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    # aiosmtpd calls these by name.
    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if answer := self.recipient_answers.get(address):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.data_answers:
            return self.data_answers.popleft()
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        self.recipients += envelope.rcpt_tos
        self.encrypted.append(session.ssl is not None)
        return "250 OK"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, login: object) -> AuthResult:
        assert isinstance(login, LoginPassword)
        self.logins.append((login.login.decode(), login.password.decode()))
        return AuthResult(success=login.password.decode() == self.password, handled=False)


@asynccontextmanager
async def smtp_server(
    *, tls: ssl.SSLContext | None = None, password: str | None = None, port: int = 0
) -> AsyncIterator[SmtpServer]:
    """Run a mail server; with `tls` it offers STARTTLS, with a password it wants a login."""
    handler = SmtpServer(password=password)

    def protocol() -> SMTP:
        handler.connections += 1
        return SMTP(
            handler,
            hostname="localhost",
            tls_context=tls,
            authenticator=handler.authenticate if password else None,
            auth_required=password is not None and tls is not None,  # without TLS it would warn
            auth_require_tls=tls is not None,
        )

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", port)
    handler.port = server.sockets[0].getsockname()[1]
    try:
        yield handler
    finally:
        server.close()
        await server.wait_closed()
