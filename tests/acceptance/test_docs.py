"""The documents say what the code does: settings, links, commands, samples."""

import json
import os
import re
import tomllib
from functools import cache
from itertools import chain, takewhile
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from jobtrail.cli.main import COMMANDS
from jobtrail.consumer.forwarding.metrics import ForwarderMetrics
from jobtrail.consumer.metrics import ConsumerMetrics
from jobtrail.deadletters.metrics import CapturesMetrics, DeadLetterMetrics
from jobtrail.heartbeat.metrics import MonitorMetrics
from jobtrail.models.datasets.analyzer import STATUS_WORDS
from jobtrail.models.dead_letters import headers as dead_letter
from jobtrail.models.dead_letters.reasons import DeadLetterReason
from jobtrail.models.notifications.alert import AlertKind
from jobtrail.models.settings import Settings
from jobtrail.reconciler.channels.metrics import OutboxMetrics
from jobtrail.reconciler.metrics import ReconcilerMetrics
from scripts.settings_page import page
from tests.cli.support import fork_server
from tests.conftest import REPOSITORY

DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
OPTION = re.compile(r"--[\w-]+")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def read(name: str) -> str:
    return (REPOSITORY / name).read_text()


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def samples(language: str) -> list[object]:
    """Every fenced sample in one language, named after its document."""
    return [
        pytest.param(body, id=f"{name_of(path)}-{number}")
        for path in DOCUMENTS
        for number, (found, body) in enumerate(FENCE.findall(path.read_text()), 1)
        if found == language
    ]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub and GitLab make of headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table_rows(name: str) -> list[tuple[str, ...]]:
    """The rows of every table of a document, a text per cell."""
    lines = re.findall(r"^\| (.+?) ?\|$", read(name), re.MULTILINE)
    return [tuple(cell.strip() for cell in line.split(" |")) for line in lines]


def test_the_settings_page_is_written_from_the_settings() -> None:
    assert read("docs/settings.md") == page(), "run: python -m scripts.settings_page"


def test_every_figure_of_the_readme_is_one_of_the_benchmarks() -> None:
    measured = {row[0].removesuffix(" †"): row[1] for row in table_rows("docs/benchmarks.md")}
    figures = table_rows("README.md")[1:]
    assert len(figures) == 4
    for figure, value in figures:
        assert measured[figure] == value


def test_the_version_is_the_newest_one_of_the_changelog_and_the_tag_of_the_image() -> None:
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    assert re.findall(r"^## (\S+)", read("CHANGELOG.md"), re.MULTILINE)[0] == version
    assert re.findall(r"image: jobtrail:(\S+)", read("docker-compose.yml")) == [version]


def test_every_variable_that_a_document_names_exists() -> None:
    known = {f"JOBTRAIL_{name.upper()}" for name in Settings.model_fields}
    known |= {"JOBTRAIL_SPOOL_DIR", "JOBTRAIL_TEST_BACKEND", "JOBTRAIL_TEST_AMQP_URL", "JOBTRAIL_TEST_MONGO_URL"}
    for path in DOCUMENTS:
        named = set(re.findall(r"JOBTRAIL_[A-Z_]*[A-Z]", path.read_text()))
        removed = {"JOBTRAIL_BATCH_MAX_WAIT_MS"} if path.name == "CHANGELOG.md" else set()
        assert named <= known | removed, name_of(path)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    for link in LINK.findall(FENCE.sub("", path.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        where = (path.parent / target).resolve() if target else path
        assert where.exists(), link
        if anchor:
            assert anchor in anchors(where.read_text()), link


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_module_and_folder_that_a_document_names_is_there(path: Path) -> None:
    rooms = [folder.name for folder in (REPOSITORY / "src" / "jobtrail").iterdir() if folder.is_dir()]
    for named in re.findall(rf"`((?:{'|'.join(rooms)}|tests|benchmarks|scripts)/[a-z0-9_./]*)`", path.read_text()):
        assert (REPOSITORY / named).exists(), named


def test_every_command_that_a_document_names_is_one_and_the_table_names_all() -> None:
    known = {command.name for command in COMMANDS if not command.hidden}
    for path in DOCUMENTS:
        named = re.findall(r"(?:^\$ |[`(]|/bin/)jobtrail ([a-z][a-z:-]+)", path.read_text(), re.MULTILINE)
        assert set(named) <= known, name_of(path)
    assert {f"`jobtrail {name}`" for name in known} == {
        command for command, *_ in table_rows("docs/commands.md") if command.startswith("`")
    }


@cache
def options_of(*path: str) -> set[str]:
    """The options in a command's help."""
    helped = fork_server().run([*path, "--help"], {**os.environ, "COLUMNS": "200"})
    assert helped.returncode == 0, path
    return set(OPTION.findall(helped.stdout))


def test_every_command_of_how_do_i_has_the_options_that_it_is_given() -> None:
    commands = re.findall(r"`(?:[A-Z_]+=\S+ )?jobtrail ([^`]+)`", read("docs/how-do-i.md"))
    assert len(commands) > 20
    for command in commands:
        path = takewhile(re.compile("[a-z][a-z:-]*").fullmatch, command.split())
        assert set(OPTION.findall(command)) <= options_of(*path), command


def test_every_make_target_that_a_document_names_is_one() -> None:
    known = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    for path in DOCUMENTS:
        assert set(re.findall(r"(?:^\$ |`)make ([a-z]+)", path.read_text(), re.MULTILINE)) <= known, name_of(path)


@pytest.mark.parametrize("sample", samples("python"))
def test_python_samples_compile_and_import_what_exists(sample: str) -> None:
    compile(sample, "sample", "exec")
    for line in re.findall(r"^from jobtrail\b.*$", sample, re.MULTILINE):
        exec(line, {})


@pytest.mark.parametrize("sample", samples("json"))
def test_json_samples_are_json(sample: str) -> None:
    json.loads(sample)


def test_the_wire_format_tells_every_reason_and_header_of_dead_letters() -> None:
    text = read("docs/wire-format.md")
    assert set(DeadLetterReason) <= set(re.findall(r"`(\w+)`", text + read("docs/dead-letters.md")))
    headers = {value for name, value in vars(dead_letter).items() if name.endswith("_HEADER")}
    assert headers <= set(re.findall(r"`(jobtrail-[\w-]+)`", text))


def test_datasets_tells_every_error_under_its_name_and_every_word_for_a_status() -> None:
    text = read("docs/datasets.md")
    assert set(AlertKind) <= anchors(text), "alerts on Slack link there"
    told = {
        word: status
        for words, status in re.findall(
            r"^\| (`[a-z_`, ]+`) \| (Pending|Analyzing|Complete|Failed) \|$", text, re.MULTILINE
        )
        for word in re.findall(r"`(\w+)`", words)
    }
    assert told == STATUS_WORDS


def test_operations_tells_every_metric_and_no_other() -> None:
    registry = CollectorRegistry()
    for metrics in (
        ConsumerMetrics,
        ForwarderMetrics,
        MonitorMetrics,
        ReconcilerMetrics,
        OutboxMetrics,
        DeadLetterMetrics,
        CapturesMetrics,
    ):
        metrics(registry)
    known = {
        f"{metric.name}_total" if metric.type == "counter" else metric.name
        for metric in registry.collect()
        if metric.name.startswith("jobtrail_")
    }
    assert set(re.findall(r"\bjobtrail_\w+", read("docs/operations.md"))) == known


def test_no_document_names_a_place_of_one_machine_or_a_password() -> None:
    for path in chain(DOCUMENTS, REPOSITORY.glob("docs/pictures/*.svg")):
        text = path.read_text()
        assert not re.search(r"(?<![\w.~])/(?:tmp|work|root|home)/", text), name_of(path)
        assert not re.search(r"://[^\s:/@]+:(?!password@|PASSWORD@|secret@|SECRET@|\*\*\*@|…@)[^\s/@]+@", text), (
            name_of(path)
        )
