"""What is counted of the streams that are read, for Prometheus."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
STORE_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5)


class Split:
    """A counter that is split further, by one more label beside the stream's.

    Args:
        counter: The counter, labelled by stream and by that.
        stream: The stream.
    """

    def __init__(self, counter: Counter, stream: str) -> None:
        self._counter = counter
        self._stream = stream

    def labels(self, value: str) -> Counter:
        """Return the counter of one value."""
        return self._counter.labels(self._stream, value)


@dataclass(slots=True, frozen=True, kw_only=True)
class StreamMetrics:
    """The counters of one stream."""

    received: Counter
    stored: Counter
    duplicates: Split
    maybe_repeated: Counter
    dead_lettered: Split
    holds: Counter
    reconnects: Split
    incidents: Split
    position: Gauge
    connected: Gauge
    batch_size: Histogram
    store_seconds: Histogram


class ConsumerMetrics:
    """The counters of all streams that a process reads; one set per process.

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

        self._received = counter("received", "Messages read from the stream")
        self._stored = counter("stored", "Updates stored")
        self._duplicates = counter("duplicates", "Messages recognised as stored before", "by")
        self._maybe_repeated = counter("maybe_repeated", "Updates stored that a bridge may have copied twice")
        self._dead_lettered = counter("dead_lettered", "Messages stored as dead letters", "reason")
        self._holds = counter("holds", "Times a batch waited because the database was away")
        self._reconnects = counter("reconnects", "Sessions ended by an error", "error")
        self._incidents = counter("incidents", "Times the stream was not what had been read before", "kind")
        self._position = gauge("offset", "The last stored offset")
        self._connected = gauge("connected", "1 while messages are read")
        self._batch_size = histogram("batch_size", "Messages stored together", BATCH_SIZES)
        self._store_seconds = histogram("store_seconds", "Time to store one batch", STORE_SECONDS)
        self.copied = Counter(
            "jobtrail_bridge_copied", "Updates copied from a queue into a stream", ["queue"], registry=registry
        )

    def of(self, stream: str) -> StreamMetrics:
        """Return the counters of one stream.

        Args:
            stream: The stream.

        Returns:
            Its counters.
        """
        return StreamMetrics(
            received=self._received.labels(stream),
            stored=self._stored.labels(stream),
            duplicates=Split(self._duplicates, stream),
            maybe_repeated=self._maybe_repeated.labels(stream),
            dead_lettered=Split(self._dead_lettered, stream),
            holds=self._holds.labels(stream),
            reconnects=Split(self._reconnects, stream),
            incidents=Split(self._incidents, stream),
            position=self._position.labels(stream),
            connected=self._connected.labels(stream),
            batch_size=self._batch_size.labels(stream),
            store_seconds=self._store_seconds.labels(stream),
        )
