import asyncio
import json
import os
import subprocess
import sys

import pytest

from jobtrail.cli.main import COMMANDS
from jobtrail.models.settings import Settings
from tests.cli.support import JobTrail, fork_server, store_updates, update

HEAVY = {"pymongo", "bson", "aio_pika", "pika", "fastapi", "uvicorn", "pydantic", "structlog"}
NOWHERE = {"JOBTRAIL_AMQP_URL": None, "JOBTRAIL_MONGO_URL": None}


def bare(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command without any setting."""
    return fork_server().run(arguments, dict(os.environ))


def test_the_list_of_commands_imports_none_of_them() -> None:
    program = (
        "import sys, runpy\n"
        "sys.argv = ['jobtrail', '--help']\n"
        "try:\n    runpy.run_module('jobtrail.cli.main', run_name='__main__')\n"
        "except SystemExit:\n    print('IMPORTED', *sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    names, imported = done.stdout.split("IMPORTED")
    assert all(f" {command.name} " in names for command in COMMANDS if not command.hidden)
    assert not {name.partition(".")[0] for name in imported.split()} & HEAVY


@pytest.mark.parametrize("command", [command.name for command in COMMANDS if not command.hidden])
def test_every_command_has_a_help_with_an_example(command: str) -> None:
    done = bare(command, "--help")

    assert done.returncode == 0
    assert "Example" in done.stdout
    assert f"jobtrail {command}" in done.stdout.partition("Example")[2]


def test_the_former_name_of_the_audit_log_still_works_and_is_not_listed() -> None:
    assert "audit-log" not in bare("--help").stdout
    assert "List who changed what" in bare("audit-log", "--help").stdout


def test_the_version_is_told() -> None:
    done = bare("--version")
    assert (done.returncode, done.stdout.split()[0]) == (0, "jobtrail")


def test_wrong_use_ends_with_2() -> None:
    assert bare("jobs", "--no-such-option").returncode == 2
    assert bare("no-such-command").returncode == 2
    assert "Did you mean 'jobs'?" in bare("job").stderr
    assert bare("timeline").returncode == 2


def test_a_wrong_setting_is_one_line_and_ends_with_2(jobtrail: JobTrail) -> None:
    done = jobtrail.run("jobs", JOBTRAIL_PREFETCH="1")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("jobtrail: error: JOBTRAIL_PREFETCH: ")
    assert done.stderr.count("\n") == 1


def test_without_a_broker_or_a_database_the_way_out_is_told(jobtrail: JobTrail) -> None:
    for command in (["jobs"], ["consume"], ["submit", "q", "r"]):
        done = jobtrail.run(*command, **NOWHERE)
        assert done.returncode == 2
        assert "start one with `make run`" in done.stderr


def test_what_does_not_exist_ends_with_3(jobtrail: JobTrail) -> None:
    done = jobtrail.run("timeline", "no-such-job", "--json")

    assert (done.returncode, done.stdout) == (3, "")
    told = json.loads(done.stderr)["error"]
    assert (told["code"], told["exit_code"]) == ("not_found", 3)
    assert jobtrail.run("timeline", "--resource", "r", "--extractor", "e").returncode == 3
    assert jobtrail.run("env", **NOWHERE).returncode == 3
    assert jobtrail.run("cancel", "no-such-job").returncode == 3


def test_a_service_that_cannot_be_reached_ends_with_4_and_without_its_password(jobtrail: JobTrail) -> None:
    mongo = "mongodb://user:hunter2@127.0.0.1:9/?serverSelectionTimeoutMS=200"
    amqp = "amqp://user:hunter2@127.0.0.1:9/"
    for done in (
        jobtrail.run("--verbose", "jobs", JOBTRAIL_MONGO_URL=mongo),
        jobtrail.run("--verbose", "submit", "q", "r", JOBTRAIL_AMQP_URL=amqp),
        jobtrail.run("import-clowder", mongo),
    ):
        assert done.returncode == 4, done.stderr
        assert done.stderr.startswith("jobtrail: error: ")
        assert "hunter2" not in done.stderr
        assert "Traceback" not in done.stderr


def test_a_reader_that_has_enough_is_no_error(jobtrail: JobTrail, settings: Settings) -> None:
    updates = [update("job", "STARTED: go"), *(update("job", f"step {n}") for n in range(3000))]
    asyncio.run(store_updates(settings, updates))

    for options in ("", "--json"):
        done = subprocess.run(
            f"{sys.executable} -m jobtrail.cli.main timeline job {options} | head -1; echo ${{PIPESTATUS[0]}}",
            shell=True,
            executable="/bin/bash",
            env=jobtrail.environ(),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stdout.splitlines()[-1] == "0"
        assert done.stderr == ""


def test_colours_are_for_terminals_only(jobtrail: JobTrail, settings: Settings) -> None:
    asyncio.run(store_updates(settings, [update("job", "STARTED: go"), update("job", "ERROR: no", 3)]))

    assert "\x1b[" not in jobtrail.run("timeline", "job").stdout
    terminal = [sys.executable, "-c", "import pty, sys; pty.spawn(sys.argv[1:])", *jobtrail.command("timeline", "job")]
    for no_color, colored in ((None, True), ("1", False)):
        environment = jobtrail.environ({"NO_COLOR": no_color, "TERM": "xterm-256color"})
        done = subprocess.run(
            terminal, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )
        assert "\x1b[3" in done.stdout if colored else "\x1b[3" not in done.stdout
