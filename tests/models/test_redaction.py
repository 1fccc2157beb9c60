"""Secrets never pass."""

import pytest

from jobtrail.models.redaction import redact


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("amqp://guest:s3cret@host:5672/%2f", "amqp://guest:***@host:5672/%2f"),
        ("GET https://c.org/api/files/1?key=s3cret&x=1", "GET https://c.org/api/files/1?key=***&x=1"),
        ('{"secretKey": "s3cret", "id": "1"}', '{"secretKey": "***", "id": "1"}'),
        ("Authorization: Bearer s3cret.abc-1", "Authorization: Bearer ***"),
        ("password=s3cret", "password=***"),
        ("api_key: s3cret", "api_key: ***"),
        ("{'token': 's3cret'}", "{'token': '***'}"),
        ("the monkey: banana, turkey=x", "the monkey: banana, turkey=x"),
        ("missing key: title, 3 tokens: a b c", "missing key: title, 3 tokens: a b c"),
        ("it used jt_aZ09-_xaZ09-_xaZ09-_xaZ09-_xaZ09-_xaZ09-_xb here", "it used jt_*** here"),
        ("jt_short and jt_helper", "jt_short and jt_helper"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_the_values_of_secrets_are_masked_and_nothing_else(text: str, masked: str) -> None:
    assert redact(text) == masked
    assert redact(masked) == masked
