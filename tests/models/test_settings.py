"""A wrong setting is one clear line."""

from pathlib import Path

import pytest

from jobtrail.models.errors import SettingError
from jobtrail.models.settings import load_settings


def test_an_option_goes_before_the_environment_and_that_before_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("JOBTRAIL_DATABASE=of_file\nJOBTRAIL_PREFETCH=700\nOTHER=1\n")
    monkeypatch.setenv("JOBTRAIL_DATABASE", "of_environment")

    assert load_settings().database == "of_environment"
    assert load_settings().prefetch == 700
    assert load_settings({"database": "of_option", "prefetch": None}).database == "of_option"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PREFETCH", "many", "JOBTRAIL_PREFETCH: Input should be a valid integer"),
        ("INSTANCE_TIMEOUT_S", "15", "must be at least twice JOBTRAIL_HEARTBEAT_INTERVAL_S (10)"),
        ("DEAD_LETTER_QUEUE", "jobtrail.updates", "must differ"),
        ("BRIDGED_QUEUES", "error.a,jobtrail.updates", "JOBTRAIL_BRIDGED_QUEUES must not name the stream"),
        ("CAPTURE_QUEUES", "jobtrail.replies", "a queue is either bridged or captured"),
        ("FORWARD_TO", "jobtrail.updates", "can't be forwarded to jobtrail.updates"),
        ("LOG_LEVEL", "loud", "JOBTRAIL_LOG_LEVEL: Input should be 'debug', 'info'"),
        ("DATASET_SOURCE", "all", "JOBTRAIL_DATASET_SOURCE: Input should be 'api', 'events' or 'both' (it is 'all')"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(f"JOBTRAIL_{name}", value)

    with pytest.raises(SettingError) as caught:
        load_settings()

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_urls_are_asked_for_by_name_and_never_shown() -> None:
    settings = load_settings({"amqp_url": "amqp://u:s3cret@h/"})

    assert "s3cret" not in repr(settings)
    assert settings.require_amqp_url() == "amqp://u:s3cret@h/"
    with pytest.raises(SettingError, match="JOBTRAIL_MONGO_URL is not set"):
        settings.require_mongo_url()
