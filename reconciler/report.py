"""One run: what it found and did, counted; what went wrong, by kind and cause."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from uuid import uuid4

from jobtrail.models.datasets.dataset import without_id
from jobtrail.models.notifications.alert import Alert, AlertKind
from jobtrail.models.notifications.outbox import RunSummary, Timings

OnProgress = Callable[[int], None]
COMMAND = "dataset:get-status"


@dataclass(slots=True)
class _Affected:
    """What one cause affects."""

    dataset_ids: list[str] = field(default_factory=list)
    wishlists: dict[str, None] = field(default_factory=dict)


class RunReport:
    """What one run has found and done so far."""

    def __init__(self, on_progress: OnProgress | None = None) -> None:
        self.on_progress = on_progress
        self.id = uuid4().hex[:12]
        self.started_at = datetime.now(UTC)
        self.outcomes: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.changes: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.to_ask: set[str] = set()
        """Datasets whose jobs are all done, and about which the API is to be asked now."""
        self.database_s: list[float] = []
        """How long each write to the database took, in seconds."""
        self.halted: str | None = None
        """Why it ended early."""
        self._began = perf_counter()
        self._alerts: dict[tuple[AlertKind, str], _Affected] = {}

    @property
    def duration_s(self) -> float:
        """Seconds since its start."""
        return perf_counter() - self._began

    @property
    def checked(self) -> int:
        """Datasets that were looked at."""
        return sum(self.outcomes.values())

    def show_progress(self) -> None:
        """Report how many datasets have been checked."""
        if self.on_progress is not None:
            self.on_progress(self.checked)

    def note_error(
        self, kind: AlertKind, cause: str, dataset_id: str | None = None, wishlist: str | None = None
    ) -> None:
        """Note that something went wrong."""
        self.errors[kind] += 1
        # The same cause names another dataset each time.
        common = without_id(cause, dataset_id) if dataset_id else cause
        affected = self._alerts.setdefault((kind, common), _Affected())
        if dataset_id is not None:
            affected.dataset_ids.append(dataset_id)
        if wishlist is not None:
            affected.wishlists[wishlist] = None

    def take_alerts(self) -> Sequence[Alert]:
        """Return the alerts since the last call, one per kind and cause."""
        now = datetime.now(UTC)
        alerts = [
            Alert(
                kind=kind,
                cause=cause,
                at=now,
                run_id=self.id,
                dataset_ids=affected.dataset_ids,
                wishlists=list(affected.wishlists),
                processing_s=self.duration_s,
            )
            for (kind, cause), affected in self._alerts.items()
        ]
        self._alerts.clear()
        return alerts

    def summary(self, api: Timings) -> RunSummary:
        """Sum up."""
        return RunSummary(
            run_id=self.id,
            started_at=self.started_at,
            duration_s=self.duration_s,
            checked=self.checked,
            statuses=dict(self.statuses),
            outcomes=dict(self.outcomes),
            changes=dict(self.changes),
            errors=dict(self.errors),
            api=api,
            database=timings(self.database_s),
            halted=self.halted,
        )


def timings(durations_s: Sequence[float]) -> Timings:
    """Sum up how long calls took.

    `durations_s`: the durations in seconds. Returns count, mean, 95th percentile and maximum.
    """
    if not durations_s:
        return Timings()
    ordered = sorted(durations_s)
    return Timings(
        count=len(ordered),
        mean_s=sum(ordered) / len(ordered),
        p95_s=ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))],
        most_s=ordered[-1],
    )
