"""What the service of dead letters counts, for Prometheus, beside what `consumer.metrics` counts of each queue."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class DeadLetterMetrics:
    """The counters; one set per process.

    Args:
        registry: Where they are registered.
    """

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
