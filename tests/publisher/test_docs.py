"""The samples of the guide run as they are."""

import os
import re
import subprocess
import sys

import pytest

from jobtrail.models.settings import Settings
from tests.conftest import REPOSITORY
from tests.publisher.support import inbox
from tests.support import WAIT_S, eventually

SAMPLES = re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs" / "publisher.md").read_text(), re.DOTALL)
KINDS = [
    ["STARTED", "PROCESSING", "SUCCEEDED"],
    ["SUBMITTED", "STARTED", "PROCESSING", "SUCCEEDED"],
    ["STARTED", "PROCESSING", "SUCCEEDED"],
    ["STARTED", "PROCESSING", "PROCESSING", "SUCCEEDED"],
]


@pytest.mark.parametrize(("sample", "kinds"), [*zip(SAMPLES, KINDS, strict=True)])
def test_the_samples_of_the_guide_run(amqp_url, names, tmp_path, sample, kinds):
    settings = Settings(_env_file=None)
    names.queues += [settings.reply_stream, "demo.wordcount"]
    environment = {**os.environ, "JOBTRAIL_AMQP_URL": amqp_url, "XDG_STATE_HOME": str(tmp_path)}
    with inbox(amqp_url, settings.reply_stream) as replies:
        subprocess.run([sys.executable, "-c", sample], env=environment, check=True, timeout=WAIT_S)
        assert [m.kind for m in eventually(lambda: replies.take_all(len(kinds)))] == kinds
