"""The files that the demo's workers process: real text, from the documentation and library of Python itself."""

import hashlib
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics

_TOPICS = (
    "imports",
    "exceptions",
    "numbers",
    "strings",
    "truth",
    "with",
    "typesseq",
    "formatstrings",
    "compound",
    "debugger",
)
_LIBRARY_BYTES = 1024 * 1024
_TORN_TOPIC = "slicings"
_HALF_A_CHARACTER = "…".encode()[:2]


@dataclass(slots=True, frozen=True, kw_only=True)
class DemoFile:
    """One file of the demo."""

    path: Path
    resource_id: str
    """The same in every run, in the form of Clowder's file ids."""
    size: int
    """Bytes."""
    torn: bool = False
    """Whether it ends within a character, like an interrupted upload."""

    @property
    def name(self) -> str:
        """Its name without folders."""
        return self.path.name


def make_files(folder: Path) -> list[DemoFile]:
    """Write the demo's files where they are missing, and return them, the smallest first."""
    folder.mkdir(parents=True, exist_ok=True)
    files: list[DemoFile] = []
    for name, content, torn in _contents():
        path = folder / name
        if not path.exists() or path.stat().st_size != len(content):
            path.write_bytes(content)
        resource_id = hashlib.sha256(name.encode()).hexdigest()[:24]
        files.append(DemoFile(path=path, resource_id=resource_id, size=len(content), torn=torn))
    return sorted(files, key=lambda file: file.size)


def _contents() -> Iterator[tuple[str, bytes, bool]]:
    for topic in _TOPICS:
        if topic in topics:
            yield f"{topic}.txt", topics[topic].encode(), False
    yield "language-reference.txt", "\n".join(topics.values()).encode(), False
    yield "standard-library.txt", _library(), False
    yield "torn-upload.txt", topics.get(_TORN_TOPIC, "").encode() + _HALF_A_CHARACTER, True


def _library() -> bytes:
    """Concatenate the library's sources up to the limit."""
    library = bytearray()
    for module in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        library += module.read_bytes()
        if len(library) >= _LIBRARY_BYTES:
            break
    return bytes(library[:_LIBRARY_BYTES])
