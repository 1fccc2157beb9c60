"""The Slack channel."""

from collections.abc import Mapping, Sequence

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from jobtrail.models.datasets.dataset import Group
from jobtrail.models.notifications.alert import AlertKind
from jobtrail.models.notifications.outbox import DatasetNews, Envelope
from jobtrail.models.places import place_of
from jobtrail.models.redaction import redact
from jobtrail.models.settings import ChannelName, Settings
from jobtrail.reconciler.channels.base import (
    SENT,
    ChannelCheckError,
    NotificationChannel,
    Recipient,
    SendOutcome,
    SendVerdict,
    unreachable,
)
from jobtrail.reconciler.channels.slack_blocks import slack_message

EVENT_TYPE = "jobtrail_notification"
TIMEOUT_S = 10

_URL_ADVICE = "check the network and JOBTRAIL_SLACK_URL"
_SETTINGS_ADVICE = "check JOBTRAIL_SLACK_TOKEN"
_DEFECT_ADVICE = "Slack does not take this message as it is: report it"

# https://docs.slack.dev/reference/methods/chat.postMessage#errors; what is not named here is tried again.
_ERRORS: dict[str, tuple[SendVerdict, str]] = {
    # Nothing gets through until an admin acts, so the messages wait.
    "invalid_auth": (SendVerdict.OUTAGE, _SETTINGS_ADVICE),
    "not_authed": (SendVerdict.OUTAGE, _SETTINGS_ADVICE),
    "account_inactive": (SendVerdict.OUTAGE, _SETTINGS_ADVICE),
    "token_revoked": (SendVerdict.OUTAGE, _SETTINGS_ADVICE),
    "token_expired": (SendVerdict.OUTAGE, _SETTINGS_ADVICE),
    "not_allowed_token_type": (SendVerdict.OUTAGE, f"{_SETTINGS_ADVICE}: a bot token is needed"),
    "missing_scope": (
        SendVerdict.OUTAGE,
        "give the bot the scope chat:write, and chat:write.public for others' channels",
    ),
    "no_permission": (SendVerdict.OUTAGE, "give the bot the scope chat:write"),
    "org_login_required": (SendVerdict.OUTAGE, "the workspace is being migrated"),
    "ekm_access_denied": (SendVerdict.OUTAGE, "the workspace's administrators have suspended posting"),
    "team_access_not_granted": (SendVerdict.OUTAGE, "install the app in the workspace"),
    "access_denied": (SendVerdict.OUTAGE, _SETTINGS_ADVICE),
    # Slack's own trouble.
    "internal_error": (SendVerdict.OUTAGE, "Slack has a problem of its own"),
    "fatal_error": (SendVerdict.OUTAGE, "Slack has a problem of its own"),
    "service_unavailable": (SendVerdict.OUTAGE, "Slack has a problem of its own"),
    "request_timeout": (SendVerdict.OUTAGE, "Slack did not get the whole request"),
    # Too fast.
    "ratelimited": (SendVerdict.LIMITED, "Slack limits our rate"),
    "rate_limited": (SendVerdict.LIMITED, "Slack limits our rate"),
    "message_limit_exceeded": (SendVerdict.OUTAGE, "the workspace has used up its messages"),
    # The recipient, which the entry names.
    "channel_not_found": (SendVerdict.REFUSED, "check JOBTRAIL_SLACK_CHANNEL, and invite the bot if it is private"),
    "not_in_channel": (SendVerdict.REFUSED, "invite the bot to the channel, then: jobtrail outbox retry"),
    "is_archived": (SendVerdict.REFUSED, "the channel is archived: choose another JOBTRAIL_SLACK_CHANNEL"),
    "restricted_action": (SendVerdict.REFUSED, "the workspace does not let the bot post there"),
    "restricted_action_read_only_channel": (SendVerdict.REFUSED, "the channel is read-only"),
    # The message.
    "msg_too_long": (SendVerdict.REFUSED, _DEFECT_ADVICE),
    "msg_blocks_too_long": (SendVerdict.REFUSED, _DEFECT_ADVICE),
    "invalid_blocks": (SendVerdict.REFUSED, _DEFECT_ADVICE),
    "invalid_blocks_format": (SendVerdict.REFUSED, _DEFECT_ADVICE),
    "invalid_arguments": (SendVerdict.REFUSED, _DEFECT_ADVICE),
    "no_text": (SendVerdict.REFUSED, _DEFECT_ADVICE),
    "metadata_too_large": (SendVerdict.REFUSED, _DEFECT_ADVICE),
    "invalid_metadata_format": (SendVerdict.REFUSED, _DEFECT_ADVICE),
}


class SlackChannel(NotificationChannel):
    """Posts to Slack as a bot."""

    name = ChannelName.SLACK
    needs = ("slack_token", "slack_channel")
    alert = AlertKind.SLACK_FAILED
    fallback = "the log has what Slack would have shown"
    groups = True
    interval_s = 1.0  # Slack allows a message per second and channel

    def __init__(self, settings: Settings) -> None:
        token = settings.slack_token.get_secret_value() if settings.slack_token else ""
        # The outbox tries again by itself, and notes each attempt.
        self._client = AsyncWebClient(token, base_url=settings.slack_url, timeout=TIMEOUT_S, retry_handlers=[])
        self._place = place_of(settings.slack_url)
        self._channel = settings.slack_channel or ""
        self._docs_url = settings.docs_url

    def recipients(self, _news: DatasetNews, _group: Group, /) -> Sequence[Recipient]:
        """Every dataset goes to the one channel of the settings."""
        return [Recipient(self._channel)]

    async def check(self) -> str:
        """Ask Slack whose token it is."""
        try:
            answer = await self._client.auth_test()
        except SlackApiError as error:
            outcome = _outcome(error)
            if not isinstance(error.response, AsyncSlackResponse):
                raise unreachable(self._place, error, _URL_ADVICE) from error
            found = f"{self._place} refuses the token: {outcome.code}"
            raise ChannelCheckError(found, "correct JOBTRAIL_SLACK_TOKEN", refused=True) from error
        except (SlackClientError, aiohttp.ClientError, OSError, AttributeError) as error:  # as in `_post`
            raise unreachable(self._place, error, _URL_ADVICE) from error
        return f"to {self._channel}, as {answer.get('user', '?')} at {answer.get('team', '?')}"

    async def send(self, envelopes: Sequence[Envelope]) -> Sequence[SendOutcome]:
        """Post messages, one after another."""
        return [await self._post(envelope) for envelope in envelopes]

    async def _post(self, envelope: Envelope) -> SendOutcome:
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
            return SendOutcome(
                verdict=SendVerdict.OUTAGE, code=type(error).__name__, error=f"Slack can't be reached: {reason[:300]}"
            )
        except AttributeError:  # slack_sdk trips over plain text, which a proxy may answer
            words = "Slack answered with plain text: check JOBTRAIL_SLACK_URL"
            return SendOutcome(verdict=SendVerdict.OUTAGE, code="200", error=words)
        return SENT


def _outcome(error: SlackApiError) -> SendOutcome:
    """Judge Slack's answer by its status, headers and error code; its text might hold a secret."""
    answer = error.response
    parsed = isinstance(answer, AsyncSlackResponse)  # else it is aiohttp's, of which the body was no JSON
    status: int = answer.status_code if parsed else answer.status
    code = answer.data.get("error") if parsed and isinstance(answer.data, dict) else None
    after_s = _retry_after_s(answer.headers)
    if status == 429:
        return SendOutcome(
            verdict=SendVerdict.LIMITED, code="ratelimited", error="Slack limits our rate", after_s=after_s
        )
    if not isinstance(code, str):
        words = f"Slack answered HTTP {status} without an error code"
        return SendOutcome(verdict=SendVerdict.OUTAGE, code=str(status), error=words, after_s=after_s)
    verdict, advice = _ERRORS.get(code, (SendVerdict.FAILED, "not known here"))
    return SendOutcome(verdict=verdict, code=code[:100], error=f"{code[:100]}: {advice}", after_s=after_s)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read how many seconds to wait; servers write the header's name in different ways."""
    for name, value in headers.items():
        if name.lower() == "retry-after" and value.isdecimal():
            return float(value)
    return None
