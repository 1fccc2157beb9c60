"""What the service of dead letters counts, for Prometheus."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from jobtrail.runtime.metrics import BATCH_SIZES, STORE_SECONDS, QueueMetrics


class DeadLetterMetrics:
    """The counters; one set per process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.unsettled = Gauge("jobtrail_dead_letters_unsettled", "Letters to be looked at", registry=registry)
        self.settled = Counter(
            "jobtrail_dead_letters_settled", "Replayed letters whose outcome became known", registry=registry
        )
        self.expired = Counter(
            "jobtrail_dead_letters_expired", "Closed letters that were removed after their time", registry=registry
        )
        self.replays = Counter("jobtrail_replays", "Replays that this process brought to their end", registry=registry)
        self.missing = Gauge("jobtrail_audit_missing", "Messages that the latest audit missed", registry=registry)


@dataclass(slots=True, frozen=True, kw_only=True)
class CaptureMetrics:
    """The counters of one captured queue."""

    queue: str
    received: Counter
    stored: Counter
    duplicates: Counter
    maybe_repeated: Counter
    unacknowledged: Gauge
    connected: Gauge
    batch_size: Histogram
    store_seconds: Histogram
    sessions_ended: Counter

    def count_end(self, error: Exception) -> None:
        """Count a session that an error ended."""
        self.sessions_ended.labels(self.queue, type(error).__name__).inc()


class CapturesMetrics(QueueMetrics):
    """The counters of all queues that a process captures; one set per process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry, "jobtrail_capture")
        self._received = self._counter("received", "Messages taken from the queue, redelivered ones too")
        self._stored = self._counter("stored", "Letters stored")
        self._duplicates = self._counter("duplicates", "Messages recognised by their key as stored before")
        self._maybe_repeated = self._counter("maybe_repeated", "Letters stored that may repeat an earlier one")
        self._reconnects = self._counter("reconnects", "Sessions ended by an error", "error")
        self._unacknowledged = self._gauge("unacknowledged", "Messages that were handed out and are not stored yet")
        self._connected = self._gauge("connected", "1 while the queue is captured here")
        self._batch_size = self._histogram("batch_size", "Letters stored together", BATCH_SIZES)
        self._store_seconds = self._histogram("store_seconds", "Time to store one batch", STORE_SECONDS)

    def of(self, queue: str) -> CaptureMetrics:
        """Return the counters of one queue."""
        return CaptureMetrics(
            queue=queue,
            received=self._received.labels(queue),
            stored=self._stored.labels(queue),
            duplicates=self._duplicates.labels(queue),
            maybe_repeated=self._maybe_repeated.labels(queue),
            unacknowledged=self._unacknowledged.labels(queue),
            connected=self._connected.labels(queue),
            batch_size=self._batch_size.labels(queue),
            store_seconds=self._store_seconds.labels(queue),
            sessions_ended=self._reconnects,
        )
