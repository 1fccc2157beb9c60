"""The filters of a list on its page: what its address says, what is wrong with it, how to remove each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from types import NoneType
from typing import Generic, TypeVar, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from starlette.datastructures import QueryParams

from jobtrail.models.filters import Filter, Shown, shown
from jobtrail.web.pages.chip import Chip
from jobtrail.web.render import query

F = TypeVar("F", bound=Filter)


@dataclass(slots=True, frozen=True, kw_only=True)
class FormField:
    """One filter as a form shows it."""

    name: str
    met: Shown
    words: Sequence[str]
    """What was typed or chosen."""
    choices: Sequence[Enum]
    """All that there is to choose among; empty where anything may be typed."""
    is_flag: bool
    problem: str
    """What is wrong with it; empty for nothing."""


@dataclass(slots=True, frozen=True, kw_only=True)
class FilterForm(Generic[F]):
    """The filters of a list."""

    path: str
    fields: Mapping[str, FormField]
    wanted: F | None
    """None where something is wrong."""
    problem: str
    """What is wrong with several fields together; empty for nothing."""

    @property
    def problems(self) -> Sequence[str]:
        """All that is wrong."""
        return [text for text in (self.problem, *(field.problem for field in self.fields.values())) if text]

    @property
    def chips(self) -> Sequence[Chip]:
        """The filters that are on, each with the way to be without it."""
        return [
            Chip(
                name="only" if field.is_flag else "has" if name == "q" else name.replace("_", " "),
                value=field.met.label if field.is_flag else word,
                without=self.address(**{name: [other for other in field.words if other != word]}),
            )
            for name, field in self.fields.items()
            for word in field.words
        ]

    def has(self, name: str, choice: Enum) -> bool:
        """Whether a choice is made; by older words too, where nothing is wrong."""
        return choice in (self.fields[name].words if self.wanted is None else getattr(self.wanted, name))

    def with_problem(self, name: str, problem: str) -> "FilterForm[F]":
        """Return the same form where something is wrong with one field."""
        fields = {**self.fields, name: replace(self.fields[name], problem=problem)}
        return replace(self, fields=fields, wanted=None)

    def address(self, **changed: object) -> str:
        """Make the address of a list, such as `/jobs?status=ERROR`; without a cursor it is the first page."""
        return f"{self.path}{query(**{name: field.words for name, field in self.fields.items()} | changed)}"


def read_form(model: type[F], path: str, typed: QueryParams) -> FilterForm[F]:
    """Read the filters that stand in an address; what was left empty narrows nothing."""
    given = {name: (field, met) for name, field in model.model_fields.items() if (met := shown(field))}
    words = {name: [text for each in typed.getlist(name) if (text := each.strip())] for name in given}
    wanted, problems = _validated(model, {name: _value(given[name][0], words[name]) for name in given if words[name]})
    fields = {
        name: FormField(
            name=name,
            met=met,
            words=words[name],
            choices=_choices(field),
            is_flag=field.annotation is bool,
            problem=problems.get(name, ""),
        )
        for name, (field, met) in given.items()
    }
    return FilterForm(path=path, fields=fields, wanted=wanted, problem=problems.get("", ""))


def _validated(model: type[F], values: Mapping[str, object]) -> tuple[F | None, Mapping[str, str]]:
    try:
        wanted = model(**values)
    except ValidationError as error:
        return None, {
            str(each["loc"][0]) if each["loc"] else "": _sentence(each["msg"].removeprefix("Value error, "))
            for each in error.errors()
        }
    since, until = (getattr(wanted, name, None) for name in ("since", "until"))
    if since and until and since >= until:
        return None, {"until": "The end must be later than the beginning."}
    return wanted, {}


def _value(field: FieldInfo, words: Sequence[str]) -> object:
    return words if get_origin(field.annotation) is list else words[-1]


def _choices(field: FieldInfo) -> Sequence[Enum]:
    kinds = [each for each in get_args(field.annotation) if each is not NoneType]
    kind = get_args(kinds[0])[0] if kinds and get_args(kinds[0]) else kinds[0] if kinds else None
    return tuple(kind) if isinstance(kind, type) and issubclass(kind, Enum) else ()


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
