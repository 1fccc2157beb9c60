"""What a page of dead letters tells of an act that led back to it."""

from dataclasses import dataclass

from pydantic import BaseModel, Field

from jobtrail.web.render import query


@dataclass(slots=True, frozen=True, kw_only=True)
class BannerWords:
    """What is told."""

    tone: str
    text: str


_MOST = 10**12
_WORDS = {
    "discarded": BannerWords(
        tone="good", text="{count} discarded: they are in the archive, and can be restored from there."
    ),
    "restored": BannerWords(tone="good", text="{count} restored: they are open again."),
    "edited": BannerWords(tone="good", text="Edited. A replay sends it so; the letter itself keeps its own bytes."),
    "reverted": BannerWords(tone="good", text="The edit is taken back: a replay sends the letter's own bytes."),
    "noted": BannerWords(tone="good", text="Noted, for whoever meets this again."),
    "unnoted": BannerWords(tone="good", text="The note is taken away."),
    "imported": BannerWords(tone="good", text="{count} imported; those that were known are passed over."),
    "cancelling": BannerWords(tone="run", text="It stops before its next batch. What was sent stays sent."),
    "too-late": BannerWords(tone="warn", text="Too late: the replay had ended already."),
    "nothing": BannerWords(
        tone="warn", text="Nothing was sent: none of these letters is open or of unknown outcome any more."
    ),
    "closed": BannerWords(tone="warn", text="Not edited: the letter was sent already, is about to be, or is settled."),
}
"""By the word that stands in the address: a link can choose among these texts, and bring none of its own."""


class Told(BaseModel):
    """What stands in the address."""

    told: str = ""
    count: int = Field(0, ge=0, le=_MOST)

    def words(self) -> BannerWords | None:
        """Return what is told; None for nothing."""
        words = _WORDS.get(self.told)
        if words is None:
            return None
        letters = f"{self.count:,} {'letter is' if self.count == 1 else 'letters are'}"
        return BannerWords(tone=words.tone, text=words.text.format(count=letters))


def led_back(path: str, told: str, count: int | None = None) -> str:
    """Make the address that an act leads back to.

    Args:
        path: The page.
        told: What it is to tell.
        count: How many letters the act was about.

    Returns:
        The address.
    """
    more = query(told=told, count=count)
    return f"{path}&{more[1:]}" if "?" in path else path + more
