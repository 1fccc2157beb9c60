import json

import pytest

from jobtrail.cli.doctor.checks import Check, exit_code_of, failed, ok, warning
from jobtrail.cli.exit_codes import ExitCode, exit_code
from jobtrail.cli.output.error_report import report
from jobtrail.models.errors import (
    BrokerError,
    JobTrailError,
    NotFoundError,
    OwnershipLostError,
    SettingError,
    StoreError,
    TooLateError,
    UnreachableError,
)
from jobtrail.models.places import place_of


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (JobTrailError, 1),
        (OwnershipLostError, 1),
        (TooLateError, 1),
        (SettingError, 2),
        (NotFoundError, 3),
        (UnreachableError, 4),
        (BrokerError, 4),
        (StoreError, 4),
    ],
)
def test_each_error_has_its_exit_code(kind: type[JobTrailError], code: int) -> None:
    assert exit_code(kind("x")) == code


def _error() -> StoreError:
    error = StoreError("MongoDB:\n  gone")
    error.__cause__ = OSError("no route to mongodb://u:hunter2@host")
    return error


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    report(_error(), as_json=False, verbose=False)
    assert capsys.readouterr().err == "jobtrail: error: MongoDB: gone\n"


@pytest.mark.parametrize("by_level", [True, False])
def test_its_causes_are_told_on_demand_without_secrets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, by_level: bool
) -> None:
    if by_level:
        monkeypatch.setenv("JOBTRAIL_LOG_LEVEL", "debug")
    report(_error(), as_json=False, verbose=not by_level)
    assert capsys.readouterr().err.splitlines() == [
        "jobtrail: error: MongoDB: gone",
        "  because of OSError: no route to mongodb://u:***@host",
    ]


def test_where_json_was_asked_for_the_error_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    report(NotFoundError("there is no job 'x'"), as_json=True, verbose=False)
    told = json.loads(capsys.readouterr().err)
    assert told == {"error": {"code": "not_found", "exit_code": 3, "message": "there is no job 'x'"}}


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("amqp://guest:p%40ss@rabbit:5672/", "amqp://rabbit:5672"),
        ("amqps://u:p@rabbit/vhost?heartbeat=5", "amqps://rabbit/vhost"),
        ("mongodb://u:a@b@one:1,two:2/db?replicaSet=rs0&key=x", "mongodb://one:1,two:2/db"),
        ("mongodb://one:27017/?replicaSet=rs0", "mongodb://one:27017"),
        ("secret-without-scheme", "(not a URL)"),
    ],
)
def test_a_place_is_told_without_user_password_and_options(url: str, place: str) -> None:
    assert place_of(url) == place


def test_a_check_up_ends_with_the_code_of_what_has_to_be_mended_first() -> None:
    setting = failed("a", "x", "y", ExitCode.WRONG_USE)
    service = failed("b", "x", "y", ExitCode.UNREACHABLE)
    other = failed("c", "x", "y")
    fine: list[Check] = [ok("d", "x"), warning("e", "x", "y")]
    assert exit_code_of(fine) is ExitCode.DONE
    assert exit_code_of([*fine, other]) is ExitCode.FAILED
    assert exit_code_of([other, service]) is ExitCode.UNREACHABLE
    assert exit_code_of([other, service, setting]) is ExitCode.WRONG_USE
