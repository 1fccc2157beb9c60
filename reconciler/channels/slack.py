"""The Slack channel."""

from collections.abc import Mapping, Sequence

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from jobtrail.models.notifications.alert import AlertKind
from jobtrail.models.notifications.outbox import ChannelName, Envelope
from jobtrail.models.redaction import redact
from jobtrail.reconciler.channels.base import SENT, Channel, Outcome, Verdict
from jobtrail.reconciler.channels.slack_blocks import slack_message

EVENT_TYPE = "jobtrail_notification"
TIMEOUT_S = 10

_SETTINGS_ADVICE = "check JOBTRAIL_SLACK_TOKEN"
_DEFECT_ADVICE = "Slack does not take this message as it is: report it"

# https://docs.slack.dev/reference/methods/chat.postMessage#errors; what is not named here is tried again.
_ERRORS: dict[str, tuple[Verdict, str]] = {
    # Nothing gets through until somebody acts, so the messages wait.
    "invalid_auth": (Verdict.OUTAGE, _SETTINGS_ADVICE),
    "not_authed": (Verdict.OUTAGE, _SETTINGS_ADVICE),
    "account_inactive": (Verdict.OUTAGE, _SETTINGS_ADVICE),
    "token_revoked": (Verdict.OUTAGE, _SETTINGS_ADVICE),
    "token_expired": (Verdict.OUTAGE, _SETTINGS_ADVICE),
    "not_allowed_token_type": (Verdict.OUTAGE, f"{_SETTINGS_ADVICE}: a bot token is needed"),
    "missing_scope": (Verdict.OUTAGE, "give the bot the scope chat:write, and chat:write.public for others' channels"),
    "no_permission": (Verdict.OUTAGE, "give the bot the scope chat:write"),
    "org_login_required": (Verdict.OUTAGE, "the workspace is being migrated"),
    "ekm_access_denied": (Verdict.OUTAGE, "the workspace's administrators have suspended posting"),
    "team_access_not_granted": (Verdict.OUTAGE, "install the app in the workspace"),
    "access_denied": (Verdict.OUTAGE, _SETTINGS_ADVICE),
    # Slack's own trouble.
    "internal_error": (Verdict.OUTAGE, "Slack has a problem of its own"),
    "fatal_error": (Verdict.OUTAGE, "Slack has a problem of its own"),
    "service_unavailable": (Verdict.OUTAGE, "Slack has a problem of its own"),
    "request_timeout": (Verdict.OUTAGE, "Slack did not get the whole request"),
    # Too fast.
    "ratelimited": (Verdict.LIMITED, "Slack limits our rate"),
    "rate_limited": (Verdict.LIMITED, "Slack limits our rate"),
    "message_limit_exceeded": (Verdict.OUTAGE, "the workspace has used up its messages"),
    # The recipient, which the entry names.
    "channel_not_found": (Verdict.REFUSED, "check JOBTRAIL_SLACK_CHANNEL, and invite the bot if it is private"),
    "not_in_channel": (Verdict.REFUSED, "invite the bot to the channel, then: jobtrail outbox retry"),
    "is_archived": (Verdict.REFUSED, "the channel is archived: choose another JOBTRAIL_SLACK_CHANNEL"),
    "restricted_action": (Verdict.REFUSED, "the workspace does not let the bot post there"),
    "restricted_action_read_only_channel": (Verdict.REFUSED, "the channel is read-only"),
    # The message.
    "msg_too_long": (Verdict.REFUSED, _DEFECT_ADVICE),
    "msg_blocks_too_long": (Verdict.REFUSED, _DEFECT_ADVICE),
    "invalid_blocks": (Verdict.REFUSED, _DEFECT_ADVICE),
    "invalid_blocks_format": (Verdict.REFUSED, _DEFECT_ADVICE),
    "invalid_arguments": (Verdict.REFUSED, _DEFECT_ADVICE),
    "no_text": (Verdict.REFUSED, _DEFECT_ADVICE),
    "metadata_too_large": (Verdict.REFUSED, _DEFECT_ADVICE),
    "invalid_metadata_format": (Verdict.REFUSED, _DEFECT_ADVICE),
}


class SlackChannel(Channel):
    """Posts to Slack as a bot.

    Args:
        token: The bot's token.
        url: Base URL of Slack's Web API.
        docs_url: Where the docs are published; None if they are not.
    """

    name = ChannelName.SLACK
    alert = AlertKind.SLACK_FAILED
    fallback = "the log tells what Slack would have told"
    groups = True
    interval_s = 1.0  # Slack allows a message per second and channel

    def __init__(self, token: str, url: str, docs_url: str | None) -> None:
        # The outbox tries again by itself, and notes each attempt.
        self._client = AsyncWebClient(token, base_url=url, timeout=TIMEOUT_S, retry_handlers=[])
        self._docs_url = docs_url

    async def send(self, envelopes: Sequence[Envelope]) -> Sequence[Outcome]:
        """Post messages, one after another."""
        return [await self._post(envelope) for envelope in envelopes]

    async def _post(self, envelope: Envelope) -> Outcome:
        message = slack_message(envelope, self._docs_url)
        try:
            await self._client.chat_postMessage(
                channel=envelope.recipient,
                text=message.text,
                blocks=list(message.blocks),
                metadata={"event_type": EVENT_TYPE, "event_payload": {"id": envelope.key}},
                unfurl_links=False,
            )
        except SlackApiError as error:
            return _outcome(error)
        except (SlackClientError, aiohttp.ClientError, OSError) as error:  # a timeout is an OSError too
            reason = redact(str(error)) or type(error).__name__
            return Outcome(
                verdict=Verdict.OUTAGE, code=type(error).__name__, error=f"Slack can't be reached: {reason[:300]}"
            )
        except AttributeError:  # slack_sdk trips over plain text, which a proxy may answer
            words = "Slack answered with plain text: check JOBTRAIL_SLACK_URL"
            return Outcome(verdict=Verdict.OUTAGE, code="200", error=words)
        return SENT


def _outcome(error: SlackApiError) -> Outcome:
    """Judge Slack's answer by its status, headers and error code; its text might hold a secret."""
    answer = error.response
    parsed = isinstance(answer, AsyncSlackResponse)  # else it is aiohttp's, of which the body was no JSON
    status: int = answer.status_code if parsed else answer.status
    code = answer.data.get("error") if parsed and isinstance(answer.data, dict) else None
    after_s = _retry_after_s(answer.headers)
    if status == 429:
        return Outcome(verdict=Verdict.LIMITED, code="ratelimited", error="Slack limits our rate", after_s=after_s)
    if not isinstance(code, str):
        words = f"Slack answered HTTP {status} without an error code"
        return Outcome(verdict=Verdict.OUTAGE, code=str(status), error=words, after_s=after_s)
    verdict, advice = _ERRORS.get(code, (Verdict.FAILED, "not known here"))
    return Outcome(verdict=verdict, code=code[:100], error=f"{code[:100]}: {advice}", after_s=after_s)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read how many seconds to wait; servers write the header's name in different ways."""
    for name, value in headers.items():
        if name.lower() == "retry-after" and value.isdecimal():
            return float(value)
    return None
