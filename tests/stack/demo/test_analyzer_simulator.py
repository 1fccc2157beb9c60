"""The simulator of the analyzer's API, as the demo uses it: by HTTP, and as a program."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from jobtrail.models.datasets.dataset import DatasetStatus
from jobtrail.stack.demo.analyzer import AnalyzerSimulator, Plan
from jobtrail.stack.ports import HOST, Ports
from tests.support import WAIT_S, eventually_async

TOKEN = "token"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        AnalyzerSimulator(TOKEN) as simulator,
        aiohttp.ClientSession(f"{simulator.url}/", headers=HEADERS) as session,
    ):
        yield session


async def tell(http: aiohttp.ClientSession, dataset_id: str) -> tuple[int, object]:
    async with http.get(f"datasets/{dataset_id}") as response:
        return response.status, await response.json(content_type=None)


def test_a_plan_leads_from_pending_over_growing_progress_to_the_end() -> None:
    plan = Plan(pending_s=2, analyzing_s=8)
    told = [plan.at(age_s) for age_s in (0, 1.9, 2, 6, 9.9, 10, 3600)]
    assert [(each["status"], each["progress"]) for each in told] == [
        (DatasetStatus.PENDING, 0),
        (DatasetStatus.PENDING, 0),
        (DatasetStatus.ANALYZING, 0),
        (DatasetStatus.ANALYZING, 50),
        (DatasetStatus.ANALYZING, 98),
        (DatasetStatus.COMPLETE, 100),
        (DatasetStatus.COMPLETE, 100),
    ]


def test_a_plan_may_lead_to_a_failure() -> None:
    plan = Plan(pending_s=2, analyzing_s=8, error_message="no images")
    assert plan.at(10) == {"status": DatasetStatus.FAILED, "error_message": "no images"}


async def test_datasets_are_made_and_listed_by_http(http: aiohttp.ClientSession) -> None:
    plan = {"pending_s": 0, "analyzing_s": 0, "error_message": "no images"}
    async with http.post("datasets", json={"id": "ds-1", "plan": plan}) as response:
        assert response.status == 201
    async with http.post("datasets", json={"id": "ds-2"}) as response:
        assert response.status == 201
    async with http.get("datasets") as response:
        listed = (await response.json())["datasets"]
    assert listed[0] == {"id": "ds-1", "status": "Failed", "error_message": "no images"}
    assert [dataset["id"] for dataset in listed] == ["ds-1", "ds-2"]


@pytest.mark.parametrize("body", ["nonsense", "[]", "{}", '{"id": 3}', '{"id": "x", "plan": {"pending_s": "long"}}'])
async def test_what_is_no_dataset_is_not_made(http: aiohttp.ClientSession, body: str) -> None:
    async with http.post("datasets", data=body) as response:
        assert response.status == 422


async def test_a_trouble_is_for_one_dataset_or_for_all_and_ends(http: aiohttp.ClientSession) -> None:
    for dataset_id in ("ds-1", "ds-2"):
        await http.post("datasets", json={"id": dataset_id})
    await http.put("control/troubles/ds-1", json={"status_code": 200, "body": '{"status": "Exploded"}'})
    assert await tell(http, "ds-1") == (200, {"status": "Exploded"})
    assert (await tell(http, "ds-2"))[0] == 200
    await http.put("control/troubles", json={"status_code": 503, "times": 1})
    assert (await tell(http, "ds-2"))[0] == 503
    assert (await tell(http, "ds-2"))[0] == 200
    await http.delete("control/troubles/ds-1")
    assert (await tell(http, "ds-1"))[1] != {"status": "Exploded"}
    async with http.put("control/troubles", json={"status_code": "bad"}) as response:
        assert response.status == 422


@pytest.mark.parametrize("path", ["datasets", "datasets/ds-1"])
async def test_nothing_is_told_without_the_token(path: str) -> None:
    async with AnalyzerSimulator(TOKEN) as simulator, aiohttp.ClientSession(f"{simulator.url}/") as session:
        simulator.add("ds-1")
        async with session.get(path) as response:
            assert response.status == 401


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "HEAD"])
async def test_a_dataset_can_only_be_read(http: aiohttp.ClientSession, method: str) -> None:
    async with http.request(method, "datasets/ds-1") as response:
        assert response.status == 405


async def test_it_runs_as_a_program_at_the_address_of_the_settings(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")
    url = f"http://{HOST}:{ports.reserve('analyzer')}/api"
    environment = {**os.environ, "JOBTRAIL_ANALYZER_URL": url, "JOBTRAIL_ANALYZER_TOKEN": TOKEN}
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "jobtrail.stack.demo.analyzer", env=environment
    )
    try:
        async with aiohttp.ClientSession(f"{url}/", headers=HEADERS) as session:

            async def serves() -> bool:
                try:
                    async with session.post("datasets", json={"id": "ds-1"}) as response:
                        return response.status == 201
                except aiohttp.ClientConnectionError:
                    return False

            await eventually_async(serves)
            assert (await tell(session, "ds-1"))[0] == 200
        program.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(program.wait(), WAIT_S) == 0
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
        ports.release()
