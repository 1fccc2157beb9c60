"""Counts the lines, words and characters of a text file with the real pyClowder, without a Clowder server.

Started by itself: `RABBITMQ_URI=… HEARTBEAT=5 python wordcount.py`. The request's `parameters` say what to do: `path`
names the file (by default this one), `duration_s` how many seconds to take, so that people can watch.
"""

import time
from pathlib import Path
from typing import Protocol

from pyclowder.extractors import Extractor
from pyclowder.utils import CheckMessage

_REPORTS = 8
"""Progress reports per file."""


class _Connector(Protocol):
    def message_process(self, resource: object, message: str) -> None: ...


class WordCount(Extractor):  # type: ignore[misc]  # pyClowder has no types
    """Counts the words of text files."""

    def __init__(self) -> None:
        super().__init__()
        self.setup()

    def check_message(self, *_request: object) -> CheckMessage:
        """Accept every request, and read the file in place instead of downloading it."""
        return CheckMessage.bypass

    def process_message(
        self, connector: _Connector, _host: str, _secret_key: str, resource: object, parameters: dict[str, object]
    ) -> None:
        """Count one file; where it can't be read or is not UTF-8, pyClowder tries ten times more."""
        given = parameters.get("parameters")
        work = given if isinstance(given, dict) else {}
        path, duration_s = Path(work.get("path", __file__)), float(work.get("duration_s", 0))
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        connector.message_process(resource, f"Counting words in {path.name}")
        words = 0
        step = max(1, -(-len(lines) // _REPORTS))
        for start in range(0, len(lines), step):
            part = lines[start : start + step]
            words += sum(len(line.split()) for line in part)
            time.sleep(duration_s * len(part) / len(lines))
            connector.message_process(resource, f"{words:,} words in {start + len(part):,} of {len(lines):,} lines")
        connector.message_process(resource, f"Found {len(lines):,} lines, {words:,} words, {len(text):,} characters")


if __name__ == "__main__":
    WordCount().start()
