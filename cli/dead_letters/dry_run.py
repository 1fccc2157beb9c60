"""`jobtrail deadletters replay --dry-run`: what a replay would do."""

from rich.table import Table
from rich.text import Text

from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.dead_letters.selection import count_selected, counted
from jobtrail.cli.dead_letters.show import VERDICTS
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.output.console import make_console, write_json
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import QUIET
from jobtrail.cli.output.progress import ProgressTeller
from jobtrail.deadletters.dry_run import DryRunner, summary_words
from jobtrail.models.dead_letters.dead_letter import UNSETTLED, LetterFilter
from jobtrail.models.dead_letters.dry_run import DryRun, Verdict
from jobtrail.operations.schemas.dead_letters import DryRunSchema

_MAX_REASONS = 10


def show_dry_run(selection: LetterFilter, target: str | None, *, as_json: bool) -> None:
    """Test what a replay would do, and print it."""
    result = run_interruptible(_dry_run(selection, target))
    if as_json:
        write_json(DryRunSchema.of(result).json_object())
    else:
        print_dry_run(result)


async def _dry_run(selection: LetterFilter, target: str | None) -> DryRun:
    settings = current_settings()
    async with open_database(settings) as database:
        with ProgressTeller("Testing dead letters") as teller:
            teller.total = await count_selected(database, selection, UNSETTLED)
            return await DryRunner(settings, database, target).run(selection, on_progress=teller.note)


def print_dry_run(result: DryRun) -> None:
    """Print a dry run."""
    console = make_console()
    console.print(Text.assemble((f"{counted(result.total)}: ", "bold"), (summary_words(result.counts), "bold")))
    console.print(Text("Nothing was sent or changed.", style=QUIET))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, justify="right")
    grid.add_column(overflow="fold")
    for verdict in Verdict:
        reasons = [(why, count) for (each, why), count in result.reasons.most_common() if each is verdict]
        sign, words, style = VERDICTS[verdict]
        for place, (why, count) in enumerate(reasons[:_MAX_REASONS]):
            grid.add_row(Text("" if place else f"  {sign} {words}", style=style), f"{count:,}", one_line(why))
        if len(reasons) > _MAX_REASONS:
            rest = sum(count for _why, count in reasons[_MAX_REASONS:])
            grid.add_row("", f"{rest:,}", Text("for other reasons; all of them: --json", style=QUIET))
    console.print()
    console.print(grid)
    console.print(Text("\nWould go to", style="bold"))
    targets = Table.grid(padding=(0, 2))
    targets.add_column(overflow="fold")
    targets.add_column(justify="right")
    for queue, count in result.targets.most_common():
        known = Text(f"  {one_line(queue)}") if queue else Text("  unknown: name a queue with --to", style="yellow")
        targets.add_row(known, f"{count:,}")
    console.print(targets)
