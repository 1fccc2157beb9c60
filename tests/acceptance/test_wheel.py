"""What `pip install jobtrail` gives a worker: one name, beside whatever the worker calls its own packages."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

_BUILD_TIMEOUT_S = 300
_RUN_TIMEOUT_S = 60
_NOT_FOR_THE_WHEEL = shutil.ignore_patterns(
    ".*", "tests", "docs", "benchmarks", "scripts", "build", "*.egg-info", "__pycache__"
)
_WORKER = """
import models, store, web, consumer
assert (models.OWN, store.OWN, web.OWN, consumer.OWN) == (True,) * 4
from jobtrail import Reporter
reporter = Reporter("amqp://guest:guest@127.0.0.1:1/", "an.extractor", spool_path="spool")
with reporter.job("file-1") as job:
    job.progress("half way")
print("unsent", reporter.unsent)
reporter.close(timeout_s=0)
"""
_LIGHT = """
import sys, time
begun = time.perf_counter()
import jobtrail.publisher
print(f"import jobtrail.publisher: {time.perf_counter() - begun:.3f} s")
from jobtrail import AsyncReporter, HeartbeatSender, Reporter, cancel, submit
print(*sorted({"pymongo", "fastapi", "typer", "aiohttp", "structlog"} & sys.modules.keys()))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which nothing but our wheel is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(REPOSITORY, folder / "source", symlinks=True, ignore=_NOT_FOR_THE_WHEEL)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--wheel-dir", folder, folder / "source"]
    subprocess.run(build, check=True, timeout=_BUILD_TIMEOUT_S)
    (wheel,) = folder.glob("*.whl")
    install = [*pip, "install", "--no-deps", "--no-index", "--no-compile", "--target", folder / "site", wheel]
    subprocess.run(install, check=True, timeout=_BUILD_TIMEOUT_S)
    return folder / "site"


def run(site: Path, folder: Path, program: str) -> list[str]:
    """Run a program in a folder, with our wheel and the packages that it needs, but without this checkout."""
    (folder / "worker.py").write_text(program)
    path = os.pathsep.join([str(site), sysconfig.get_path("purelib")])
    # Without `site` no editable install is seen.
    command = [sys.executable, "-S", "worker.py"]
    ran = subprocess.run(
        command,
        cwd=folder,
        env={"PYTHONPATH": path},
        check=True,
        capture_output=True,
        text=True,
        timeout=_RUN_TIMEOUT_S,
    )
    return ran.stdout.splitlines()


def test_the_wheel_adds_one_name(site: Path) -> None:
    added = {path.name for path in site.iterdir() if path.suffix != ".dist-info"} - {"bin"}
    assert added == {"jobtrail"}
    assert (site / "jobtrail" / "models" / "errors.py").is_file()


def test_a_worker_has_packages_of_the_same_names_as_our_rooms(site: Path, tmp_path: Path) -> None:
    for name in ("models", "store", "web", "consumer"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("OWN = True\n")
    assert run(site, tmp_path, _WORKER) == ["unsent 3"]


def test_a_worker_loads_nothing_of_the_services(site: Path, tmp_path: Path) -> None:
    took, loaded = run(site, tmp_path, _LIGHT)
    print(took)
    assert loaded == ""
