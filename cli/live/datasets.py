"""The live table's lines on datasets: how many are in each status, and their latest changes."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.rule import Rule
from rich.text import Text

from jobtrail.cli.live.jobs import LiveFigures, Snapshot
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import BAD, QUIET, look_of, word_text
from jobtrail.models.datasets.dataset import DatasetStatus
from jobtrail.store.datasets.views import LogRow

_MAX_CHANGES = 3
_LOW = 12
"""Lines of a terminal that has no room for datasets."""
_LINES_PER_CHANGE = 4
"""One change is shown for each of so many lines more."""
_MAX_CELLS = 32
"""Width of the widest column."""


def draw_datasets(snapshot: Snapshot, *, wide: bool, height: int) -> list[RenderableType]:
    """Draw one line each, with the reasons of changes if `wide`; none without datasets, or without room for them."""
    if not snapshot.figures.datasets or height <= _LOW:
        return []
    room = min(_MAX_CHANGES, (height - _LOW) // _LINES_PER_CHANGE)
    return [_counts(snapshot.figures), *_lines(snapshot.changes[:room], wide=wide), Rule(style=QUIET)]


def plain_change(change: LogRow) -> str:
    """Describe a change of a dataset in one line, for output that is not a terminal."""
    return f"dataset {change.dataset_id}  {change.to_status}  for {change.group}  {one_line(change.message or '')}"


def _counts(figures: LiveFigures) -> Text:
    line = Text("Datasets", no_wrap=True, overflow="ellipsis")
    for status in DatasetStatus:
        sign, style = look_of(status)
        line.append(f"   {sign} {figures.datasets.get(status, 0):,} {status.lower()}", style=style)
    return line


def _lines(changes: Sequence[LogRow], *, wide: bool) -> list[Text]:
    cells = [
        [
            Text(f"{change.created_at.astimezone():%H:%M:%S}" if change.created_at else "", style=QUIET),
            word_text(one_line(change.to_status or "")),
            Text(one_line(change.dataset_id or "")),
            Text(one_line(change.group or ""), style=QUIET),
        ]
        for change in changes
    ]
    for column in zip(*cells, strict=True):
        width = min(_MAX_CELLS, max(text.cell_len for text in column))
        for text in column:
            text.truncate(width, overflow="ellipsis", pad=True)
    if wide:
        cells = [[*row, _reason(change)] for row, change in zip(cells, changes, strict=True)]
    gap = Text("  ", no_wrap=True, overflow="ellipsis")
    return [gap.join(row) for row in cells]


def _reason(change: LogRow) -> Text:
    failed = change.to_status == DatasetStatus.FAILED
    return Text(one_line(change.message or ""), style=BAD if failed else QUIET)
