"""Lets somebody change a text in their editor."""

import os
import shlex
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from jobtrail.models.errors import SettingError

_USUAL = "vi"


def edited(text: str, *, name: str) -> str:
    """Open a text in $VISUAL, else $EDITOR, else vi, and wait until that ends.

    Args:
        text: The text.
        name: What its file is called; editors choose their colours by it.

    Returns:
        The text as it was left.

    Raises:
        SettingError: The editor could not be run, failed, or left no text.
    """
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or _USUAL
    with TemporaryDirectory(prefix="jobtrail-") as folder:  # nobody else may look into it
        path = Path(folder) / name
        path.write_text(text, encoding="utf-8")
        try:
            subprocess.run([*shlex.split(editor), str(path)], check=True)
            return path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise SettingError(f"the editor {editor!r} could not be run: {error}; set $EDITOR") from error
        except subprocess.CalledProcessError as error:
            raise SettingError(f"the editor {editor!r} failed; nothing was changed") from error
