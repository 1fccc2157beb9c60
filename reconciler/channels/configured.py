"""Which channels there are, and which are on by the settings."""

from collections.abc import Sequence
from importlib import import_module

from jobtrail.models.settings import ChannelName, Settings
from jobtrail.reconciler.channels.base import NotificationChannel


def channel_classes() -> Sequence[type[NotificationChannel]]:
    """Find each channel's class in the module of its name."""
    modules = [import_module(f"jobtrail.reconciler.channels.{name}").__name__ for name in ChannelName]
    found = {kind.__module__: kind for kind in NotificationChannel.__subclasses__()}
    return [found[module] for module in modules]


def channels_on(settings: Settings) -> list[NotificationChannel]:
    """Make the channels that are on; nothing is connected yet. Raises `SettingError` if a setting is unusable."""
    return [kind(settings) for kind in channel_classes() if kind.is_on(settings)]


def channels_off(settings: Settings) -> dict[ChannelName, str]:
    """Say why channels are off, by channel."""
    return {
        kind.name: f"{kind.variables()} {'is' if len(kind.needs) == 1 else 'are'} not set"
        for kind in channel_classes()
        if not kind.is_on(settings)
    }
