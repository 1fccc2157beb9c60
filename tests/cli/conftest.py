import pytest

from jobtrail.models.settings import Settings
from tests.cli.support import JobTrail, environment_of


@pytest.fixture
def jobtrail(settings: Settings) -> JobTrail:
    """The `jobtrail` command as a process of its own, on this test's services."""
    return JobTrail(environment_of(settings))
