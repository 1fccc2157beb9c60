"""The email channel: real SMTP against a real server (aiosmtpd)."""

import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest

from jobtrail.models.errors import SettingError
from jobtrail.models.notifications.outbox import OutboxEntry
from jobtrail.models.settings import ChannelName, Settings
from jobtrail.reconciler.channels.base import SendOutcome, SendVerdict
from jobtrail.reconciler.channels.email import EmailChannel
from tests.reconciler.messages import alert, entry, envelope, news, with_channels
from tests.reconciler.servers.smtp_server import SmtpServer, smtp_server

EMAIL = ChannelName.EMAIL
SENDER = "JobTrail <jobtrail@example.org>"


@pytest.fixture
async def smtp() -> AsyncIterator[SmtpServer]:
    async with smtp_server() as server:
        yield server


def mail_channel(url: str, *, email_from: str = SENDER, docs_url: str | None = None) -> EmailChannel:
    return EmailChannel(with_channels(Settings(), smtp=url, email_from=email_from, docs_url=docs_url))


async def send(url: str, *entries: OutboxEntry, docs_url: str | None = None) -> list[SendOutcome]:
    channel = mail_channel(url, docs_url=docs_url)
    outcomes = await channel.send([envelope(mail) for mail in entries])
    await channel.close()
    return list(outcomes)


def parts(mail: EmailMessage) -> tuple[str, str]:
    """The text and the HTML of a mail."""
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert isinstance(text, EmailMessage)
    assert isinstance(html, EmailMessage)
    return text.get_content(), html.get_content()


async def test_a_failure_is_told_in_text_and_in_html(smtp: SmtpServer) -> None:
    failed = news(failed=True, error_message="3 < 5 images & no <labels>")
    (outcome,) = await send(smtp.url, entry(EMAIL, failed), docs_url="https://docs.example.org")
    assert outcome.verdict is SendVerdict.SENT
    (mail,) = smtp.mails
    assert mail["Subject"] == "Dataset ds-1 failed: Winter shoes"
    assert mail["To"] == "ada@example.org"
    assert mail["From"] == SENDER
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"] == "Sun, 22 Nov 2026 04:00:00 +0000"
    text, html = parts(mail)
    for part in ("ds-1", "Winter shoes", "Failed", "2026-11-22 04:00:00Z", "12 min 5 s", "https://docs.example.org"):
        assert part in text
        assert part in html
    assert "3 < 5 images & no <labels>" in text
    assert "3 &lt; 5 images &amp; no &lt;labels&gt;" in html
    assert "<labels>" not in html


async def test_a_completion_names_the_viewpoints_being_analysed(smtp: SmtpServer) -> None:
    await send(smtp.url, entry(EMAIL, news(batch_jobs={"front": "job-1", "back": "job-2"})))
    assert smtp.mails[0]["Subject"] == "Dataset ds-1 is complete: Winter shoes"
    for content in parts(smtp.mails[0]):
        assert "front, back" in content
        assert "What went wrong" not in content


async def test_the_message_id_is_the_notifications_own_and_stays_the_same(smtp: SmtpServer) -> None:
    await send(smtp.url, entry(EMAIL), entry(EMAIL), entry(EMAIL, news("ds-2")))
    first, again, other = (mail["Message-ID"] for mail in smtp.mails)
    assert first == again != other
    assert first.endswith("@example.org>")


async def test_a_name_with_line_breaks_or_foreign_letters_does_no_harm(smtp: SmtpServer) -> None:
    wishlist = "Überschuhe ❄\r\nBcc: eve@example.org\n" + "x" * 500
    (outcome,) = await send(smtp.url, entry(EMAIL, news(wishlist=wishlist, failed=True, error_message="é" * 9000)))
    assert outcome.verdict is SendVerdict.SENT
    assert smtp.recipients == ["ada@example.org"]
    assert smtp.mails[0]["Bcc"] is None
    assert smtp.mails[0]["Subject"].startswith("Dataset ds-1 failed: Überschuhe ❄ Bcc: eve")


async def test_several_mails_go_over_one_connection(smtp: SmtpServer) -> None:
    await send(smtp.url, *(entry(EMAIL, news(f"ds-{number}")) for number in range(5)))
    assert len(smtp.mails) == 5
    assert smtp.connections == 1


async def test_a_refused_recipient_does_not_stop_the_others(smtp: SmtpServer) -> None:
    smtp.recipient_answers = {"gone@example.org": "550 5.1.1 no such user", "full@example.org": "450 mailbox busy"}
    recipients = ("gone@example.org", "full@example.org", "ada@example.org")
    outcomes = await send(smtp.url, *(replace(entry(EMAIL), recipient=recipient) for recipient in recipients))
    assert [(outcome.verdict, outcome.code) for outcome in outcomes] == [
        (SendVerdict.REFUSED, "550"),
        (SendVerdict.FAILED, "450"),
        (SendVerdict.SENT, None),
    ]
    assert "no such user" in str(outcomes[0].error)
    assert smtp.recipients == ["ada@example.org"]
    assert smtp.connections == 1


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("554 5.7.1 looks like spam", SendVerdict.REFUSED),
        ("451 try later", SendVerdict.FAILED),
        ("421 too busy", SendVerdict.OUTAGE),
    ],
)
async def test_an_answer_to_a_mail_is_judged_by_its_code(smtp: SmtpServer, answer: str, verdict: SendVerdict) -> None:
    smtp.data_answers.append(answer)
    outcomes = await send(smtp.url, entry(EMAIL), entry(EMAIL))
    assert [outcome.verdict for outcome in outcomes] == [verdict, SendVerdict.SENT]
    assert answer[:3] in str(outcomes[0].error)


@pytest.mark.parametrize("recipient", ["nobody", "a b@example.org", "", "x@example.org\nBcc: y@example.org", "@"])
async def test_what_is_no_mail_address_is_refused(smtp: SmtpServer, recipient: str) -> None:
    outcomes = await send(smtp.url, replace(entry(EMAIL), recipient=recipient), entry(EMAIL))
    assert [outcome.verdict for outcome in outcomes] == [SendVerdict.REFUSED, SendVerdict.SENT]


async def test_an_address_that_the_server_cannot_write_is_refused(smtp: SmtpServer) -> None:
    outcomes = await send(smtp.url, replace(entry(EMAIL), recipient="jörg@example.org"), entry(EMAIL))
    assert [outcome.verdict for outcome in outcomes] == [SendVerdict.REFUSED, SendVerdict.SENT]


async def test_an_alert_cannot_be_mailed(smtp: SmtpServer) -> None:
    (outcome,) = await send(smtp.url, entry(EMAIL, alert()))
    assert outcome.verdict is SendVerdict.REFUSED


async def test_no_server_is_an_outage_and_once_it_is_back_mails_go_out() -> None:
    async with smtp_server() as gone:
        url, port = gone.url, gone.port
    channel = mail_channel(url)
    (outcome,) = await channel.send([envelope(entry(EMAIL))])
    assert outcome.verdict is SendVerdict.OUTAGE
    async with smtp_server(port=port):
        (outcome,) = await channel.send([envelope(entry(EMAIL))])
        assert outcome.verdict is SendVerdict.SENT
        await channel.close()


async def test_login_goes_over_tls_and_user_and_password_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with smtp_server(tls=own_tls(tmp_path, monkeypatch), password="p@ss/word") as server:
        (outcome,) = await send(f"smtp://ada%40example.org:p%40ss%2Fword@127.0.0.1:{server.port}", entry(EMAIL))
        assert outcome.verdict is SendVerdict.SENT
        assert server.logins == [("ada@example.org", "p@ss/word")]
        assert server.encrypted == [True]


async def test_a_wrong_password_is_an_outage_and_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with smtp_server(tls=own_tls(tmp_path, monkeypatch), password="right") as server:
        (outcome,) = await send(f"smtp://ada:hunter2@127.0.0.1:{server.port}", entry(EMAIL))
        assert (outcome.verdict, outcome.code) == (SendVerdict.OUTAGE, "535")
        assert "JOBTRAIL_SMTP_URL" in str(outcome.error)
        assert "hunter2" not in repr(outcome)
        assert not server.mails


async def test_a_server_whose_certificate_nobody_vouches_for_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = own_tls(tmp_path, monkeypatch)
    monkeypatch.delenv("SSL_CERT_FILE")
    async with smtp_server(tls=tls, password="right") as server:
        (outcome,) = await send(f"smtp://ada:right@127.0.0.1:{server.port}", entry(EMAIL))
        assert outcome.verdict is SendVerdict.OUTAGE
        assert not server.logins


@pytest.mark.parametrize("url", ["mail.example.org", "http://mail.example.org", "smtp://", "smtp://host:port"])
def test_a_url_of_no_mail_server_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(SettingError, match="JOBTRAIL_SMTP_URL"):
        mail_channel(url)


def test_a_sender_without_an_address_is_a_wrong_setting() -> None:
    with pytest.raises(SettingError, match="JOBTRAIL_EMAIL_FROM"):
        mail_channel("smtp://localhost", email_from="JobTrail")


def own_tls(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Make a certificate for 127.0.0.1 and let this process trust it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
    subprocess.run(command, check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
