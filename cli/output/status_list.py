"""Prints a list of items with a status: a table where there is room, else two or three lines per item."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from jobtrail.cli.output.console import make_console, make_table
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import QUIET

WIDE = 160
"""Columns of a terminal that shows an item in one line."""
_WIDEST = 40
_END_WIDTH = 10


@dataclass(slots=True, frozen=True, kw_only=True)
class Columns:
    """The headings of a list."""

    state: str
    name: str
    details: Sequence[str]
    ends: Sequence[str]
    """Short ones, aligned at the right."""
    remark: str


@dataclass(slots=True, frozen=True, kw_only=True)
class Line:
    """One item of a list."""

    state: Text
    name: str
    details: Sequence[str]
    """One per heading; may be empty."""
    ends: Sequence[str]
    remark: Text
    remark_matters: bool = True
    """Whether the remark is shown even where there is little room."""


def print_lines(console: Console, columns: Columns, lines: Sequence[Line]) -> None:
    """Print a list of at least one item."""
    # What people copy, such as a key, must be neither cut off nor broken.
    if console.width >= WIDE and all(
        cell_len(text) <= _WIDEST for line in lines for text in (line.name, *line.details)
    ):
        console.print(_table(columns, lines, console.width))
    else:
        _print_narrow(console, columns, lines)


def print_next(console: Console, cursor: str | None) -> None:
    """Print how to see the next page, if there is one."""
    if cursor:
        console.print(Text(f"\nMore:  --cursor {cursor}", style=QUIET), soft_wrap=True)


def print_page(columns: Columns, lines: Sequence[Line], cursor: str | None, *, empty: str, way_out: str) -> None:
    """Print one page of a list and how to see the next one; where it is empty, `empty` and the command to try next."""
    console = make_console()
    if lines:
        print_lines(console, columns, lines)
        print_next(console, cursor)
    else:
        console.print(empty)
        console.print(Text(f"  {way_out}", style=QUIET))


def _table(columns: Columns, lines: Sequence[Line], width: int) -> Table:
    names = [columns.state, columns.name, *columns.details, *columns.ends]
    cells = [
        [line.state, *(Text(one_line(text)) for text in (line.name, *line.details)), *map(Text, line.ends)]
        for line in lines
    ]
    widths = [min(_WIDEST, max(len(name), *(row[place].cell_len for row in cells))) for place, name in enumerate(names)]
    table = make_table()
    for name, column_width in zip(names, widths, strict=True):
        justify: JustifyMethod = "right" if name in columns.ends else "left"
        table.add_column(name, width=column_width, overflow="fold", justify=justify)
    room = width - sum(widths) - 2 * len(widths)
    table.add_column(columns.remark, width=max(len(columns.remark), room), no_wrap=True, overflow="ellipsis")
    for row, line in zip(cells, lines, strict=True):
        table.add_row(*row, line.remark)
    return table


def _print_narrow(console: Console, columns: Columns, lines: Sequence[Line]) -> None:
    state_width = max(len(columns.state), *(line.state.cell_len for line in lines)) + 2
    end_widths = [
        max(_END_WIDTH, len(heading), *(len(line.ends[place]) for line in lines))
        for place, heading in enumerate(columns.ends)
    ]
    room = console.width - state_width
    name_width = max(9, room - sum(end_widths) - 2 * len(end_widths))
    widths = (state_width, name_width, *end_widths)
    heading = _first_line(Text(columns.state), columns.name, columns.ends, widths)
    heading.stylize(QUIET)
    console.print(heading, no_wrap=True, overflow="crop")
    margin = " " * state_width
    for line in lines:
        console.print(_first_line(line.state, one_line(line.name), line.ends, widths), soft_wrap=True)
        details = ", ".join(
            f"{name.lower()} {one_line(detail)}"
            for name, detail in zip(columns.details, line.details, strict=True)
            if detail
        )
        if details:
            console.print(Text(margin + details, style=QUIET), soft_wrap=True)
        if line.remark and line.remark_matters:
            remark = line.remark.copy()
            remark.truncate(room, overflow="ellipsis")
            console.print(Text(margin).append_text(remark), soft_wrap=True)


def _first_line(state: Text, name: str, ends: Sequence[str], widths: Sequence[int]) -> Text:
    line = state.copy()
    line.pad_right(widths[0] - line.cell_len)
    line.append(name + " " * (widths[1] - cell_len(name)), style="default")
    for end, width in zip(ends, widths[2:], strict=True):
        line.append(f"  {end:>{width}}", style="default")
    return line
