"""Makes a command's options of a pydantic model, so that they are what REST and the page offer too."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from types import NoneType
from typing import Annotated, Any, TypeVar, get_args, get_origin

import typer
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from typer.models import ParameterInfo

from jobtrail.models.errors import SettingError
from jobtrail.models.filters import shown

M = TypeVar("M", bound=BaseModel)


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replace a command's parameter that is a pydantic model by one option for each of the model's fields.

    A field's description is the option's help; `models.filters.Shown` may name the option, and a Typer `Argument` or
    `Option` among the field's annotations is taken as it is. Several words of a list may be parted by commas.
    """
    parameters = inspect.signature(command).parameters.values()
    [(into, model)] = [(each.name, each.annotation) for each in parameters if _is_model(each.annotation)]
    made = [_parameter(name, field) for name, field in model.model_fields.items()]
    own = [each for each in parameters if each.name != into]

    @wraps(command)
    def with_model(**given: Any) -> None:
        values = {each.name: given.pop(each.name) for each in made}
        command(**{into: validated(model, values)}, **given)

    # Typer reads both.
    with_model.__signature__ = inspect.Signature(sorted([*made, *own], key=lambda each: each.kind))  # type: ignore[attr-defined]
    with_model.__annotations__ = {each.name: each.annotation for each in (*made, *own)}
    return with_model


def validated(model: type[M], values: Mapping[str, object]) -> M:
    """Make a model of what was given as options; `SettingError` names the option that is wrong."""
    fields = model.model_fields
    given = {name: _words(fields[name], value) for name, value in values.items() if value is not None}
    try:
        return model(**given)
    except ValidationError as error:
        raise SettingError("; ".join(_problem(fields, each["loc"], each["msg"]) for each in error.errors())) from error


def option_name(name: str, field: FieldInfo) -> str:
    """Return how the option of a field is typed, such as `--grep`; what is required is an argument, such as `QUEUE`."""
    if field.is_required():
        return name.upper()
    met = shown(field)
    return (met and met.option) or f"--{name.replace('_', '-')}"


def _is_model(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    info = next((each for each in field.metadata if isinstance(each, ParameterInfo)), None)
    kind = _kind(field)
    if info is None:
        info = typer.Option(option_name(name, field), help=field.description, show_default=False)
    # A flag that is not given is None too: then the model has its own default.
    annotation = Annotated[kind | None, info]  # type: ignore[valid-type]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _kind(field: FieldInfo) -> type:
    """Return as what Typer reads an option: all but flags and lists is text, which the model validates."""
    kinds = [each for each in get_args(field.annotation) if each is not NoneType] or [field.annotation]
    if get_origin(field.annotation) is list or get_origin(kinds[0]) is list:
        return list[str]
    return bool if kinds[0] is bool else str


def _words(field: FieldInfo, value: object) -> object:
    if not isinstance(value, list) or any(isinstance(each, ParameterInfo) for each in field.metadata):
        return value
    return [word.strip() for text in value for word in text.split(",") if word.strip()]


def _problem(fields: Mapping[str, FieldInfo], place: Sequence[int | str], message: str) -> str:
    words = message.removeprefix("Value error, ")
    name = str(place[0]) if place else ""
    return f"{option_name(name, fields[name])}: {words}" if name in fields else words
