"""What a command works with: the settings, completed by a running private stack, and the database."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from jobtrail.models.settings import Settings, load_settings
from jobtrail.stack.state import find_running, noted_settings
from jobtrail.store.database import Database


@dataclass(slots=True, frozen=True, kw_only=True)
class Source:
    """Where the two URLs came from."""

    amqp: str
    mongo: str


PRIVATE = "the running private stack"
UNSET = "nowhere"


def current_settings(overrides: Mapping[str, object] | None = None) -> Settings:
    """Read the settings, with what is not set taken from the running private stack, if there is one.

    `overrides` are a command's options, by field name.

    Raises:
        SettingError: A setting is wrong.
    """
    settings, _source = find_settings(overrides)
    return settings


def find_settings(overrides: Mapping[str, object] | None = None) -> tuple[Settings, Source]:
    """Read the settings as `current_settings` does, with the sources of the two URLs."""
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
    # The demo's analyzer does not know the datasets in another database.
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
    """Open the trail's database, for `async with`."""
    return Database(settings.require_mongo_url(), settings.database)
