"""Check the files that a feed offers. A feed may come from another package; if its files are invalid, the
report names this feed."""

from __future__ import annotations

from collections.abc import Iterator

from sensorflow.ports.feed import Candidate


def offered(source: str, files: Iterator[Candidate | None]) -> Iterator[Candidate | None]:
    """Yield the files that the feed of a source offers. Raises TypeError or ValueError if an item is not a
    valid candidate of this source."""
    for file in files:
        if file is not None:
            _require(source, file)
        yield file


def _require(source: str, file: Candidate) -> None:
    if not isinstance(file, Candidate):
        raise TypeError(f"{file!r:.100} is not a Candidate")
    if file.source != source:
        raise ValueError(f"a Candidate of another source, {file.source!r:.100}")
    if not isinstance(file.key, bytes) or not isinstance(file.revision, str):
        raise TypeError(f"{file!r:.300}: key must be bytes, and revision must be str")
    if not file.key or b"\0" in file.key or "\0" in file.revision:
        raise ValueError(f"{file!r:.300}: an empty key, or a NUL in key or revision")
