"""The monitor's Prometheus metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector


class MonitorMetrics:
    """Counters and gauges of one monitor."""

    def __init__(self, registry: CollectorRegistry) -> None:
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.received = Counter(
            "jobtrail_heartbeats_received", "Heartbeats taken from the queue, bad ones too", registry=registry
        )
        self.stored = Counter(
            "jobtrail_heartbeats_stored",
            "Heartbeats written after coalescing, one per instance and write",
            registry=registry,
        )
        self.rejected = Counter(
            "jobtrail_heartbeats_rejected", "Heartbeats that became dead letters", ["reason"], registry=registry
        )
        self.lost = Counter(
            "jobtrail_heartbeats_lost",
            "Bad heartbeats that the database refused even as dead letters",
            registry=registry,
        )
        self.write_s = Histogram(
            "jobtrail_heartbeats_write_seconds", "Time of one bulk write of heartbeats", registry=registry
        )
        self.outages = Counter(
            "jobtrail_monitor_outages", "Failed tries to reach a service", ["service"], registry=registry
        )
        self.broker_connected = Gauge(
            "jobtrail_monitor_broker_connected", "1 while the monitor receives from RabbitMQ", registry=registry
        )
        self.database_ok = Gauge(
            "jobtrail_monitor_database_ok", "1 while the last write to MongoDB succeeded", registry=registry
        )
