"""Options that are made of a pydantic model: the same filters on the command line, over REST and on the page."""

from collections.abc import Sequence
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from jobtrail.cli.options import with_options
from jobtrail.models.errors import SettingError
from jobtrail.models.filters import shown
from jobtrail.models.jobs.filter import JobFilter
from jobtrail.models.jobs.status import RUNNING, Status


def filter_of(*arguments: str) -> JobFilter:
    """Run a command with these arguments, and return the filter that it gets."""
    seen: list[JobFilter] = []
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    @with_options
    def list_(*, wanted: JobFilter, limit: int = 20) -> None:
        assert limit == 20
        seen.append(wanted)

    result = CliRunner().invoke(app, arguments)
    if isinstance(result.exception, SettingError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return seen[0]


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ((), {}),
        (("--extractor", "ocr", "--user", "ann"), {"extractor": "ocr", "user": "ann"}),
        (("--status", "error,Done", "--status", "skip"), {"status": [Status.ERROR, Status.SUCCEEDED, Status.SKIPPED]}),
        (("--stalled",), {"stalled": True}),
        (("--grep", "no such file"), {"q": "no such file"}),
    ],
)
def test_what_is_given_as_options_is_the_filter(arguments: Sequence[str], given: dict[str, Any]) -> None:
    assert filter_of(*arguments).given() == given


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--status", "broken"), "--status: 'broken' is not a status"),
        (("--until", "soon"), "--until: 'soon' is not an age"),
        (("--grep", "x" * 129), "--grep: String should have at most 128 characters"),
        (("--stalled", "--status", "error"), "only running jobs can be stalled"),
    ],
)
def test_what_is_wrong_names_its_option(arguments: Sequence[str], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        filter_of(*arguments)


def test_every_field_of_the_filter_is_one_that_people_meet() -> None:
    assert all(shown(field) for field in JobFilter.model_fields.values())
    assert JobFilter(stalled=True).statuses == RUNNING
