"""Opens a text in the user's editor."""

import os
import shlex
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from jobtrail.models.errors import SettingError

_USUAL = "vi"


def edited(text: str, *, name: str) -> str:
    """Edit a text in $VISUAL, else $EDITOR, else vi; editors choose the syntax by the file's `name`."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or _USUAL
    with TemporaryDirectory(prefix="jobtrail-") as folder:  # readable by this user only
        path = Path(folder) / name
        path.write_text(text, encoding="utf-8")
        try:
            subprocess.run([*shlex.split(editor), str(path)], check=True)
            return path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise SettingError(f"the editor {editor!r} could not be run: {error}; set $EDITOR") from error
        except subprocess.CalledProcessError as error:
            raise SettingError(f"the editor {editor!r} failed; nothing was changed") from error
