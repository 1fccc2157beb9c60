"""How a mail looks: plain text, and HTML with the same content."""

import hashlib
from collections.abc import Sequence
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from html import escape

from jobtrail.models.datasets.dataset import DatasetStatus
from jobtrail.models.notifications.outbox import DatasetNews, Envelope
from jobtrail.models.times import clock
from jobtrail.reconciler.channels.wording import cut, docs_place, outcome_of, processing_time
from jobtrail.reconciler.report import COMMAND

_TITLE_CHARS = 200
_ERROR_CHARS = 4000

# Colours that can be read on a light and on a dark ground, for clients that turn only one of the two.
_GREEN, _RED, _GREY = "#1a8754", "#d6303f", "#7a8190"
_FONT = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"


def mail(envelope: Envelope, news: DatasetNews, sender: str, docs_url: str | None) -> EmailMessage:
    """Write a mail.

    `docs_url`: where the docs are published; None if they are not. Returns the mail, complete with its headers. Raises
    `ValueError`: the recipient is no mail address.
    """
    message = EmailMessage()
    title = f"Dataset {news.dataset_id} {outcome_of(news)}"
    subject = " ".join(f"{title}: {news.wishlist}".split())
    message["Subject"] = cut(subject, _TITLE_CHARS)
    message["From"] = sender
    message["To"] = _address(envelope.recipient)
    message["Date"] = format_datetime(news.ended_at)
    message["Message-ID"] = message_id(envelope.key, sender)
    message["Auto-Submitted"] = "auto-generated"
    facts = _facts(news)
    docs = docs_place(docs_url) if docs_url else None
    message.set_content(_text(title, news, facts, docs))
    message.add_alternative(_html(title, news, facts, docs), subtype="html")
    return message


def _address(text: str) -> Address:
    try:
        return Address(addr_spec=text)
    except (MessageError, IndexError) as error:  # the library trips over an empty address
        raise ValueError(str(error)) from error


def message_id(key: str, sender: str) -> str:
    """Make the Message-ID of a notification.

    Returns the same id for the same key.
    """
    domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    return f"<{hashlib.sha256(key.encode()).hexdigest()[:40]}@{domain}>"


def _facts(news: DatasetNews) -> list[tuple[str, str]]:
    facts = [
        ("Dataset", news.dataset_id),
        ("Wishlist group", news.wishlist),
        ("Status", news.status.value),
        ("Asked for", clock(news.created_at)),
        ("Ended", clock(news.ended_at)),
        ("Processing time", processing_time(news)),
    ]
    if news.batch_jobs:
        facts.append(("Viewpoints being analysed", ", ".join(news.batch_jobs)))
    return facts


def _text(title: str, news: DatasetNews, facts: Sequence[tuple[str, str]], docs: str | None) -> str:
    width = max(len(name) for name, _ in facts) + 2
    lines = [f"{title}.", "", *(f"{name + ':':<{width}}{value}" for name, value in facts)]
    if news.error_message:
        lines += ["", "What went wrong:", cut(news.error_message, _ERROR_CHARS)]
    link = [f"Docs: {docs}"] if docs else []
    return "\n".join([*lines, "", *link, f"Sent by JobTrail, {COMMAND}.", ""])


def _html(title: str, news: DatasetNews, facts: Sequence[tuple[str, str]], docs: str | None) -> str:
    colour = _GREEN if news.status is DatasetStatus.COMPLETE else _RED
    rows = "".join(
        f'<tr><td style="padding:4px 16px 4px 0;color:{_GREY};vertical-align:top">{escape(name)}</td>'
        f'<td style="padding:4px 0;word-break:break-word">{escape(value)}</td></tr>'
        for name, value in facts
    )
    error = (
        f'<p style="margin:20px 0 6px;font-weight:600">What went wrong</p><pre style="margin:0;padding:12px;'
        f"border-left:4px solid {_RED};white-space:pre-wrap;word-break:break-word;font-size:13px"
        f'">{escape(cut(news.error_message, _ERROR_CHARS))}</pre>'
        if news.error_message
        else ""
    )
    link = f'Docs: <a href="{escape(docs)}">{escape(docs)}</a><br>' if docs else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">'
        f'<title>{escape(title)}</title></head><body style="margin:0;padding:24px;{_FONT};font-size:15px;'
        'line-height:1.5"><div style="max-width:600px;margin:0 auto">'
        f'<h1 style="margin:0 0 16px;padding-left:12px;border-left:6px solid {colour};font-size:20px;'
        f'line-height:1.3;word-break:break-word">{escape(title)}</h1>'
        f'<table role="presentation" style="border-collapse:collapse;font-size:15px">{rows}</table>{error}'
        f'<p style="margin:28px 0 0;font-size:13px;color:{_GREY}">{link}Sent by JobTrail, {COMMAND}.</p>'
        "</div></body></html>\n"
    )
