"""`jobtrail deadletters`: messages that could not be processed, and what to do about them."""

from typing import Annotated

import typer

from jobtrail.cli.command_group import JsonOption, examples
from jobtrail.cli.dead_letters.acts import discard, edit, export, import_, replay, restore
from jobtrail.cli.dead_letters.selection import SelectionOptions, takes

deadletters = typer.Typer(
    no_args_is_help=True,
    help="Messages that could not be processed: look at them, judge, mend and replay them, or put them away.",
    epilog=examples(
        "jobtrail deadletters groups",
        "jobtrail deadletters show 6747605e8f1b2a0012345678",
        "jobtrail deadletters replay --group 3f2a1b2c3d4e5f60 --dry-run",
        "jobtrail deadletters replay --group 3f2a1b2c3d4e5f60",
    ),
)

_LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="Rows per page.")]
_CursorOption = Annotated[
    str | None, typer.Option("--cursor", help="Go on where the last page ended: its `next`.", show_default=False)
]


@deadletters.command(epilog=examples("jobtrail deadletters groups", "jobtrail deadletters groups --all --json"))
def groups(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also groups whose letters are all settled.")] = False,
    limit: _LimitOption = 20,
    cursor: _CursorOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the letters by cause, the latest first: how many, since when, and what mended it last time."""
    from jobtrail.cli.dead_letters.groups import print_groups, print_json, read
    from jobtrail.cli.interruptible import run_interruptible

    found = run_interruptible(read(unsettled_only=not everything, limit=limit, cursor=cursor))
    if as_json:
        print_json(found)
    else:
        print_groups(found, unsettled_only=not everything)


@deadletters.command("list", epilog=examples("jobtrail deadletters list --reason too_large --since 1d"))
@takes(SelectionOptions)
def list_(
    *,
    which: SelectionOptions,
    state: Annotated[
        list[str] | None,
        typer.Option(
            help="In this state, more than once or with commas; `any` for all. Without it, those to be looked at.",
            show_default=False,
        ),
    ] = None,
    limit: _LimitOption = 20,
    cursor: _CursorOption = None,
    as_json: JsonOption = False,
) -> None:
    """List letters, the newest first: those that are open, or whose replay nobody heard of again."""
    from dataclasses import replace
    from datetime import UTC, datetime

    from jobtrail.cli.dead_letters.lists import print_json, print_letters, read, read_states
    from jobtrail.cli.interruptible import run_interruptible

    wanted = replace(which.letters(datetime.now(UTC)), states=read_states(state or ()))
    found, unsettled = run_interruptible(read(wanted, limit=limit, cursor=cursor))
    if as_json:
        print_json(found)
    else:
        print_letters(found, unsettled)


@deadletters.command(epilog=examples("jobtrail deadletters show 6747605e8f1b2a0012345678"))
def show(
    letter: Annotated[str, typer.Argument(help="The letter, as `list` shows it.", metavar="LETTER")],
    as_json: JsonOption = False,
) -> None:
    """Show one letter: why it is here, its body and properties, its job, and what today's code says of it.

    Secrets are masked.
    """
    from jobtrail.cli.dead_letters.show import print_json, print_letter, read
    from jobtrail.cli.interruptible import run_interruptible

    found = run_interruptible(read(letter))
    if as_json:
        print_json(found)
    else:
        print_letter(found)


@deadletters.command(epilog=examples('jobtrail deadletters note 3f2a1b2c3d4e5f60 "raised JOBTRAIL_MAX_BODY_BYTES"'))
def note(
    group: Annotated[str, typer.Argument(help="The group, as `groups` shows it.", metavar="GROUP")],
    text: Annotated[str, typer.Argument(help="What mended it; an empty text takes the note away.", metavar="TEXT")],
    as_json: JsonOption = False,
) -> None:
    """Note what mended a group, for whoever meets it next."""
    from jobtrail.cli.dead_letters.groups import note_fix, print_group_json
    from jobtrail.cli.interruptible import run_interruptible

    noted = run_interruptible(note_fix(group, text.strip() or None))
    if as_json:
        print_group_json(noted)
    else:
        typer.echo(f"✔ {'Noted.' if noted.fix else 'The note is gone.'}  See it:  jobtrail deadletters groups --all")


deadletters.command(
    "replay",
    epilog=examples(
        "jobtrail deadletters replay --group 3f2a1b2c3d4e5f60 --dry-run",
        "jobtrail deadletters replay --group 3f2a1b2c3d4e5f60 --rate 100",
        "jobtrail deadletters replay 6747605e8f1b2a0012345678 --to jobtrail.replies.1",
    ),
)(replay)


@deadletters.command(
    epilog=examples("jobtrail deadletters replays", "jobtrail deadletters replays 9f2c41d07a3b --json")
)
def replays(
    replay_id: Annotated[
        str | None, typer.Argument(help="Only this one, with its receipt.", metavar="[REPLAY]", show_default=False)
    ] = None,
    *,
    limit: _LimitOption = 20,
    cursor: _CursorOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the replays, the newest first, or show one: how far it is, and what became of its letters."""
    from jobtrail.cli.dead_letters.receipt import (
        print_list,
        print_list_json,
        print_one_json,
        print_receipt,
        read_list,
        read_one,
    )
    from jobtrail.cli.interruptible import run_interruptible

    if replay_id is not None:
        one = run_interruptible(read_one(replay_id))
        if as_json:
            print_one_json(one.replay)
        else:
            print_receipt(one)
        return
    found = run_interruptible(read_list(limit=limit, cursor=cursor))
    if as_json:
        print_list_json(found)
    else:
        print_list(found)


@deadletters.command(epilog=examples("jobtrail deadletters cancel 9f2c41d07a3b"))
def cancel(
    replay_id: Annotated[str, typer.Argument(help="The replay.", metavar="REPLAY")], as_json: JsonOption = False
) -> None:
    """Stop a replay, whoever runs it, after the batch in hand. What was sent stays sent; the rest is open again."""
    from jobtrail.cli.dead_letters.receipt import print_one_json, print_receipt
    from jobtrail.cli.dead_letters.replay import cancel_replay
    from jobtrail.cli.interruptible import run_interruptible

    found = run_interruptible(cancel_replay(replay_id))
    if as_json:
        print_one_json(found.replay)
    else:
        print_receipt(found)


deadletters.command(
    "edit",
    epilog=examples(
        "jobtrail deadletters edit 6747605e8f1b2a0012345678",
        "jobtrail deadletters edit 6747605e8f1b2a0012345678 --set start=2026-11-22T00:14:36Z --set percent:=50",
        "jobtrail deadletters edit 6747605e8f1b2a0012345678 --revert",
    ),
)(edit)
deadletters.command(
    "discard", epilog=examples('jobtrail deadletters discard --group 3f2a1b2c3d4e5f60 --reason "a test of last week"')
)(discard)
deadletters.command("restore", epilog=examples("jobtrail deadletters restore 6747605e8f1b2a0012345678"))(restore)
deadletters.command(
    "export",
    epilog=examples(
        "jobtrail deadletters export --group 3f2a1b2c3d4e5f60 -o letters.jsonl",
        "jobtrail deadletters export --all --state any | gzip > letters.jsonl.gz",
    ),
)(export)
deadletters.command("import", epilog=examples("jobtrail deadletters import letters.jsonl"))(import_)


@deadletters.command(
    epilog=examples("jobtrail deadletters capture", "jobtrail deadletters capture --queue error.ncsa.wordcount")
)
def capture(
    queue: Annotated[
        list[str] | None,
        typer.Option(
            help="Empty this queue too, beside those of JOBTRAIL_CAPTURE_QUEUES; may be given more than once.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Capture dead letters until SIGTERM or Ctrl-C; also go on with replays, settle outcomes, audit hourly.

    It empties JOBTRAIL_DEAD_LETTER_QUEUE, and other queues only where they are
    named. A message leaves its queue once it is stored.
    """
    from jobtrail.cli.context import current_settings
    from jobtrail.cli.services.service import run_service
    from jobtrail.deadletters.service import capture_settings, run_dead_letters

    settings = capture_settings(current_settings(), queue or ())
    run_service("dead_letters", settings, lambda stop, on_ready: run_dead_letters(settings, stop, on_ready=on_ready))
