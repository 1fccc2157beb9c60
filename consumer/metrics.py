"""What is counted of the streams that are read, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter

from jobtrail.runtime.metrics import BATCH_SIZES, STORE_SECONDS, QueueMetrics


class StreamMetrics(QueueMetrics):
    """What is counted of every stream, whatever it is read for, labelled by stream."""

    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        super().__init__(registry, prefix)
        self.reconnects = self._counter("reconnects", "Sessions ended by an error", "error")
        self.incidents = self._counter("incidents", "Times the stream was not what had been read before", "kind")
        self.offset = self._gauge("offset", "The last offset that is done with")


class ConsumerMetrics(StreamMetrics):
    """What a consumer process counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry, "jobtrail_consumer")
        self.received = self._counter("received", "Messages read from the stream")
        self.stored = self._counter("stored", "Updates stored")
        self.duplicates = self._counter("duplicates", "Messages recognised as stored before", "by")
        self.maybe_repeated = self._counter("maybe_repeated", "Updates stored that a bridge may have copied twice")
        self.dead_lettered = self._counter("dead_lettered", "Messages stored as dead letters", "reason")
        self.holds = self._counter("holds", "Times a batch waited because the database was away")
        self.connected = self._gauge("connected", "1 while messages are read")
        self.batch_size = self._histogram("batch_size", "Messages stored together", BATCH_SIZES)
        self.store_seconds = self._histogram("store_seconds", "Time to store one batch", STORE_SECONDS)
        self.copied = Counter(
            "jobtrail_bridge_copied", "Updates copied from a queue into a stream", ["queue"], registry=registry
        )
