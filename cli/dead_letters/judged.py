"""Judges what a replay would come to, and prints it."""

from dataclasses import replace

from rich.table import Table
from rich.text import Text

from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.dead_letters.chosen import count_chosen
from jobtrail.cli.dead_letters.show import VERDICTS
from jobtrail.cli.output.console import make_console, write_json
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import QUIET
from jobtrail.cli.output.progress import ProgressTeller
from jobtrail.deadletters.dry_run import DryRunner, summary_words
from jobtrail.models.datasets.judgement import DryRun, Verdict
from jobtrail.models.dead_letters.dead_letter import UNSETTLED, LetterFilter
from jobtrail.operations.schemas.dead_letters import DryRunSchema

_MAX_REASONS = 10


async def judge(selection: LetterFilter, target: str | None) -> DryRun:
    """Judge the letters of a selection.

    Args:
        selection: Which letters; of them those that can be replayed.
        target: The queue that they would go to; None for where they came from.

    Returns:
        What they would come to.

    Raises:
        NotFoundError: There is no such letter.
        SettingError: A setting is wrong.
        StoreError: The database can't be reached.
    """
    settings = current_settings()
    async with open_database(settings) as database:
        with ProgressTeller("Judging letters") as teller:
            teller.total = await count_chosen(database, selection, UNSETTLED)
            return await DryRunner(settings, database, target).run(replace(selection, states=None), teller.note)


def print_json(result: DryRun) -> None:
    """Print a dry run as one JSON object.

    Args:
        result: What was found.
    """
    write_json(DryRunSchema.of(result).json_object())


def print_judged(result: DryRun) -> None:
    """Print a dry run.

    Args:
        result: What was found.
    """
    console = make_console()
    letters = "1 letter" if result.total == 1 else f"{result.total:,} letters"
    console.print(Text.assemble((f"{letters}: ", "bold"), (summary_words(result.counts), "bold")))
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
        known = Text(f"  {one_line(queue)}") if queue else Text("  nobody knows where: name it, --to", style="yellow")
        targets.add_row(known, f"{count:,}")
    console.print(targets)
