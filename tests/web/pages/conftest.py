from datetime import UTC, datetime

import pytest

from tests.web.pages import trail


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The present of this test: what is told to be young is so, however long the test run has been at work."""
    now = datetime.now(UTC).replace(microsecond=0)
    monkeypatch.setattr(trail, "NOW", now)
    return now
