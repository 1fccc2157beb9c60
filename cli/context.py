"""What a command works with: the settings, completed by a running private stack, and the trail's database."""

import os
from dataclasses import dataclass

from pydantic import SecretStr

from models.settings import Settings, load_settings
from stack.state import find_running
from store.database import Database


@dataclass(slots=True, frozen=True, kw_only=True)
class Source:
    """Where the services' URLs came from."""

    amqp: str
    mongo: str


PRIVATE = "the running private stack"
UNSET = "nowhere"


def current_settings() -> Settings:
    """Read the settings; a URL that is not set is that of the running private stack, if there is one.

    Returns:
        The settings.

    Raises:
        SettingError: A setting is wrong.
    """
    settings, _source = find_settings()
    return settings


def find_settings() -> tuple[Settings, Source]:
    """Read the settings as `current_settings` does, and tell where the URLs came from.

    Returns:
        The settings, and the sources of their two URLs.

    Raises:
        SettingError: A setting is wrong.
    """
    settings = load_settings()
    found: dict[str, SecretStr] = {}
    if settings.amqp_url is None or settings.mongo_url is None:
        running = find_running(settings.data_dir)
        if running is not None:
            found = {"amqp_url": SecretStr(running.amqp_url), "mongo_url": SecretStr(running.mongo_url)}
    missing = {name: url for name, url in found.items() if getattr(settings, name) is None}
    source = Source(
        amqp=_source_of("amqp_url", settings, missing),
        mongo=_source_of("mongo_url", settings, missing),
    )
    return settings.model_copy(update=missing), source


def _source_of(name: str, settings: Settings, missing: dict[str, SecretStr]) -> str:
    if name in missing:
        return PRIVATE
    if getattr(settings, name) is None:
        return UNSET
    variable = f"JOBTRAIL_{name.upper()}"
    return variable if variable in os.environ else f"{variable} in .env"


def open_database(settings: Settings) -> Database:
    """Open the trail's database.

    Args:
        settings: The settings.

    Returns:
        The database, to be used with `async with`.

    Raises:
        SettingError: No URL is known, or it is none.
    """
    return Database(settings.require_mongo_url(), settings.database)
