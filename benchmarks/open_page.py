"""A page that is open in a browser, and how soon it shows what a worker says."""

import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks.workbench import BenchmarkError, Lane
from jobtrail.publisher import Reporter
from tests.browser.chromium import launch

PAUSE_S = 0.3
PATIENCE_S = 20.0
_MARK = "update number "

_NOTE_WHAT_IS_SHOWN = """mark => {
    window.shownAt = {};
    const look = () => {
        const now = Date.now();
        for (const [word] of document.body.innerText.matchAll(new RegExp(mark + "\\\\d+", "g"))) {
            window.shownAt[word] ??= now;
        }
    };
    look();
    new MutationObserver(look).observe(document.body, {childList: true, subtree: true, characterData: true});
}"""


def shown_after_ms(lane: Lane, address: str, spool: Path, count: int) -> list[float]:
    """Open the page of a running job, and let its worker speak.

    Args:
        lane: Where the worker sends to.
        address: The web's.
        spool: The worker's folder.
        count: How many updates.

    Returns:
        How long each update took from its publication until the page showed it, in milliseconds.

    Raises:
        BenchmarkError: The page did not show them.
    """
    with (
        sync_playwright() as playwright,
        launch(playwright) as browser,
        Reporter(lane.urls.amqp_url, "bench.shown", reply_queue=lane.stream, spool_path=spool) as reporter,
    ):
        page = browser.new_page()
        with reporter.job("a-file") as job:
            job.progress(f"{_MARK}0")
            _open(page, f"{address}/jobs/{job.job_id}")
            page.evaluate(_NOTE_WHAT_IS_SHOWN, _MARK)
            sent_ms: dict[str, float] = {}
            for number in range(1, count + 1):
                word = f"{_MARK}{number}"
                sent_ms[word] = time.time() * 1000
                job.progress(word)
                time.sleep(PAUSE_S)
            page.wait_for_function("word => word in window.shownAt", arg=word, timeout=PATIENCE_S * 1000)
            shown_ms: dict[str, float] = page.evaluate("window.shownAt")
    missed = sent_ms.keys() - shown_ms.keys()
    if missed:
        raise BenchmarkError(f"the page never showed {len(missed)} of {count} updates, such as {min(missed)!r}")
    return [shown_ms[word] - at_ms for word, at_ms in sent_ms.items()]


def _open(page: Page, url: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        page.goto(url)
        if page.get_by_text(_MARK).first.is_visible():
            return
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{url} does not show the job")
        time.sleep(0.2)
