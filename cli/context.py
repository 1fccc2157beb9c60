"""What a command works with: the settings, completed by a running private stack, and the trail's database."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from jobtrail.models.settings import Settings, load_settings
from jobtrail.stack.state import find_running, noted_settings
from jobtrail.store.database import Database


@dataclass(slots=True, frozen=True, kw_only=True)
class Source:
    """Where the services' URLs came from."""

    amqp: str
    mongo: str


PRIVATE = "the running private stack"
UNSET = "nowhere"


def current_settings(overrides: Mapping[str, object] | None = None) -> Settings:
    """Read the settings; what is not set is as the running private stack has it, if there is one.

    Args:
        overrides: A command's options, by field name; see `load_settings`.

    Returns:
        The settings.

    Raises:
        SettingError: A setting is wrong.
    """
    settings, _source = find_settings(overrides)
    return settings


def find_settings(overrides: Mapping[str, object] | None = None) -> tuple[Settings, Source]:
    """Read the settings as `current_settings` does, and tell where the two services' URLs came from.

    Args:
        overrides: As there.

    Returns:
        The settings, and the sources of their two URLs.

    Raises:
        SettingError: A setting is wrong.
    """
    given = load_settings(overrides)
    settings = _completed(given, overrides or {})
    return settings, Source(
        amqp=_source_of("amqp_url", given, settings), mongo=_source_of("mongo_url", given, settings)
    )


def _completed(given: Settings, overrides: Mapping[str, object]) -> Settings:
    running = find_running(given.data_dir)
    if running is None:
        return given
    known = {"amqp_url": running.amqp_url, "mongo_url": running.mongo_url}
    # The demo's analyzer knows nothing of the datasets in another database.
    if given.mongo_url is None or given.require_mongo_url() == running.mongo_url:
        known |= noted_settings(given.data_dir)
    missing = {name: value for name, value in known.items() if name not in given.model_fields_set}
    return load_settings({**missing, **overrides})


def _source_of(name: str, given: Settings, settings: Settings) -> str:
    if getattr(settings, name) is None:
        return UNSET
    if getattr(given, name) is None:
        return PRIVATE
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
