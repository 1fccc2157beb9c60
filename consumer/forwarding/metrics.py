"""What is counted of the streams that are forwarded, for Prometheus."""

from prometheus_client import CollectorRegistry

from jobtrail.consumer.metrics import StreamMetrics


class ForwarderMetrics(StreamMetrics):
    """What a forwarder process counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry, "jobtrail_forwarder")
        self.copied = self._counter("copied", "Updates copied to the target")
        self.skipped = self._counter("skipped", "Updates of other extractors, which are not copied")
