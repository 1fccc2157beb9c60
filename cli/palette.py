"""How statuses look: a sign, a word and a colour, so that the colour is never the only one to tell."""

from rich.text import Text

from models.status import Status

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
    """Make the sign and the word of a status.

    Args:
        status: The status.
        stalled: Whether the job counts as stalled; the status stays what the worker said.

    Returns:
        The coloured text.
    """
    sign, style = _LOOKS[status]
    if stalled:
        return Text.assemble(("⚠ ", WARNING), (f"{status}", style))
    # Not as the base style: callers append to it.
    return Text.assemble((f"{sign} {status}", style))
