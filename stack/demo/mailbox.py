"""The demo's mail server: a real one, which keeps mails as files that any mail program opens."""

import asyncio
import re
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from urllib.parse import urlsplit

from aiosmtpd.smtp import SMTP, Envelope, Session

from jobtrail.models.errors import SettingError
from jobtrail.models.settings import load_settings
from jobtrail.stack.demo.until_sigterm import run_until_sigterm

_MAX_MAILS = 200
"""Only the latest mails are kept."""
_NAME_CHARS = 60


class Mailbox:
    """Writes each mail into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep a mail; aiosmtpd calls this method by name."""
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        (self._folder / _file_name(content)).write_bytes(content)
        for old in sorted(self._folder.glob("*.eml"), key=lambda path: path.stat().st_mtime)[:-_MAX_MAILS]:
            old.unlink()
        return "250 OK"


def _file_name(content: bytes) -> str:
    """Name a mail after its subject, recipient and id, so that a second delivery replaces the first."""
    mail = message_from_bytes(content, policy=default)
    words = (re.sub(r"[^A-Za-z0-9@.]+", "-", str(mail[header] or ""))[:_NAME_CHARS].strip("-") for header in _HEADERS)
    return f"{'_'.join(words)}.eml"


_HEADERS = ("Subject", "To", "Message-ID")


async def serve() -> None:
    """Accept mails at the address of `JOBTRAIL_SMTP_URL` until cancelled."""
    settings = load_settings()
    if settings.smtp_url is None:
        raise SettingError("the demo's mailbox needs JOBTRAIL_SMTP_URL, as smtp://127.0.0.1:2525")
    address = urlsplit(settings.smtp_url.get_secret_value())
    mailbox = Mailbox(settings.data_dir / "demo" / "mail")
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(mailbox, hostname="localhost"), address.hostname, address.port or 0
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    run_until_sigterm(serve())
