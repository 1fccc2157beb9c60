"""Checks the notification channels: which are on, and whether their services accept us. Nothing is sent."""

import asyncio

from jobtrail.cli.doctor.checks import Check, failed, ok
from jobtrail.cli.exit_codes import ExitCode
from jobtrail.models.errors import SettingError
from jobtrail.models.settings import Settings
from jobtrail.reconciler.channels.base import ChannelCheckError, NotificationChannel
from jobtrail.reconciler.channels.configured import channel_classes, channels_off

_TIMEOUT_S = 5.0


async def check_channels(settings: Settings) -> list[Check]:
    """Check each channel."""
    skipped = [ok(name.value, f"off: {reason}") for name, reason in channels_off(settings).items()]
    on = [kind for kind in channel_classes() if kind.is_on(settings)]
    return [*skipped, *await asyncio.gather(*(_check(kind, settings) for kind in on))]


async def _check(kind: type[NotificationChannel], settings: Settings) -> Check:
    name = kind.name.value
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return ok(name, f"on: {await kind(settings).check()}")
    except SettingError as error:
        return failed(name, str(error), f"correct {kind.variables()}", ExitCode.WRONG_USE)
    except TimeoutError:
        found, advice = f"no answer within {_TIMEOUT_S:g} s", f"check the network and {kind.variables()}"
        return failed(name, found, advice, ExitCode.UNREACHABLE)
    except ChannelCheckError as error:
        code = ExitCode.WRONG_USE if error.refused else ExitCode.UNREACHABLE
        return failed(name, str(error), error.advice, code)
