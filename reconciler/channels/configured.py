"""Which channels are on, by the settings."""

from jobtrail.models.notifications.outbox import ChannelName
from jobtrail.models.settings import Settings
from jobtrail.reconciler.channels.base import NotificationChannel
from jobtrail.reconciler.channels.email import EmailChannel
from jobtrail.reconciler.channels.pusher import PusherChannel
from jobtrail.reconciler.channels.slack import SlackChannel


def channels_on(settings: Settings) -> list[NotificationChannel]:
    """Make the channels that are configured.

    Args:
        settings: The settings.

    Returns:
        The channels; nothing is connected yet.

    Raises:
        SettingError: A channel's URL is unusable.
    """
    channels: list[NotificationChannel] = []
    if settings.slack_token is not None:
        channels.append(SlackChannel(settings.slack_token.get_secret_value(), settings.slack_url, settings.docs_url))
    if settings.smtp_url is not None:
        channels.append(EmailChannel(settings.smtp_url.get_secret_value(), settings.email_from, settings.docs_url))
    if settings.pusher_url is not None:
        channels.append(PusherChannel(settings.pusher_url.get_secret_value()))
    return channels


def channels_off(settings: Settings) -> dict[ChannelName, str]:
    """Say which channels are off, and why.

    Args:
        settings: The settings.

    Returns:
        The reason by channel.
    """
    reasons = {}
    if settings.slack_token is None:
        reasons[ChannelName.SLACK] = "JOBTRAIL_SLACK_TOKEN and JOBTRAIL_SLACK_CHANNEL are not set"
    if settings.smtp_url is None:
        reasons[ChannelName.EMAIL] = "JOBTRAIL_SMTP_URL is not set"
    if settings.pusher_url is None:
        reasons[ChannelName.PUSHER] = "JOBTRAIL_PUSHER_URL is not set"
    return reasons
