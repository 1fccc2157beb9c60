"""Alerts and summaries as entries of the outbox, for Slack."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from jobtrail.models.notifications.alert import Alert
from jobtrail.models.notifications.outbox import GROUPING_S, OutboxEntry, RunSummary
from jobtrail.models.settings import ChannelName


def slack_entries(bodies: Sequence[Alert | RunSummary], slack_channel: str | None) -> list[OutboxEntry]:
    """Make the outbox entries of alerts and summaries.

    Args:
        bodies: What to tell.
        slack_channel: Where; None when Slack is off.

    Returns:
        The entries; none when Slack is off.
    """
    if slack_channel is None:
        return []
    return [_slack_entry(body, slack_channel) for body in bodies]


def _slack_entry(body: Alert | RunSummary, slack_channel: str) -> OutboxEntry:
    now = datetime.now(UTC)
    return OutboxEntry(
        key=_key(body),
        channel=ChannelName.SLACK,
        recipient=slack_channel,
        body=body,
        cause=f"{body.kind}: {body.cause}" if isinstance(body, Alert) else f"summary {body.run_id}",
        created_at=now,
        not_before=now + timedelta(seconds=GROUPING_S if isinstance(body, Alert) else 0),
    )


def _key(body: Alert | RunSummary) -> str:
    if isinstance(body, Alert):
        digest = hashlib.sha256(f"{body.cause}\n{','.join(body.dataset_ids)}".encode()).hexdigest()[:12]
        return f"alert:{body.run_id}:{body.kind}:{digest}"
    return f"summary:{body.run_id}"
