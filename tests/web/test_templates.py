"""What holds for every template."""

import re

from jobtrail.web.render import TEMPLATES

_FIELD = re.compile(
    r'<(?:input|option|button)\b[^<]*?\bvalue="(\{\{.*?\}\})"|<textarea\b[^>]*>\s*(\{\{.*?\}\})', re.DOTALL
)


def test_what_a_form_sends_back_is_exact() -> None:
    """Elsewhere what can't be seen is written out; a field with that would send something else than what is stored."""
    fields = [
        (path.name, found[1] or found[2])
        for path in TEMPLATES.rglob("*.html")
        for found in _FIELD.finditer(path.read_text())
    ]
    assert len(fields) > 15
    assert [field for field in fields if not field[1].endswith("| e }}")] == []
