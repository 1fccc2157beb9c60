"""Keeps secrets out of documents, logs and pages.

What counts as a secret: the `secretKey` of a job request, `key=`/`token=`/`password=` parameters as Clowder puts them
into URLs, passwords inside URLs, bearer tokens, and JobTrail's own tokens wherever they are.
"""

import re

MASK = "***"

_HINTS = re.compile("key|token|passw|secret|://|bearer|pwd|jt_")
_PATTERNS = (
    # scheme://user:password@host
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s/@]+@", re.IGNORECASE), rf"\1{MASK}@"),
    # secretKey: …, "secretKey": "…", password=…
    (
        re.compile(
            r"""(\b(?:secret_?key|api_?key|password|passwd|pwd|secret|access_?token)["']?\s*[=:]\s*["']?)[^\s"'&,;}]+""",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    # ?key=…, &token=…, "key": "…"; but not the words "key: " and "token: " of a sentence
    (re.compile(r"""(\b(?:key|token)(?:=|["']\s*:\s*["']))[^\s"'&,;}]+""", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"(\bBearer\s+)[A-Za-z0-9._~+/=-]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\b(jt_)[A-Za-z0-9_-]{43}"), rf"\1{MASK}"),
)


def redact(text: str) -> str:
    """Mask the secrets in a text.

    Args:
        text: Any text, of any length.

    Returns:
        The same text with each secret's value replaced by `***`.
    """
    lowered = text.lower()
    if not _HINTS.search(lowered):
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
