from datetime import UTC, datetime, timedelta, timezone

import pytest

from jobtrail.cli.output.formats import one_line, parse_since, printable
from jobtrail.models.errors import SettingError
from jobtrail.models.times import clock, duration, relative, rfc3339

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.004, "0.00 s"),
        (0.35, "0.35 s"),
        (7, "7 s"),
        (12.34, "12.3 s"),
        (59.9, "59.9 s"),
        (59.96, "1 min"),
        (72, "1 min 12 s"),
        (3599.6, "1 h"),
        (7500, "2 h 5 min"),
        (273_600, "3 d 4 h"),
        (-72, "-1 min 12 s"),
    ],
)
def test_durations_are_short_and_carry_their_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_times_for_programs_are_rfc_3339_in_utc_with_milliseconds() -> None:
    cet = datetime(2026, 11, 22, 1, 2, 3, 45_678, tzinfo=timezone(timedelta(hours=1)))
    assert rfc3339(cet) == "2026-11-22T00:02:03.045Z"
    assert rfc3339(None) is None
    assert clock(cet) == "2026-11-22 00:02:03Z"


@pytest.mark.parametrize(
    ("ago_s", "text"),
    [(0, "just now"), (-30, "just now"), (5, "5 s ago"), (185, "3 min ago"), (7300, "2 h ago"), (-400, "in 6 min")],
)
def test_relative_times_forgive_clocks_that_differ_a_little(ago_s: float, text: str) -> None:
    assert relative(NOW - timedelta(seconds=ago_s), NOW) == text


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("30m", NOW - timedelta(minutes=30)),
        ("2h", NOW - timedelta(hours=2)),
        ("1D", NOW - timedelta(days=1)),
        ("1.5 h", NOW - timedelta(minutes=90)),
        ("2026-11-21", datetime(2026, 11, 21, tzinfo=UTC)),
        ("2026-11-22T01:00:00+01:00", datetime(2026, 11, 22, tzinfo=UTC)),
    ],
)
def test_since_is_an_age_or_a_time(text: str, moment: datetime) -> None:
    assert parse_since(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "10 parsecs", "9999999999w", "-1d"])
def test_since_that_is_neither_is_a_wrong_setting(text: str) -> None:
    with pytest.raises(SettingError, match=r"--since: .* is not an age"):
        parse_since(text, NOW)


def test_what_a_worker_says_cannot_fool_the_terminal() -> None:
    assert one_line("a \t b\r\n c\x1b[31m\x07") == "a b c\ufffd[31m\ufffd"
    assert printable("line 1\n\x1b]0;title\x07 ü 語") == "line 1\n\ufffd]0;title\ufffd ü 語"
