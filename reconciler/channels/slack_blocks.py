"""How messages look on Slack: Block Kit, within its limits, with foreign text escaped."""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from jobtrail.models.datasets.dataset import DatasetStatus
from jobtrail.models.notifications.alert import Alert, Severity
from jobtrail.models.notifications.outbox import DatasetNews, Envelope, RunSummary, Timings
from jobtrail.models.times import clock, duration
from jobtrail.reconciler.channels.base import news_in
from jobtrail.reconciler.channels.wording import docs_place, outcome_of, processing_time
from jobtrail.reconciler.report import COMMAND

Block = dict[str, object]

HEADER_CHARS = 150
TEXT_CHARS = 3000
FIELD_CHARS = 2000
LISTED_MAX = 50
"""Datasets or wishlist groups that a message lists; the rest is counted."""
_CAUSE_CHARS = 1500
_NAME_CHARS = 120

_ICONS = {Severity.INFO: "🔵", Severity.WARNING: "🟡", Severity.ERROR: "🔴", Severity.CRITICAL: "🚨"}


@dataclass(slots=True, frozen=True, kw_only=True)
class SlackMessage:
    """What `chat.postMessage` takes."""

    text: str
    """What notifications show, and clients that know no blocks."""
    blocks: Sequence[Block]


def slack_message(envelope: Envelope, docs_url: str | None) -> SlackMessage:
    """Write a message.

    `docs_url`: where the docs are published; None if they are not.
    """
    if news := news_in(envelope):
        return _about_news(news, docs_url)
    if alerts := [entry.body for entry in envelope.entries if isinstance(entry.body, Alert)]:
        return _about_alerts(alerts, docs_url)
    return _about_run([entry.body for entry in envelope.entries if isinstance(entry.body, RunSummary)][-1], docs_url)


def escaped(text: str, characters: int) -> str:
    """Escape what Slack would take for control characters, within a limit.

    Returns the text; an ellipsis shows where it was cut.
    """
    whole = html.escape(text, quote=False)
    if len(whole) <= characters:
        return whole
    return re.sub(r"&[a-z]*$", "", whole[: characters - 1]) + "…"


def _about_news(news: Sequence[DatasetNews], docs_url: str | None) -> SlackMessage:
    first, count = news[0], len(news)
    complete = first.status is DatasetStatus.COMPLETE
    if count == 1:
        title = f"Dataset {first.dataset_id} {outcome_of(first)}"
    else:
        title = f"{count} datasets {'are complete' if complete else 'failed, one cause'}"
    lines = [
        f"• `{escaped(one.dataset_id, _NAME_CHARS)}` {escaped(one.wishlist, _NAME_CHARS)}, took {processing_time(one)}"
        + (f", {_many(len(one.batch_jobs), 'batch job')}" if one.batch_jobs else "")
        for one in news
    ]
    return _message(
        "✅" if complete else _ICONS[Severity.ERROR],
        title,
        first.ended_at,
        Severity.INFO if complete else Severity.ERROR,
        cause=first.error_message,
        lists={"Datasets": lines},
        steps=() if complete else (f"See the story of one: jobtrail datasets show {first.dataset_id}",),
        docs=docs_place(docs_url),
    )


def _about_alerts(alerts: Sequence[Alert], docs_url: str | None) -> SlackMessage:
    first = alerts[0]
    datasets = dict.fromkeys(dataset_id for alert in alerts for dataset_id in alert.dataset_ids)
    wishlists = dict.fromkeys(name for alert in alerts for name in alert.wishlists)
    title = first.meaning.title
    if len(datasets) > 1:
        title = f"{title}: {len(datasets)} datasets, one cause"
    return _message(
        _ICONS[first.meaning.severity],
        title,
        first.at,
        first.meaning.severity,
        cause=first.cause,
        facts={"Error": first.kind.value, "Run": first.run_id, "Processing time": _optional(first.processing_s)},
        lists={
            "Datasets": [f"• `{escaped(dataset_id, _NAME_CHARS)}`" for dataset_id in datasets],
            "Wishlist groups": [f"• {escaped(name, _NAME_CHARS)}" for name in wishlists],
        },
        steps=first.meaning.steps,
        docs=docs_place(docs_url, first.kind.value),
    )


def _about_run(run: RunSummary, docs_url: str | None) -> SlackMessage:
    changed = sum(run.changes.values())
    severity = Severity.CRITICAL if run.halted else Severity.WARNING if run.errors else Severity.INFO
    return _message(
        _ICONS[severity],
        f"Run halted after {_many(run.checked, 'dataset')}"
        if run.halted
        else f"{_many(run.checked, 'dataset')} checked, {changed} changed",
        run.started_at,
        severity,
        cause=run.halted,
        facts={
            "Run": run.run_id,
            "Processing time": duration(run.duration_s),
            "Statuses": _counts(run.statuses),
            "Outcomes": _counts(run.outcomes),
            "Changes": _counts(run.changes),
            "Errors": _counts(run.errors),
            "Analyzer API": _timings(run.api),
            "Database": _timings(run.database),
        },
        docs=docs_place(docs_url),
    )


def _message(
    icon: str,
    title: str,
    at: datetime,
    severity: Severity,
    *,
    cause: str | None,
    docs: str,
    facts: Mapping[str, str] | None = None,
    lists: Mapping[str, Sequence[str]] | None = None,
    steps: Sequence[str] = (),
) -> SlackMessage:
    """Lay out what every message has; lines of lists are escaped already."""
    title = " ".join(title.split())
    blocks = [
        _text_block("header", "plain_text", escaped(f"{icon} {title}", HEADER_CHARS)),
        _context(f"`{COMMAND}` · {clock(at)} · severity *{severity.value}*"),
    ]
    if cause:
        blocks.append(_section("*Cause*\n" + "\n".join(f">{line}" for line in _cause_lines(cause))))
    if facts:
        fields = [f"*{name}*\n{escaped(value, FIELD_CHARS - 100)}" for name, value in facts.items()]
        blocks.append({"type": "section", "fields": [{"type": "mrkdwn", "text": field} for field in fields]})
    for name, lines in (lists or {}).items():
        blocks += [_section(text) for text in _packed(_listed(name, lines))]
    if steps:
        blocks.append(_section("*What to do*\n" + "\n".join(f"• {escaped(step, 300)}" for step in steps)))
    blocks.append(_context(f"Docs: {escaped(docs, 500)}"))
    fallback = f"{icon} {COMMAND}: {title}" + (f": {' '.join(cause.split())}" if cause else "")
    return SlackMessage(text=escaped(fallback, TEXT_CHARS), blocks=blocks)


def _cause_lines(cause: str) -> list[str]:
    return escaped(cause, _CAUSE_CHARS).splitlines()[:20]


def _listed(name: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    rest = [f"… and {len(lines) - LISTED_MAX} more"] if len(lines) > LISTED_MAX else []
    return [f"*{name}*" if len(lines) == 1 else f"*{name}* ({len(lines)})", *lines[:LISTED_MAX], *rest]


def _packed(lines: Iterable[str]) -> list[str]:
    """Join lines to texts that are as long as a block may be."""
    texts: list[str] = []
    for line in lines:
        if texts and len(texts[-1]) + 1 + len(line) <= TEXT_CHARS:
            texts[-1] = f"{texts[-1]}\n{line}"
        else:
            texts.append(line)
    return texts


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def _timings(timings: Timings) -> str:
    if timings.count == 0:
        return "no calls"
    return (
        f"{_many(timings.count, 'call')}, mean {_brief(timings.mean_s)}, "
        f"p95 {_brief(timings.p95_s)}, longest {_brief(timings.most_s)}"
    )


def _many(count: int, what: str) -> str:
    return f"{count:,} {what if count == 1 else f'{what}s'}"


def _brief(seconds: float) -> str:
    """Write how long a call took: most take less than a hundredth of a second."""
    return duration(seconds) if seconds >= 1 else f"{seconds * 1000:.{0 if seconds >= 0.01 else 1}f} ms"


def _optional(seconds: float | None) -> str:
    return "not known" if seconds is None else duration(seconds)


def _section(text: str) -> Block:
    return _text_block("section", "mrkdwn", text)


def _text_block(block: str, kind: str, text: str) -> Block:
    return {"type": block, "text": {"type": kind, "text": text}}


def _context(text: str) -> Block:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}
