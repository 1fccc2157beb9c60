"""Prometheus metrics that are counted per queue or stream."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
STORE_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5)


class QueueMetrics:
    """The base of a service's metrics: they share a prefix, and are labelled by `queue` first."""

    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        self._registry = registry
        self._prefix = prefix
        self._by_queue: list[Counter | Gauge | Histogram] = []

    def show(self, queue: str) -> None:
        """Let a queue's metrics begin at zero, but those with further labels: a series must be there to be watched."""
        for metric in self._by_queue:
            metric.labels(queue)

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        counter = Counter(f"{self._prefix}_{name}", words, ["queue", *labels], registry=self._registry)
        if not labels:
            self._by_queue.append(counter)
        return counter

    def _gauge(self, name: str, words: str) -> Gauge:
        gauge = Gauge(f"{self._prefix}_{name}", words, ["queue"], registry=self._registry)
        self._by_queue.append(gauge)
        return gauge

    def _histogram(self, name: str, words: str, buckets: Sequence[float]) -> Histogram:
        histogram = Histogram(f"{self._prefix}_{name}", words, ["queue"], buckets=buckets, registry=self._registry)
        self._by_queue.append(histogram)
        return histogram
