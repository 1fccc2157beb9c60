"""How statuses look: a sign, a word and a colour, so that no meaning depends on the colour alone."""

from rich.text import Text

from jobtrail.models.jobs.status import Status

_LOOKS = {
    Status.SUBMITTED: ("○", "cyan"),
    Status.STARTED: ("▶", "blue"),
    Status.PROCESSING: ("●", "blue"),
    Status.SUCCEEDED: ("✔", "green"),
    Status.ERROR: ("✖", "bold red"),
    Status.SKIPPED: ("»", "magenta"),
    Status.RESUBMITTED: ("↻", "yellow"),
    Status.CANCELLED: ("⊘", "bright_black"),
}
_WORD_LOOKS = {
    "Pending": ("○", "cyan"),
    "Analyzing": ("●", "blue"),
    "Running": ("●", "blue"),
    "Complete": ("✔", "green"),
    "Failed": ("✖", "bold red"),
    "Skipped": ("»", "magenta"),
    "Cancelled": ("⊘", "bright_black"),
    "waiting": ("○", "cyan"),
    "sending": ("●", "blue"),
    "sent": ("✔", "green"),
    "failed": ("✖", "bold red"),
    "success": ("✔", "green"),
    "failure": ("✖", "bold red"),
    "done": ("✔", "green"),
    "refused": ("✖", "yellow"),
    "open": ("○", "cyan"),
    "held": ("●", "blue"),
    "replayed": ("●", "blue"),
    "resolved": ("✔", "green"),
    "failed again": ("✖", "bold red"),
    "discarded": ("⊘", "bright_black"),
    "running": ("●", "blue"),
    "cancelled": ("⊘", "bright_black"),
    "halted": ("✖", "bold red"),
    **{status.value: look for status, look in _LOOKS.items()},
}
_UNKNOWN_LOOK = ("?", "yellow")
QUIET = "bright_black"
WARNING = "yellow"
BAD = "bold red"
GOOD = "green"


def style_of(status: Status) -> str:
    """Return the colour of a status, as rich names it."""
    return _LOOKS[status][1]


def sign_of(status: Status) -> str:
    """Return the sign of a status."""
    return _LOOKS[status][0]


def status_text(status: Status, *, stalled: bool = False) -> Text:
    """Make the sign and the word of a job's status; a stalled job keeps the status its worker sent."""
    sign, style = _LOOKS[status]
    if stalled:
        return Text.assemble(("⚠ ", WARNING), (f"{status}", style))
    # Not as the base style: callers append to it.
    return Text.assemble((f"{sign} {status}", style))


def look_of(word: str) -> tuple[str, str]:
    """Return the sign and the colour of any status."""
    return _WORD_LOOKS.get(word, _UNKNOWN_LOOK)


def word_text(word: str) -> Text:
    """Make the sign and the word of any status, such as a dataset's or a message's; an unknown one gets a `?`."""
    sign, style = look_of(word)
    return Text.assemble((f"{sign} {word}", style))
