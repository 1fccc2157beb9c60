"""The pages in a real browser, on live data."""

import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect
from pymongo import MongoClient

from jobtrail.models.settings import Settings
from jobtrail.publisher import submit
from tests.browser.conftest import HOSTILE, OpenWindow, Worker, assert_shown_on_every_screen
from tests.support import Names, eventually


@pytest.fixture
def trail(settings: Settings, worker: Worker, mongo_client: MongoClient) -> None:
    """A failed job of two attempts, one that is done, one at work, updates without a job id, and a failed dataset."""
    worker.say("job-failed", "start", "Started processing.")
    worker.say("job-failed", "retry", "Trying again.")
    worker.say("job-failed", "start", "Started processing.")
    worker.say("job-failed", "error", f"ValueError: {HOSTILE}")
    worker.say("job-done", "start", "Started processing.", resource="dataset-1")
    worker.say("job-done", "done", "Done processing.", resource="dataset-1")
    worker.say(None, "processing", "Nobody knows whose this is.")
    worker.say("job-running", "start", "Started processing.")
    worker.say("job-running", "processing", f"Look: {HOSTILE}")
    console, now = mongo_client[settings.console_database], datetime.now(UTC)
    group = console.wishlist_to_groups.insert_one({"name": "Wishes", "users": [{"id": "ada"}]}).inserted_id
    history = {"wishlist_to_group_id": group, "status": "Failed", "error_message": HOSTILE, "created_at": now}
    history = {"dataset_id": "dataset-1", "updated_at": now, **history}
    history_id = console.wishlist_dataset_histories.insert_one(history).inserted_id
    console.wishlist_dataset_creation_logs.insert_one(
        {
            "wishlist_dataset_history_id": history_id,
            "dataset_id": "dataset-1",
            "event_type": "Status Update",
            "from": "Analyzing",
            "to": "Complete",
            "source": "events",
            "message": HOSTILE,
            "created_at": now,
        }
    )
    console.notifications.insert_one(
        {
            "_id": "dataset-1:Failed:ada",
            "type": "DatasetNotification",
            "user_id": "ada",
            "dataset_id": "dataset-1",
            "wishlist_dataset_history_id": history_id,
            "level": "failure",
            "title": "Dataset dataset-1 failed",
            "message": HOSTILE,
            "created_at": now,
            "read_at": None,
        }
    )
    stored = mongo_client[settings.database]

    def is_stored() -> bool:
        worker.beat()  # again and again: what comes before the monitor's queue is bound to the exchange, nobody hears
        return stored.extractions.count_documents({}) == 9 and stored.extractors.count_documents({}) == 1

    eventually(is_stored)


PAGES = {
    "overview": ("/", "ncsa.wordcount"),
    "jobs": ("/jobs", "job-failed"),
    "job": ("/jobs/job-failed", "ValueError"),
    "job-running": ("/jobs/job-running", "Look:"),
    "resource": ("/resources/file-1", "job-running"),
    "extractors": ("/extractors", "ncsa.wordcount"),
    "extractor": ("/extractors/ncsa.wordcount", "Counts words."),
    "datasets": ("/datasets?view=errors", "dataset-1"),
    "datasets-log": ("/datasets?view=log", "Complete"),
    "dataset": ("/datasets/dataset-1", "Wishes"),
    "notifications": ("/notifications?user=ada", "Dataset dataset-1 failed"),
    "audit": ("/audit", "Nothing on record yet"),
}


@pytest.mark.usefixtures("trail")
def test_every_page_shows_what_it_should_on_every_screen_and_asks_nobody_else(visitor: OpenWindow) -> None:
    assert_shown_on_every_screen(visitor, PAGES)


@pytest.mark.usefixtures("trail")
def test_pages_can_be_read_without_javascript(visitor: OpenWindow) -> None:
    window = visitor(java_script_enabled=False)
    for path, words in PAGES.values():
        expect(window.visit(path).get_by_text(words).first).to_be_visible()


def test_a_running_jobs_new_event_appears_without_a_reload(visitor: OpenWindow, worker: Worker) -> None:
    worker.say("job-1", "start", "Started processing.")
    window = visitor()
    page = window.visit("/jobs")
    expect(page.get_by_text("job-1").first).to_be_visible()
    page.get_by_role("link", name="job-1").first.click()
    page.evaluate("window.stayed = true")
    worker.say("job-1", "processing", "Halfway there.")
    expect(page.get_by_text("Halfway there.").first).to_be_visible()
    worker.say("job-1", "done", "Done processing.")
    expect(page.get_by_text("SUCCEEDED").first).to_be_visible()
    assert page.evaluate("window.stayed") is True


def test_a_submitted_job_is_cancelled_by_a_button(
    visitor: OpenWindow, settings: Settings, worker: Worker, names: Names
) -> None:
    url, queue = settings.require_amqp_url(), worker.declare(names.queue("wordcount"))
    submit(url, queue, resource_id="file-1", reply_queue=settings.reply_stream, job_id="job-1")
    page = visitor().visit("/jobs")
    page.get_by_role("link", name="job-1").first.click()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel").first.click()
    expect(page.get_by_text("CANCELLED").first).to_be_visible()


@pytest.mark.parametrize("address", [{"web_auth": "tokens"}], indirect=True)
def test_somebody_logs_in_and_out(visitor: OpenWindow, operator_token: str) -> None:
    page = visitor().visit("/jobs")
    page.get_by_label("Token").fill(operator_token)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile(r"/jobs$"))
    page.get_by_label("Signed in as").click()
    page.get_by_role("button", name="Log out").click()
    page.goto(page.url.partition("/login")[0].removesuffix("/") + "/jobs")
    expect(page.get_by_label("Token")).to_be_visible()


@pytest.mark.usefixtures("trail")
def test_jobs_are_found_and_opened_by_keyboard_alone(visitor: OpenWindow) -> None:
    page = visitor().visit("/")
    page.keyboard.press("/")
    page.keyboard.type("job-fail")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/jobs\?q=job-fail"))  # and until it is loaded, its script too
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/jobs/job-failed$"))
    page.keyboard.press("g")
    page.keyboard.press("e")
    expect(page).to_have_url(re.compile(r"/extractors$"))
