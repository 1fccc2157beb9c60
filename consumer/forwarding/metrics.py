"""What is counted of the streams that are forwarded, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class ForwarderMetrics:
    """The counters of all streams that a process forwards, labelled by stream; one set per process.

    Args:
        registry: Where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, words: str, *labels: str) -> Counter:
            return Counter(f"jobtrail_forwarder_{name}", words, ["queue", *labels], registry=registry)

        self.copied = counter("copied", "Updates copied to the target")
        self.skipped = counter("skipped", "Updates of other extractors, which are not copied")
        self.reconnects = counter("reconnects", "Sessions ended by an error", "error")
        self.incidents = counter("incidents", "Times the stream was not what had been read before", "kind")
        self.offset = Gauge(
            "jobtrail_forwarder_offset", "The last offset that is done with", ["queue"], registry=registry
        )
