"""What a page of dead letters says about the act that led back to it."""

from dataclasses import dataclass

from pydantic import BaseModel, Field

from jobtrail.web.render import query


@dataclass(slots=True, frozen=True, kw_only=True)
class ActResult:
    """One sentence, and how it is coloured."""

    tone: str
    text: str


_MAX_COUNT = 10**12
_RESULTS = {
    "discarded": ActResult(tone="good", text="{count} discarded. You can restore them from the archive."),
    "restored": ActResult(tone="good", text="{count} restored: open again."),
    "edited": ActResult(tone="good", text="Edited. The next replay sends the new version; the original bytes stay."),
    "reverted": ActResult(tone="good", text="Edit reverted. The next replay sends the original bytes."),
    "noted": ActResult(tone="good", text="Note saved."),
    "unnoted": ActResult(tone="good", text="Note removed."),
    "imported": ActResult(tone="good", text="{count} imported; known ones were skipped."),
    "cancelling": ActResult(tone="run", text="The replay stops before its next batch. What was sent stays sent."),
    "too-late": ActResult(tone="warn", text="Too late: the replay has ended."),
    "nothing": ActResult(tone="warn", text="Nothing was sent: none of these dead letters is open any more."),
    "closed": ActResult(tone="warn", text="Not edited: the dead letter was sent, is about to be sent, or is closed."),
}
"""By the word in the address: a link can choose one of these texts, and bring none of its own."""


class ActQuery(BaseModel):
    """What the address says about an act."""

    told: str = ""
    count: int = Field(0, ge=0, le=_MAX_COUNT)

    def result(self) -> ActResult | None:
        """Return what the page says; None if no act led here."""
        result = _RESULTS.get(self.told)
        if result is None:
            return None
        count = "1 dead letter" if self.count == 1 else f"{self.count:,} dead letters"
        return ActResult(tone=result.tone, text=result.text.format(count=count))


def back_with_result(path: str, told: str, count: int | None = None) -> str:
    """Make the address that an act on `count` dead letters leads back to."""
    more = query(told=told, count=count)
    return f"{path}&{more[1:]}" if "?" in path else path + more
