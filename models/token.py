"""Bearer tokens: who makes a request, and what they may do."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jobtrail.models.errors import SettingError

PREFIX = "jt_"
"""What every token begins with, so that people and secret scanners recognise one."""

LOCAL = "local"
"""The name of who makes requests without a token, where none is needed."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class Role(StrEnum):
    """What the holder of a token may do."""

    VIEWER = "viewer"
    """Look at what concerns its user."""
    OPERATOR = "operator"
    """Look at everything, and change it."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Token:
    """What is known of a token; only its holder has the token itself."""

    id: str
    name: str
    role: Role
    user_id: str | None
    """The user it acts for, by the id in the console; None for a program that acts for no user."""
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
        SettingError: It is not 1 to 64 letters, digits and `._@-`, a letter or digit first; or it is `local`.
    """
    if _NAME.fullmatch(text) is None:
        raise SettingError(
            f"{text[:80]!r} is not a valid token name: use 1 to 64 letters, digits and . _ @ -, a letter or digit first"
        )
    if text == LOCAL:
        raise SettingError(f"{LOCAL!r} is reserved for requests without a token")
    return text
