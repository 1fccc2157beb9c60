"""The demo's part that plays the console and the analyzer, and its mailbox, one by one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import httpx
import pika
import pytest

from jobtrail.models.settings import Settings
from jobtrail.runtime.tasks import cancel_and_wait
from jobtrail.stack.demo import console as demo
from jobtrail.stack.demo import mailbox
from jobtrail.stack.demo.analyzer import AnalyzerSimulator
from jobtrail.stack.ports import Ports
from jobtrail.store.datasets.console import Console
from tests.reconciler.bench import Bench
from tests.support import WAIT_S, Names, eventually, eventually_async

TOKEN = "analyzer-token-1"


@pytest.fixture
async def simulator() -> AsyncIterator[AnalyzerSimulator]:
    """An analyzer API of this test."""
    async with AnalyzerSimulator(TOKEN) as simulator:
        yield simulator


@pytest.fixture
async def population(
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    console: Console,
    simulator: AnalyzerSimulator,
    names: Names,
    amqp_url: str,
) -> AsyncIterator[None]:
    """Somebody who asks for datasets, in a hurry, of workers that do not work."""
    names.queues += [demo.digest.NAME, demo.flaky.NAME]
    monkeypatch.setattr(demo, "_PAUSE_S", (0.0, 0.0))
    monkeypatch.setattr(demo, "_TICK_S", 0.02)
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        connection.channel().queue_declare(settings.reply_stream, durable=True)
    task = asyncio.create_task(demo.Population(settings, console, simulator).live())
    yield
    await cancel_and_wait(task)


async def told(simulator: AnalyzerSimulator, dataset_id: str) -> bool:
    async with httpx.AsyncClient(timeout=WAIT_S, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        answer = await client.get(f"{simulator.url}/datasets/{dataset_id}")
    return answer.status_code == httpx.codes.OK


async def test_the_population_keeps_a_few_datasets_open_and_the_analyzer_knows_each(
    population: None, simulator: AnalyzerSimulator, bench: Bench
) -> None:
    async def enough() -> bool:
        statuses = bench.statuses()
        assert len(statuses) <= 4
        assert all([await told(simulator, dataset_id) for dataset_id in statuses])
        return len(statuses) == 4

    await eventually_async(enough)
    assert {group["name"] for group in bench.groups.find()} == {"Vintage cameras", "Mechanical keyboards"}

    bench.histories.update_one({}, {"$set": {"status": "Complete"}})
    await eventually_async(lambda: asyncio.to_thread(lambda: bench.histories.count_documents({}) == 5))


async def test_a_dataset_that_was_asked_for_by_hand_is_known_to_the_analyzer_too(
    population: None, simulator: AnalyzerSimulator, bench: Bench
) -> None:
    bench.dataset("by-hand")
    await eventually_async(lambda: told(simulator, "by-hand"))


async def test_the_mailbox_keeps_the_latest_mails_and_each_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(mailbox, "_MAX_MAILS", 2)
    ports = Ports(tmp_path / "ports.json")
    port = ports.reserve("smtp")
    monkeypatch.setenv("JOBTRAIL_SMTP_URL", f"smtp://127.0.0.1:{port}")
    monkeypatch.setenv("JOBTRAIL_DATA_DIR", str(tmp_path))
    folder = tmp_path / "demo" / "mail"
    server = asyncio.create_task(mailbox.serve())
    await asyncio.to_thread(lambda: eventually(folder.is_dir))
    for number in (1, 2, 3, 3):
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Message-ID"] = (
            "jobtrail@localhost",
            "amara@demo.example",
            f"<{number}@localhost>",
        )
        mail["Subject"] = f"Dataset {number} / is complete"
        mail.set_content("über")
        await aiosmtplib.send(mail, hostname="127.0.0.1", port=port)
    server.cancel()
    with suppress(asyncio.CancelledError):
        await server
    ports.release()
    assert sorted(path.name for path in folder.iterdir()) == [
        f"Dataset-{number}-is-complete_amara@demo.example_{number}@localhost.eml" for number in (2, 3)
    ]
