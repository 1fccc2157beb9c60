"""Which dead letters a page is about: the filters of its list, and what its forms send."""

from collections.abc import Mapping

from pydantic import ConfigDict, Field, model_validator

from jobtrail.models.dead_letters.dead_letter import LetterFilter
from jobtrail.models.dead_letters.filter import DeadLetterFilter
from jobtrail.models.errors import SettingError

LETTERS = "/dead-letters/letters"
TICKED = "ticked"
"""The dead letters that were ticked, and not all that match."""


class Selection(DeadLetterFilter):
    """What a form says of the dead letters that an act is about."""

    model_config = ConfigDict(extra="ignore")  # the form has more fields

    id: list[str] = Field(default_factory=list)
    which: str = ""
    """`ticked`, or `all` that match; else the ids if there are any."""

    @model_validator(mode="before")
    @classmethod
    def _without_empty_fields(cls, values: object) -> object:
        """A field that was left empty selects nothing."""
        return {name: value for name, value in values.items() if value != ""} if isinstance(values, dict) else values

    def selection(self) -> LetterFilter:
        """Make the selection; `SettingError` if nothing was chosen."""
        if self.which == TICKED or (self.id and not self.which):
            if not self.id:
                raise SettingError("no dead letter is ticked: tick some, or choose all that match")
            return LetterFilter(ids=tuple(dict.fromkeys(self.id)))
        selection = super().selection()
        if selection == LetterFilter() and self.which != "all":
            raise SettingError("no dead letters are selected")
        return selection

    def fields(self) -> Mapping[str, object]:
        """Return what has a value, for an address or the hidden fields of a form."""
        if self.which == TICKED:
            return {"id": self.id}
        values: Mapping[str, object] = self.model_dump(mode="json", include=set(Selection.model_fields))
        if self.which == "all":
            values = {**values, "id": []}
        return {
            name: str(value).lower() if isinstance(value, bool) else value
            for name, value in values.items()
            if value not in (None, "", [])
        }
