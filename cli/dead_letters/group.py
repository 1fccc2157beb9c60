"""`jobtrail deadletters`: the list of its commands."""

from jobtrail.cli.command_group import examples
from jobtrail.cli.command_table import LazyCommand, command_group

_HERE = "jobtrail.cli.dead_letters"

deadletters = command_group(
    "Messages that could not be processed: inspect, test, edit and replay them, or discard them.",
    LazyCommand(
        "groups",
        f"{_HERE}.groups:groups",
        "List dead letters by cause, the latest first.",
        "jobtrail deadletters groups",
        "jobtrail deadletters groups --all --json",
    ),
    LazyCommand(
        "list",
        f"{_HERE}.list:list_",
        "List dead letters, the newest first.",
        "jobtrail deadletters list --reason too_large --since 1d",
    ),
    LazyCommand(
        "show",
        f"{_HERE}.show:show",
        "Show one dead letter: why it is here, its body, its job.",
        "jobtrail deadletters show 6747605e8f1b2a0012345678",
    ),
    LazyCommand(
        "note",
        f"{_HERE}.groups:note",
        "Note how a group was fixed.",
        'jobtrail deadletters note 3f2a1b2c3d4e5f60 "raised JOBTRAIL_MAX_BODY_BYTES"',
    ),
    LazyCommand(
        "replay",
        f"{_HERE}.replay:replay",
        "Send dead letters again, in stages.",
        "jobtrail deadletters replay --group 3f2a1b2c3d4e5f60 --dry-run",
        "jobtrail deadletters replay --group 3f2a1b2c3d4e5f60 --rate 100",
        "jobtrail deadletters replay 6747605e8f1b2a0012345678 --to jobtrail.replies.1",
    ),
    LazyCommand(
        "replays",
        f"{_HERE}.replays:replays",
        "List the replays, or show one.",
        "jobtrail deadletters replays",
        "jobtrail deadletters replays 9f2c41d07a3b --json",
    ),
    LazyCommand(
        "cancel",
        f"{_HERE}.replay:cancel",
        "Stop a replay after its current batch.",
        "jobtrail deadletters cancel 9f2c41d07a3b",
    ),
    LazyCommand(
        "edit",
        f"{_HERE}.edit:edit",
        "Change what a replay sends for a dead letter.",
        "jobtrail deadletters edit 6747605e8f1b2a0012345678",
        "jobtrail deadletters edit 6747605e8f1b2a0012345678 --set start=2026-11-22T00:14:36Z --set percent:=50",
        "jobtrail deadletters edit 6747605e8f1b2a0012345678 --revert",
    ),
    LazyCommand(
        "discard",
        f"{_HERE}.archive:discard",
        "Archive dead letters, with a reason.",
        'jobtrail deadletters discard --group 3f2a1b2c3d4e5f60 --reason "a test of last week"',
    ),
    LazyCommand(
        "restore",
        f"{_HERE}.archive:restore",
        "Reopen archived dead letters.",
        "jobtrail deadletters restore 6747605e8f1b2a0012345678",
    ),
    LazyCommand(
        "export",
        f"{_HERE}.files:export",
        "Write dead letters as JSON Lines, secrets included.",
        "jobtrail deadletters export --group 3f2a1b2c3d4e5f60 -o letters.jsonl",
        "jobtrail deadletters export --all --state any | gzip > letters.jsonl.gz",
    ),
    LazyCommand(
        "import",
        f"{_HERE}.files:import_",
        "Read dead letters that `export` wrote.",
        "jobtrail deadletters import letters.jsonl",
    ),
    LazyCommand(
        "capture",
        f"{_HERE}.capture:capture",
        "Run the service that captures dead letters.",
        "jobtrail deadletters capture",
        "jobtrail deadletters capture --queue error.ncsa.wordcount",
    ),
    epilog=examples(
        "jobtrail deadletters groups",
        "jobtrail deadletters show 6747605e8f1b2a0012345678",
        "jobtrail deadletters replay --group 3f2a1b2c3d4e5f60 --dry-run",
        "jobtrail deadletters replay --group 3f2a1b2c3d4e5f60",
    ),
)
