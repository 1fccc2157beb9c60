"""What the reconciler counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from jobtrail.models.notifications.outbox import RunSummary

RUN_SECONDS = (0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600)


class ReconcilerMetrics:
    """The reconciler's counters; one set per process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._runs = Counter("jobtrail_reconciler_runs", "Runs of dataset:get-status", ["result"], registry=registry)
        self._run_seconds = Histogram(
            "jobtrail_reconciler_run_seconds", "Time of one run", buckets=RUN_SECONDS, registry=registry
        )
        self._last_run = Gauge(
            "jobtrail_reconciler_last_run_timestamp_seconds", "When the last run ended", registry=registry
        )
        self._checks = Counter("jobtrail_reconciler_checks", "Datasets checked", ["outcome"], registry=registry)
        self._changes = Counter("jobtrail_reconciler_changes", "Changes of status", ["change"], registry=registry)
        self._errors = Counter("jobtrail_reconciler_errors", "Checks that met an error", ["kind"], registry=registry)
        self._open = Gauge(
            "jobtrail_reconciler_datasets",
            "Datasets of the last run by the status after it",
            ["status"],
            registry=registry,
        )
        self._api_p95 = Gauge(
            "jobtrail_reconciler_api_p95_seconds",
            "95th percentile of the API's answers in the last run",
            registry=registry,
        )
        self._database_p95 = Gauge(
            "jobtrail_reconciler_database_p95_seconds", "95th percentile of the last run's writes", registry=registry
        )

    def note_checks(self, summary: RunSummary) -> None:
        """Count what was checked, by a whole run or because jobs changed."""
        for counter, counts in (
            (self._checks, summary.outcomes),
            (self._changes, summary.changes),
            (self._errors, summary.errors),
        ):
            for label, count in counts.items():
                counter.labels(label).inc(count)

    def note_run(self, summary: RunSummary) -> None:
        """Count a whole run."""
        self.note_checks(summary)
        self._runs.labels("halted" if summary.halted else "finished").inc()
        self._run_seconds.observe(summary.duration_s)
        self._last_run.set_to_current_time()
        self._open.clear()
        for status, count in summary.statuses.items():
            self._open.labels(status).set(count)
        self._api_p95.set(summary.api.p95_s)
        self._database_p95.set(summary.database.p95_s)
