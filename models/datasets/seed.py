"""A file of wishlist groups, datasets and crawler schedules, for a start without the console."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

from jobtrail.models.datasets.dataset import valid_dataset_id
from jobtrail.models.errors import SettingError

_PROBLEMS_TOLD = 3
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")


def _checked_dataset_id(text: str) -> str:
    try:
        return valid_dataset_id(text)
    except SettingError as error:
        raise ValueError(str(error)) from error


def _checked_email(text: str) -> str:
    if _EMAIL.fullmatch(text) is None:
        raise ValueError(f"{text[:80]!r} is not a mail address")
    return text


DatasetId = Annotated[str, AfterValidator(_checked_dataset_id)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Email = Annotated[str, AfterValidator(_checked_email)]


class _Part(BaseModel):
    # A misspelt field must not pass for one that was left out.
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class SeedUser(_Part):
    """Somebody who is to hear of a group's datasets."""

    id: Name
    email: Email | None = None


class SeedGroup(_Part):
    """A wishlist group."""

    name: Name
    training_schedule: Name | None = None
    is_manual_request: bool = False
    users: tuple[SeedUser, ...] = ()
    viewpoints: tuple[Name, ...] = ()
    required_extractors: tuple[Name, ...] = ()


class SeedDataset(_Part):
    """A dataset that is asked for."""

    dataset_id: DatasetId
    group: Name
    """The group's name: one of the file or one that is stored."""


class SeedSchedule(_Part):
    """A schedule of the crawler."""

    group: Name
    type: Literal["once"] = "once"


class Seed(_Part):
    """All that is to be there."""

    groups: tuple[SeedGroup, ...] = ()
    datasets: tuple[SeedDataset, ...] = ()
    crawler_schedules: tuple[SeedSchedule, ...] = ()


def read_seed(text: str | bytes) -> Seed:
    """Read a file's text.

    Args:
        text: JSON.

    Returns:
        What is to be there; no name and no dataset id comes twice.

    Raises:
        SettingError: It is none; the message names the record and the field.
    """
    with _setting_errors():
        seed = Seed.model_validate_json(text)
    _check_unique("groups", "name", (group.name for group in seed.groups))
    _check_unique("datasets", "dataset_id", (dataset.dataset_id for dataset in seed.datasets))
    _check_unique("crawler_schedules", "group", (schedule.group for schedule in seed.crawler_schedules))
    return seed


def seed_of_one(
    dataset_id: str,
    *,
    group: str,
    training_schedule: str | None = None,
    users: Mapping[str, str | None] | None = None,
    viewpoints: Iterable[str] = (),
    required_extractors: Iterable[str] = (),
) -> Seed:
    """Make a seed of one dataset and its group.

    Args:
        dataset_id: The dataset.
        group: The group's name.
        training_schedule: The group's schedule.
        users: Who is to hear of its datasets: mail addresses by id.
        viewpoints: Viewpoints that need a batch job each.
        required_extractors: Extractors whose jobs make a dataset complete.

    Returns:
        The seed.

    Raises:
        SettingError: One of them is not what it should be; the message names it.
    """
    with _setting_errors():
        return Seed.model_validate(
            {
                "groups": [
                    {
                        "name": group,
                        "training_schedule": training_schedule,
                        "users": [{"id": id_, "email": email} for id_, email in (users or {}).items()],
                        "viewpoints": viewpoints,
                        "required_extractors": required_extractors,
                    }
                ],
                "datasets": [{"dataset_id": dataset_id, "group": group}],
            }
        )


@contextmanager
def _setting_errors() -> Iterator[None]:
    """Turn pydantic's errors into one line."""
    try:
        yield
    except ValidationError as error:
        problems = [f"{_place(each['loc'])}{_words(each['msg'])}" for each in error.errors(include_url=False)]
        more = f" (and {len(problems) - _PROBLEMS_TOLD} more)" if len(problems) > _PROBLEMS_TOLD else ""
        raise SettingError("; ".join(problems[:_PROBLEMS_TOLD]) + more) from error


def _check_unique(record: str, name: str, values: Iterable[str]) -> None:
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise SettingError(f"{record}: {name} {twice[0]!r} comes more than once")


def _place(loc: tuple[int | str, ...]) -> str:
    """Write where a problem is, such as `datasets[3].dataset_id: `; nothing where it is about the whole text."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return f"{path.removeprefix('.')}: " if path else ""


def _words(message: str) -> str:
    return message.removeprefix("Value error, ")
