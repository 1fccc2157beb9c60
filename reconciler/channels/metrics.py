"""What the dispatcher counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class OutboxMetrics:
    """The dispatcher's counters; one set per process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.sent = Counter("jobtrail_outbox_sent", "Messages sent", ["channel"], registry=registry)
        self.failed_attempts = Counter(
            "jobtrail_outbox_failed_attempts", "Tries that failed", ["channel", "verdict"], registry=registry
        )
        self.given_up = Counter("jobtrail_outbox_given_up", "Messages given up", ["channel"], registry=registry)
        self.entries = Gauge(
            "jobtrail_outbox_entries", "Entries that are not sent, by state", ["channel", "state"], registry=registry
        )
        self.outage = Gauge(
            "jobtrail_outbox_outage",
            "1 from a try that found the service away to the next that did not",
            ["channel"],
            registry=registry,
        )
