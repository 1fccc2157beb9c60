"""Bearer tokens: who asks, and what they may do."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jobtrail.models.errors import SettingError

PREFIX = "jt_"
"""What every token begins with, so that people and secret scanners recognise one."""

LOCAL = "local"
"""What somebody is called who came in without a token, where none is needed."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class Role(StrEnum):
    """What the holder of a token may do."""

    VIEWER = "viewer"
    """Look at what concerns its user."""
    OPERATOR = "operator"
    """Look at everything, and change it."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Token:
    """What is known of a token; the token itself only its holder has."""

    id: str
    name: str
    role: Role
    user_id: str | None
    """For whom it asks, as the console knows them; None for a program that is nobody's."""
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    """To within `store.access.tokens.LAST_USED_GRAIN`."""
    revoked_at: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether it opens anything at that time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def valid_token_name(text: str) -> str:
    """Check a token's name.

    Args:
        text: The name as it was given.

    Returns:
        The same name.

    Raises:
        SettingError: It is none: 1 to 64 letters, digits and `._@-`, of which the first is a letter or a digit; or it
            is `local`.
    """
    if _NAME.fullmatch(text) is None:
        raise SettingError(
            f"{text[:80]!r} is no token name: that is 1 to 64 letters, digits and . _ @ -, the first a letter or digit"
        )
    if text == LOCAL:
        raise SettingError(f"no token can be called {LOCAL!r}: so those are called who come in without one")
    return text
