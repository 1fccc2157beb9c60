"""Figures for people and for programs."""

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from benchmarks.figures import Figure
from benchmarks.workbench import REPOSITORY
from jobtrail.cli.output.console import make_console
from jobtrail.models.settings import Settings

RESULTS = REPOSITORY / "bench-results"


def show(figures: Sequence[Figure]) -> None:
    """Print the figures as a table, with their targets, whether these are met, and in brackets each round's value.

    Args:
        figures: The figures.
    """
    table = Table(box=SIMPLE, pad_edge=False)
    for heading in ("Figure", "Measured", "Target", ""):
        table.add_column(heading, no_wrap=True)
    table.add_column("What it is", ratio=1)
    for figure in figures:
        target = f"{figure.target.kind} {number(figure.target.limit)}" if figure.target else ""
        verdict = {None: Text(), True: Text("met", "green"), False: Text("not met", "red")}[figure.is_met]
        rounds = f" ({' / '.join(number(sample) for sample in figure.samples)})" if len(figure.samples) > 1 else ""
        table.add_row(
            figure.name, f"{number(figure.value)} {figure.unit}", target, verdict, f"{figure.meaning}{rounds}"
        )
    make_console().print(table)


def write(figures: Sequence[Figure], *, begun_at: datetime, load: float, quick: bool) -> Path:
    """Write the figures as JSON.

    Args:
        figures: The figures.
        begun_at: When the run began, with a zone.
        load: The machine's load just before: much more than 0 says that other work disturbed the figures.
        quick: Whether it was a short run.

    Returns:
        The file.
    """
    content = {
        "begun_at": begun_at.isoformat(timespec="seconds"),
        "quick": quick,
        "commit": _commit(),
        "machine": {
            "cores": os.cpu_count(),
            "processor": _processor(),
            "load_before": round(load, 2),
            "python": platform.python_version(),
        },
        "settings": _settings(),
        "figures": [{**asdict(figure), "met": figure.is_met} for figure in figures],
    }
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{begun_at:%Y%m%dT%H%M%SZ}.json"
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return file


def number(value: float) -> str:
    """Write a number with about three digits that count.

    Args:
        value: The number.

    Returns:
        Such as `8,912`, `35.2` or `0.87`.
    """
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _settings() -> dict[str, str]:
    """Return the settings that were tried: what was given from outside, URLs never among it."""
    names = {f"JOBTRAIL_{name.upper()}" for name in Settings.model_fields if not name.endswith("_url")}
    return {name: os.environ[name] for name in sorted(names & os.environ.keys())}


def _commit() -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    outcome = subprocess.run(
        [git, "describe", "--always", "--dirty"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    return outcome.stdout.strip() or None


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
