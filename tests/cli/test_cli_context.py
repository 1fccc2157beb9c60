"""What a command takes over from a running private stack."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobtrail.cli.context import PRIVATE, find_settings
from jobtrail.stack.state import StackState, StackUrls

URLS = StackUrls(amqp_url="amqp://127.0.0.1:1/", mongo_url="mongodb://127.0.0.1:2/?replicaSet=rs0")


@pytest.fixture(autouse=True)
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StackState]:
    """A private stack that has chosen an analyzer and a port; this process is its supervisor."""
    monkeypatch.setenv("JOBTRAIL_DATA_DIR", str(tmp_path))
    state = StackState(tmp_path)
    state.note_up(URLS, [])
    state.note_settings({"analyzer_url": "http://127.0.0.1:3", "analyzer_token": "secret", "web_port": "4"})
    yield state
    state.clear()


def test_a_command_works_with_what_was_chosen_for_the_running_stack() -> None:
    settings, source = find_settings()
    assert (source.amqp, source.mongo) == (PRIVATE, PRIVATE)
    assert settings.require_mongo_url() == URLS.mongo_url
    assert (settings.analyzer_url, settings.web_port) == ("http://127.0.0.1:3", 4)
    assert settings.analyzer_token is not None
    assert settings.analyzer_token.get_secret_value() == "secret"


def test_what_is_given_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBTRAIL_WEB_PORT", "8080")
    monkeypatch.setenv("JOBTRAIL_MONGO_URL", URLS.mongo_url)
    settings, source = find_settings()
    assert source.mongo == "JOBTRAIL_MONGO_URL"
    assert (settings.analyzer_url, settings.web_port) == ("http://127.0.0.1:3", 8080)


def test_the_stacks_analyzer_is_not_asked_for_the_datasets_of_another_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBTRAIL_MONGO_URL", "mongodb://elsewhere/?replicaSet=rs0")
    settings, _source = find_settings()
    assert settings.require_amqp_url() == URLS.amqp_url
    assert (settings.analyzer_url, settings.web_port) == (None, 8080)


def test_what_was_chosen_ends_with_the_stack(running: StackState) -> None:
    running.clear()
    settings, _source = find_settings()
    assert (settings.mongo_url, settings.analyzer_url) == (None, None)
