"""docker-compose.yml: what can be said of it without a Docker engine."""

import re
from itertools import chain
from typing import Any

import pytest
import yaml

from jobtrail.models.settings import Settings
from tests.conftest import REPOSITORY

COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z_]+)(?::([-?])([^}]*))?\}")
SECRET_NAME = re.compile(r"PASS|SECRET|TOKEN|KEY")


OURS = {
    "consumer": (["consume"], "consumer_health_port"),
    "monitor": (["monitor"], "monitor_health_port"),
    "reconciler": (["dataset:get-status", "--watch"], "reconciler_health_port"),
    "deadletters": (["deadletters", "capture"], "dead_letters_health_port"),
    "forwarder": (["forward"], "forwarder_health_port"),
    "web": (["web"], "web_port"),
}
"""Our services: their commands, and the settings of their ports."""


def texts(value: object) -> list[str]:
    """Every text in the file; a variable without a value, which is passed on, is none."""
    if value is None:
        return []
    if isinstance(value, dict):
        return list(chain.from_iterable(texts(each) for each in value.values()))
    if isinstance(value, list):
        return list(chain.from_iterable(texts(each) for each in value))
    return [str(value)]


def example_variables() -> dict[str, str]:
    lines = (REPOSITORY / ".env.example").read_text().splitlines()
    found = (re.fullmatch(r"#?([A-Z_]+)=(.*)", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def test_there_is_one_service_per_process() -> None:
    assert set(SERVICES) == {"rabbitmq", "mongodb", *OURS}
    assert {name: SERVICES[name]["command"] for name in OURS} == {name: command for name, (command, _) in OURS.items()}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_a_health_check_and_is_started_again(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert {"test", "interval", "timeout", "retries", "start_period"} <= check.keys()
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", OURS)
def test_a_health_check_asks_the_port_that_its_service_listens_on(name: str) -> None:
    service, setting = SERVICES[name], OURS[name][1]
    port = service["environment"][f"JOBTRAIL_{setting.upper()}"]
    assert port == Settings.model_fields[setting].default
    program, code = service["healthcheck"]["test"][1], service["healthcheck"]["test"][3]
    compile(code, "healthcheck", "exec")
    assert program == "python"
    assert f"http://127.0.0.1:{port}/health" in code
    assert service["ports"][0].endswith(f":{port}")


def test_the_forwarder_runs_only_where_it_is_asked_for_and_can_be_told_what_to_do() -> None:
    assert {name for name, service in SERVICES.items() if "profiles" in service} == {"forwarder"}
    environment = SERVICES["forwarder"]["environment"]
    parts = [name for name in Settings.model_fields if name.startswith("forward_")]
    assert parts
    for part in parts:
        assert environment[f"JOBTRAIL_{part.upper()}"] is None
    assert {name for name, value in environment.items() if value is None} <= example_variables().keys()


def test_services_wait_until_those_they_need_are_healthy() -> None:
    for name in OURS:
        conditions = {needed: how["condition"] for needed, how in SERVICES[name]["depends_on"].items()}
        assert conditions == {"rabbitmq": "service_healthy", "mongodb": "service_healthy"}


def test_every_variable_of_ours_is_a_setting_with_a_value_that_it_takes() -> None:
    names = {f"JOBTRAIL_{name.upper()}" for name in Settings.model_fields}
    for service in SERVICES.values():
        ours = {name: value for name, value in service["environment"].items() if name.startswith("JOBTRAIL_")}
        assert ours.keys() <= names
        plain = {
            name.removeprefix("JOBTRAIL_").lower(): VARIABLE.sub(lambda match: match[3], str(value))
            for name, value in ours.items()
            if value is not None
        }
        Settings(**plain)  # type: ignore[arg-type]  # pydantic checks the values


def test_what_datasets_need_can_be_set_and_stays_off_where_it_is_not() -> None:
    passed_on = {name for name, value in SERVICES["reconciler"]["environment"].items() if value is None}
    for part in ("ANALYZER_URL", "ANALYZER_TOKEN", "SLACK_TOKEN", "SLACK_CHANNEL", "SMTP_URL", "PUSHER_URL"):
        assert f"JOBTRAIL_{part}" in passed_on
    assert passed_on <= example_variables().keys()
    assert SERVICES["web"]["environment"]["JOBTRAIL_PUSHER_URL"] is None


def test_queues_to_be_captured_are_named_in_env_and_slack_is_told_of_missing_messages() -> None:
    passed_on = {name for name, value in SERVICES["deadletters"]["environment"].items() if value is None}
    assert {"JOBTRAIL_CAPTURE_QUEUES", "JOBTRAIL_SLACK_TOKEN", "JOBTRAIL_SLACK_CHANNEL"} <= passed_on
    assert passed_on <= example_variables().keys()


def test_all_services_agree_on_the_streams() -> None:
    parts = [name for name in Settings.model_fields if name.startswith(("reply_", "stream_"))]
    parts.remove("reply_queue")
    for name in OURS:
        for part in (*parts, "bridged_queues"):
            assert SERVICES[name]["environment"][f"JOBTRAIL_{part.upper()}"] is None
    passed_on = {name for name, value in SERVICES["consumer"]["environment"].items() if value is None}
    assert passed_on <= example_variables().keys()


def test_no_secret_stands_in_the_file() -> None:
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            if SECRET_NAME.search(name) and value is not None:
                assert VARIABLE.fullmatch(value), f"{name} is written into the file"
        for text in texts(service):
            for password in re.findall(r"://[^:/@\s]+:([^@]+)@", VARIABLE.sub("${}", text)):
                assert password == "${}"


def test_a_missing_password_stops_everything_and_passwords_have_no_default() -> None:
    used = list(chain.from_iterable(VARIABLE.findall(text) for text in texts(COMPOSE)))
    assert {"RABBITMQ_PASSWORD", "MONGO_PASSWORD"} <= {name for name, _kind, _word in used}
    for name, kind, word in used:
        assert (kind, bool(word)) == (("?", True) if SECRET_NAME.search(name) else ("-", True)), name


def test_every_variable_of_the_file_is_in_the_example_and_that_one_holds_no_password() -> None:
    example = example_variables()
    used = {name for text in texts(COMPOSE) for name, _kind, _word in VARIABLE.findall(text)}
    assert {name for name in used if not name.startswith("JOBTRAIL_")} <= example.keys()
    settings = {f"JOBTRAIL_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in example if name.startswith("JOBTRAIL_")} <= settings
    assert all(not value for name, value in example.items() if SECRET_NAME.search(name))


def test_services_are_reached_from_this_machine_only() -> None:
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_images_have_a_version() -> None:
    for service in SERVICES.values():
        tag = service["image"].partition(":")[2]
        assert re.match(r"\d+\.\d+", tag), service["image"]


def test_data_is_on_volumes_that_the_file_declares() -> None:
    for name in ("rabbitmq", "mongodb"):
        assert {volume.partition(":")[0] for volume in SERVICES[name]["volumes"]} <= COMPOSE["volumes"].keys()


def test_the_image_holds_every_package_and_runs_as_an_ordinary_user() -> None:
    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    packages = {path.name for path in (REPOSITORY / "src" / "jobtrail").iterdir() if path.is_symlink()}
    assert packages
    for package in packages:
        assert f"COPY {package} {package}\n" in dockerfile
        assert f"!{package}" in ignored
    *_, user = re.findall(r"^USER (\S+)", dockerfile, re.MULTILINE)
    assert user not in ("0", "root")
