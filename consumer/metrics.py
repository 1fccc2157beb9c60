"""What is counted of the queues that are consumed, for Prometheus."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
STORE_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5)


class Split:
    """A counter that is split further, by one more label beside the queue's.

    Args:
        counter: The counter, labelled by queue and by that.
        queue: The queue.
    """

    def __init__(self, counter: Counter, queue: str) -> None:
        self._counter = counter
        self._queue = queue

    def labels(self, value: str) -> Counter:
        """Return the counter of one value."""
        return self._counter.labels(self._queue, value)


@dataclass(slots=True, frozen=True, kw_only=True)
class QueueMetrics:
    """The counters of one queue."""

    received: Counter
    stored: Counter
    duplicates: Split
    dead_lettered: Split
    holds: Counter
    reconnects: Split
    unacknowledged: Gauge
    connected: Gauge
    batch_size: Histogram
    store_seconds: Histogram


class ConsumerMetrics:
    """The counters of all queues that a process consumes; one set per process.

    Args:
        registry: Where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, words: str, *labels: str) -> Counter:
            return Counter(f"jobtrail_consumer_{name}", words, ["queue", *labels], registry=registry)

        def gauge(name: str, words: str) -> Gauge:
            return Gauge(f"jobtrail_consumer_{name}", words, ["queue"], registry=registry)

        def histogram(name: str, words: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"jobtrail_consumer_{name}", words, ["queue"], buckets=buckets, registry=registry)

        self._received = counter("received", "Messages taken from the queue")
        self._stored = counter("stored", "Messages stored")
        self._duplicates = counter("duplicates", "Messages recognised as stored before", "by")
        self._dead_lettered = counter("dead_lettered", "Messages put into the dead-letter queue", "reason")
        self._holds = counter("holds", "Times a batch was held because the database was away")
        self._reconnects = counter("reconnects", "Sessions ended by an error", "error")
        self._unacknowledged = gauge("unacknowledged", "Deliveries that are not acknowledged yet")
        self._connected = gauge("connected", "1 while messages are consumed")
        self._batch_size = histogram("batch_size", "Messages stored together", BATCH_SIZES)
        self._store_seconds = histogram("store_seconds", "Time to store one batch", STORE_SECONDS)

    def of(self, queue: str) -> QueueMetrics:
        """Return the counters of one queue.

        Args:
            queue: The queue.

        Returns:
            Its counters.
        """
        return QueueMetrics(
            received=self._received.labels(queue),
            stored=self._stored.labels(queue),
            duplicates=Split(self._duplicates, queue),
            dead_lettered=Split(self._dead_lettered, queue),
            holds=self._holds.labels(queue),
            reconnects=Split(self._reconnects, queue),
            unacknowledged=self._unacknowledged.labels(queue),
            connected=self._connected.labels(queue),
            batch_size=self._batch_size.labels(queue),
            store_seconds=self._store_seconds.labels(queue),
        )
