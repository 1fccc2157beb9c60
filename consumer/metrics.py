"""What the consumer counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
STORE_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5)


class ConsumerMetrics:
    """The consumer's counters; one set per process.

    Args:
        registry: Where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.received = Counter("jobtrail_consumer_received", "Messages taken from the reply queue", registry=registry)
        self.stored = Counter("jobtrail_consumer_stored", "Updates stored", registry=registry)
        self.duplicates = Counter(
            "jobtrail_consumer_duplicates", "Messages recognised as stored before", ["by"], registry=registry
        )
        self.dead_lettered = Counter(
            "jobtrail_consumer_dead_lettered", "Messages put into the dead-letter queue", ["reason"], registry=registry
        )
        self.holds = Counter(
            "jobtrail_consumer_holds", "Times a batch was held because the database was away", registry=registry
        )
        self.reconnects = Counter(
            "jobtrail_consumer_reconnects", "Sessions ended by an error", ["error"], registry=registry
        )
        self.unacknowledged = Gauge(
            "jobtrail_consumer_unacknowledged", "Deliveries that are not acknowledged yet", registry=registry
        )
        self.connected = Gauge("jobtrail_consumer_connected", "1 while messages are consumed", registry=registry)
        self.batch_size = Histogram(
            "jobtrail_consumer_batch_size", "Messages stored together", buckets=BATCH_SIZES, registry=registry
        )
        self.store_seconds = Histogram(
            "jobtrail_consumer_store_seconds", "Time to store one batch", buckets=STORE_SECONDS, registry=registry
        )
