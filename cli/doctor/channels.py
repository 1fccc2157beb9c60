"""Checks the notification channels: which are on, and whether their services accept us. Nothing is sent."""

import asyncio
from collections.abc import Awaitable, Callable

import aiosmtplib
import httpx
from pusher.errors import PusherBadAuth, PusherBadStatus, PusherError, PusherForbidden

from jobtrail.cli.doctor.checks import Check, failed, ok
from jobtrail.cli.exit_codes import ExitCode
from jobtrail.cli.places import place_of
from jobtrail.models.errors import SettingError
from jobtrail.models.notifications.outbox import ChannelName
from jobtrail.models.redaction import redact
from jobtrail.models.settings import Settings
from jobtrail.reconciler.channels.configured import channels_off
from jobtrail.reconciler.channels.email import smtp_client
from jobtrail.reconciler.channels.pusher import pusher_client

_TIMEOUT_S = 5.0


async def check_channels(settings: Settings) -> list[Check]:
    """Check each channel."""
    off = channels_off(settings)
    probes: dict[ChannelName, Callable[[Settings], Awaitable[Check]]] = {
        ChannelName.SLACK: _slack,
        ChannelName.EMAIL: _email,
        ChannelName.PUSHER: _pusher,
    }
    skipped = [ok(name.value, f"off: {reason}") for name, reason in off.items()]
    return [*skipped, *await asyncio.gather(*(probe(settings) for name, probe in probes.items() if name not in off))]


async def _slack(settings: Settings) -> Check:
    name = ChannelName.SLACK.value
    token = settings.slack_token.get_secret_value() if settings.slack_token else ""
    place = place_of(settings.slack_url)
    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT_S) as client:
            url = f"{settings.slack_url.rstrip('/')}/auth.test"
            answer = (await client.post(url, headers={"Authorization": f"Bearer {token}"})).json()
        if not answer["ok"]:
            words = f"{place} refuses the token: {answer['error']}"
            return failed(name, words, "correct JOBTRAIL_SLACK_TOKEN", ExitCode.WRONG_USE)
        return ok(name, f"on: to {settings.slack_channel}, as {answer.get('user', '?')} at {answer.get('team', '?')}")
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError, KeyError) as error:
        return _unreachable(name, place, error, "check the network and JOBTRAIL_SLACK_URL")


async def _email(settings: Settings) -> Check:
    name = ChannelName.EMAIL.value
    url = settings.smtp_url.get_secret_value() if settings.smtp_url else ""
    place = place_of(url)
    try:
        server = smtp_client(url)
        server.timeout = _TIMEOUT_S
        async with server:
            await server.noop()
    except SettingError as error:
        return failed(name, str(error), "correct JOBTRAIL_SMTP_URL", ExitCode.WRONG_USE)
    except aiosmtplib.SMTPAuthenticationError as error:
        words = f"{place} refuses our user or password: {redact(error.message)}"
        return failed(name, words, "correct JOBTRAIL_SMTP_URL", ExitCode.WRONG_USE)
    except (aiosmtplib.SMTPException, OSError) as error:
        return _unreachable(name, place, error, "start the mail server or correct JOBTRAIL_SMTP_URL")
    return ok(name, f"on: {place} accepts us")


async def _pusher(settings: Settings) -> Check:
    name = ChannelName.PUSHER.value
    url = settings.pusher_url.get_secret_value() if settings.pusher_url else ""
    place = place_of(url)
    try:
        await asyncio.to_thread(pusher_client(url).channels_info)
    except SettingError as error:
        return failed(name, str(error), "correct JOBTRAIL_PUSHER_URL", ExitCode.WRONG_USE)
    except (PusherBadAuth, PusherForbidden):
        words = f"{place} refuses our key or secret"
        return failed(name, words, "correct JOBTRAIL_PUSHER_URL", ExitCode.WRONG_USE)
    except PusherBadStatus as error:
        return _unreachable(name, place, error, "check the host and the app's id in JOBTRAIL_PUSHER_URL")
    except (PusherError, OSError, ValueError) as error:
        return _unreachable(name, place, error, "check the network and JOBTRAIL_PUSHER_URL")
    return ok(name, f"on: {place} accepts us")


def _unreachable(name: str, place: str, error: Exception, advice: str) -> Check:
    # The part of a URL behind `?` may hold a signature.
    words = redact(str(error)).partition("?")[0][:200] or type(error).__name__
    return failed(name, f"{place}: {words}", advice, ExitCode.UNREACHABLE)
