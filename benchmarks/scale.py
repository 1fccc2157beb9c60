"""How much is measured."""

from dataclasses import dataclass


@dataclass(slots=True, frozen=True, kw_only=True)
class Scale:
    """The sizes of one run of the benchmarks."""

    rounds: int
    """Times that what is compared is measured, in turns."""
    ingest_events: int
    """Messages per round and side."""
    one_at_a_time_events: int
    """Messages that the slow consumer gets per round."""
    latency_window_s: float
    stored_events: int
    """Events in the big store."""
    big_store_events: int
    """Messages per round and side with and without the big store."""
    small_backlog: int
    """Small messages that wait when the consumer starts."""
    large_backlog: int
    """Messages of 1.9 MB that wait when the consumer starts."""
    updates: int
    """Updates sent through the reporter."""
    heartbeat_s: float
    """Seconds of heartbeats that count, after a first one of each instance."""
    datasets: int
    """Open datasets of one run."""
    single_datasets: int
    """Those that the slow loop gets."""
    failing_datasets_s: float
    """Seconds in which datasets fail by their jobs."""
    web_jobs: int
    """Jobs in the store that pages are read from; five events each."""
    web_deep_page: int
    """Which page of fifty jobs is compared with the first."""
    web_s: float
    """Seconds in which pages are asked for."""
    shown_updates: int
    """Updates that are awaited in an open page."""
    letters: int
    """Dead letters that are captured, and replayed, per round."""
    stored_letters: int
    """Dead letters in the store that the page of groups is read from."""


FULL = Scale(
    rounds=3,
    ingest_events=60_000,
    one_at_a_time_events=1_500,
    latency_window_s=5.0,
    stored_events=2_000_000,
    big_store_events=40_000,
    small_backlog=300_000,
    large_backlog=200,
    updates=20_000,
    heartbeat_s=12.0,
    datasets=10_000,
    single_datasets=200,
    failing_datasets_s=20.0,
    web_jobs=1_000_000,
    web_deep_page=10_000,
    web_s=30.0,
    shown_updates=200,
    letters=40_000,
    stored_letters=1_000_000,
)
QUICK = Scale(
    rounds=1,
    ingest_events=20_000,
    one_at_a_time_events=1_000,
    latency_window_s=3.0,
    stored_events=200_000,
    big_store_events=20_000,
    small_backlog=40_000,
    large_backlog=50,
    updates=5_000,
    heartbeat_s=5.0,
    datasets=3_000,
    single_datasets=100,
    failing_datasets_s=5.0,
    web_jobs=50_000,
    web_deep_page=500,
    web_s=8.0,
    shown_updates=40,
    letters=10_000,
    stored_letters=50_000,
)
