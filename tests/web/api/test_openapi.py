"""The whole API, held against its own description by schemathesis, and what the description says."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import jsonschema_rs
import pika
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as how
from hypothesis import strategies as st
from pymongo import MongoClient
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from jobtrail.models.datasets.dataset import Level, Notification
from jobtrail.models.dead_letters.dead_letter import LetterFilter
from jobtrail.models.dead_letters.replay import ReplayState
from jobtrail.models.heartbeat import Heartbeat
from jobtrail.models.settings import ChannelName, Settings
from jobtrail.models.token import Role
from jobtrail.store.database import Database
from jobtrail.store.datasets.documents import notification_document
from jobtrail.store.dead_letters.dead_letters import write_letters
from jobtrail.store.extractors import ExtractorRepository
from jobtrail.store.notifications.outbox import OutboxRepository
from tests.cli.support import START, store_updates, update
from tests.reconciler.messages import entry
from tests.web.conftest import Tokens, serving
from tests.web.letters import letter, store_letters, store_replay

schemathesis.openapi.media_type("application/x-ndjson", st.binary())

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
KNOWN = {
    "job_id": "job/1",
    "resource_id": "resource-1",
    "name": "ncsa.wordcount",
    "dataset_id": "ds-1",
    "notification_id": "ds-1:Complete:ann",
    "letter_id": "6921000000000000000000aa",
    "group_id": "group-1",
    "replay_id": "replay-1",
}
"""What there is, by the names of path parameters."""
EXAMPLES = 8
"""Requests of each kind to each endpoint."""


async def fill(settings: Settings, database: Database, console: Any) -> None:
    """Store one of everything."""
    await store_updates(
        settings,
        [
            update("job/1", "STARTED: go", user_id="ann"),
            update("job/1", "half of it", 5, percent=50.5),
            update("job-2", "ERROR: no such file", 6),
            update(None, "SKIP: not this one", 7),
        ],
    )
    beat = Heartbeat(
        instance_id="i-1",
        extractor="ncsa.wordcount",
        version="2.0",
        info_json='{"name": "x", "deep": {"a": [1, null]}}',
        received_at=START,
    )
    await ExtractorRepository(database).record([beat])
    await OutboxRepository(database).insert([entry(ChannelName.SLACK)])
    history = {"dataset_id": "ds-1", "status": "Pending", "created_at": START, "updated_at": START}
    console["wishlist_dataset_histories"].insert_one(history)
    notification = Notification(
        id=KNOWN["notification_id"],
        user_id="ann",
        dataset_id="ds-1",
        history_key=history["_id"],
        level=Level.SUCCESS,
        title="done",
        message="done",
        created_at=START,
    )
    console["notifications"].insert_one(notification_document(notification))
    known = letter(1)
    known.id, known.cause_id = KNOWN["letter_id"], KNOWN["group_id"]
    await database.transact(lambda session: write_letters(database, [known], session))
    await store_letters(database, [letter(2), letter(3, body=b"\xff", reason="not_json")])
    await store_replay(database, LetterFilter(), id=KNOWN["replay_id"], state=ReplayState.DONE)


async def test_every_answer_is_as_described(
    settings: Settings, database: Database, tokens: Tokens, mongo_client: MongoClient[Any], amqp_url: str
) -> None:
    await fill(settings, database, mongo_client[settings.console_database])
    token = await tokens.make("fuzz", role=Role.OPERATOR, user="ann")
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        connection.channel().queue_declare(settings.reply_stream, durable=True)
    async with serving(settings) as web:
        answer = await web.get("/api/openapi.json")
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {token}"
        with session:
            tried = await asyncio.to_thread(fuzz, answer.json(), str(web.base_url), session)
    assert len(tried) > 20
    assert {name for name, statuses in tried.items() if not statuses & {200, 202, 404}} == set()


def fuzz(description: dict[str, Any], base_url: str, session: requests.Session) -> Mapping[str, set[int]]:
    """Ask every endpoint for what its description says and for what it does not.

    Returns:
        By endpoint, the statuses of its answers.
    """
    schema = schemathesis.openapi.from_dict(description)
    operations = [found.ok() for found in schema.get_all_operations()]
    return {
        operation.label: fuzz_one(operation, base_url, session)
        for operation in operations
        if not operation.path.endswith("/stream")  # it never ends, and has tests of its own
    }


def fuzz_one(operation: APIOperation[Any, Any, Any, Any], base_url: str, session: requests.Session) -> set[int]:
    seen: set[int] = set()

    @how(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(*strategies(operation)))
    def check(case: schemathesis.Case) -> None:
        response = case.call(base_url=base_url, session=session)
        seen.add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    check()
    return seen


def strategies(operation: APIOperation[Any, Any, Any, Any]) -> Iterator[st.SearchStrategy[schemathesis.Case]]:
    yield operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    yield operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    known = {name: KNOWN[name] for name in KNOWN if f"{{{name}}}" in operation.path}
    if known:
        yield operation.as_strategy(path_parameters=known)


async def test_the_description_is_complete_and_its_examples_are_true(api: httpx.AsyncClient) -> None:
    told = (await api.get("/api/openapi.json")).json()
    assert told["openapi"].startswith("3.1")
    assert all(path.startswith("/api/") for path in told["paths"])
    for path, operations in told["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            is_ours = path.startswith("/api/v1/")
            assert not (is_ours and "422" in operation["responses"]), where
            for parameter in operation.get("parameters", ()):
                described = parameter.get("description") or parameter["schema"].get("description")
                assert described or parameter["in"] == "path", (where, parameter["name"])
            for status, answer in operation["responses"].items():
                for media_type, content in answer.get("content", {}).items():
                    assert not is_ours or int(status) < 400 or media_type == "application/problem+json", where
                    assert not is_ours or "example" in content, where
                    if "example" in content and media_type.endswith("json"):
                        schema = content["schema"] | {"components": told["components"]}
                        jsonschema_rs.validator_for(schema).validate(content["example"])


async def test_the_description_names_no_page_and_no_form_of_errors_but_ours(api: httpx.AsyncClient) -> None:
    answer = await api.get("/api/openapi.json")
    assert "HTTPValidationError" not in answer.text
    assert "text/html" not in answer.text
    assert answer.json()["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
