"""Checks the settings, the database and the services' health pages."""

import asyncio
import json
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

from jobtrail.cli.context import PRIVATE, UNSET, Source, open_database
from jobtrail.cli.doctor.checks import Check, failed, ok, warning
from jobtrail.cli.exit_codes import ExitCode
from jobtrail.models.errors import SettingError, StoreError
from jobtrail.models.places import place_of
from jobtrail.models.settings import Settings
from jobtrail.models.times import duration
from jobtrail.store.database_health import DatabaseHealth, diagnose

_TIMEOUT_S = 3.0
_MIN_MAJOR_VERSION = 6
_MAX_SKEW_S = 2.0
_ANYWHERE = ("0.0.0.0", "::", "")  # noqa: S104  # nothing is bound here


def check_sources(settings: Settings, source: Source) -> list[Check]:
    """Check that both URLs are known."""
    checks = [ok("settings", "valid")]
    if PRIVATE in (source.amqp, source.mongo):
        checks.append(ok("private stack", f"runs in {settings.data_dir}"))
    for name, where, url in (
        ("JOBTRAIL_AMQP_URL", source.amqp, settings.amqp_url),
        ("JOBTRAIL_MONGO_URL", source.mongo, settings.mongo_url),
    ):
        if where == UNSET or url is None:
            found = f"not set, and no private stack runs in {settings.data_dir}"
            checks.append(
                failed(name, found, f"start one with `make run` or `jobtrail up`, or set {name}", ExitCode.WRONG_USE)
            )
        else:
            checks.append(ok(name, f"{place_of(url.get_secret_value())}, from {where}"))
    return checks


async def check_database(settings: Settings) -> list[Check]:
    """Check the database."""
    place = place_of(settings.require_mongo_url())
    try:
        async with open_database(settings) as database:
            found = await diagnose(database)
    except SettingError as error:
        return [failed("database", str(error), "correct JOBTRAIL_MONGO_URL", ExitCode.WRONG_USE)]
    except StoreError as error:
        advice = "start MongoDB or correct JOBTRAIL_MONGO_URL; to start a private one: jobtrail up"
        return [failed("database", f"{place}: {error}", advice, ExitCode.UNREACHABLE)]
    return [_server(place, found), _replica_set(found), _indexes(settings, found), _clock(found)]


def _server(place: str, found: DatabaseHealth) -> Check:
    words = f"MongoDB {found.version} at {place}"
    if int(found.version.split(".")[0]) < _MIN_MAJOR_VERSION:
        return failed("database", words, f"upgrade to MongoDB {_MIN_MAJOR_VERSION}.0 or later")
    return ok("database", words)


def _replica_set(found: DatabaseHealth) -> Check:
    if found.replica_set is None:
        advice = "transactions need one, if only of one member: start mongod with --replSet rs0 and run rs.initiate()"
        return failed("replica set", "the server is not a replica set", advice)
    return ok("replica set", found.replica_set)


def _indexes(settings: Settings, found: DatabaseHealth) -> Check:
    content = f"{settings.database}: about {found.jobs:,} jobs, {found.events:,} events"
    if found.missing_indexes:
        words = f"{content}; missing indexes: {', '.join(found.missing_indexes)}"
        return warning("indexes", words, "the consumer creates them when it starts: jobtrail consume")
    return ok("indexes", f"{content}; complete")


def _clock(found: DatabaseHealth) -> Check:
    skew = abs(found.clock_skew_s)
    if skew <= max(_MAX_SKEW_S, found.clock_error_s):
        return ok("clock", f"this machine and the database differ by {duration(round(skew, 2))}")
    direction = "ahead of" if found.clock_skew_s > 0 else "behind"
    words = f"the database is {duration(skew)} {direction} this machine"
    return warning("clock", words, "run NTP on both: stalls are detected by these clocks")


async def check_pages(settings: Settings) -> list[Check]:
    """Check the services' health pages."""
    pages = [
        ("consumer", "consume", "health_host", "consumer_health_port"),
        ("monitor", "monitor", "health_host", "monitor_health_port"),
        ("reconciler", "dataset:get-status --watch", "health_host", "reconciler_health_port"),
        ("dead-letter service", "deadletters capture", "health_host", "dead_letters_health_port"),
        ("web", "web", "web_host", "web_port"),
    ]
    if settings.forward_to is not None:
        pages.append(("forwarder", "forward", "health_host", "forwarder_health_port"))
    return list(await asyncio.gather(*(asyncio.to_thread(_check_page, settings, *page) for page in pages)))


def _check_page(settings: Settings, name: str, command: str, host_setting: str, port_setting: str) -> Check:
    host, port = getattr(settings, host_setting), getattr(settings, port_setting)
    host_variable, port_variable = (f"JOBTRAIL_{setting.upper()}" for setting in (host_setting, port_setting))
    if port == 0:
        return warning(name, "its health page is on a random port", f"set {port_variable} to have it checked")
    address = f"{'127.0.0.1' if host in _ANYWHERE else host}:{port}"
    connection = HTTPConnection(address, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        body = answer.read(64 * 1024)
    except (OSError, HTTPException) as error:
        words = f"no answer at http://{address}/health: {error}"
        return warning(
            name,
            words,
            f"start it: jobtrail {command}; if it runs elsewhere, set {host_variable} and {port_variable}",
        )
    finally:
        connection.close()
    words = f"http://{address}/health says {_details(body)}"
    if answer.status == HTTPStatus.OK:
        return ok(name, words)
    return failed(name, words, "see its log; it recovers by itself once what it needs is back")


def _details(body: bytes) -> str:
    try:
        report = json.loads(body)
    except ValueError:
        return "something that is not JSON: does another program use this port?"
    if not isinstance(report, dict):
        return str(report)[:200]
    return ", ".join(f"{name}: {_words(value)}" for name, value in report.items() if value is not None)[:200]


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(each)}" for name, each in value.items())
    return str(value)
