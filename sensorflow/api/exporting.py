"""Exports readings to a file or a pipe, in one snapshot of the database and in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import pyarrow as pa

from sensorflow.adapters.local.writing import finalize, temporary
from sensorflow.adapters.postgres import readings as stored
from sensorflow.api.batches import Batches
from sensorflow.core.checksum import MODULUS, checksum
from sensorflow.core.output.pivot import Pivot
from sensorflow.core.output.width import STATISTICS
from sensorflow.errors import UsageError
from sensorflow.escaping import escape
from sensorflow.flow.choose import suggestion
from sensorflow.flow.export import ENDINGS, FORMATS, Output, write, writer
from sensorflow.flow.prefetch import prefetch

Kind = Literal["csv", "parquet", "json", "arrow"]
Statistic = Literal["avg", "min", "max", "sum", "count", "stddev", "first", "last"]
Progress = Callable[[int, float | None], None]
"""Called after each batch with the number of readings or buckets so far, and the part of the time range
that is done, from 0 to 1; None if that is unknown."""


@dataclass(frozen=True)
class Export:
    """A finished export. file: the file; None for a stream. rows, bytes, sha256: number of rows, size and
    SHA-256 of the output.

    readings: number of readings that it contains. It is None for aggregates, as is `checksum`, the sum of
    the checksums of the readings, by which an audit compares files and database. It is 20 digits or less.
    repeated: for a wide table, the number of values in additional rows, because their sensor has several
    values at the same time.
    """

    file: str | None
    format: str
    rows: int
    readings: int | None
    bytes: int
    sha256: str
    checksum: int | None
    repeated: int


@dataclass(frozen=True)
class TableQuery:
    """Selects a table to export. readings: the readings or aggregates that it contains. is_wide: whether
    it has one column per series and one row per time. statistic: the aggregate in the cells of a wide
    table."""

    readings: stored.ReadingsQuery
    is_wide: bool = False
    statistic: str = STATISTICS[0]

    def require_statistic(self, prefix: str = "", is_given: bool = False) -> None:
        """Check the statistic. prefix: of the options' names in messages. is_given: whether it was given
        although it may be the default. Raises UsageError."""
        if self.statistic not in STATISTICS:
            raise UsageError(
                f"{prefix}statistic {self.statistic}: no such statistic; "
                f"{suggestion(self.statistic, STATISTICS)}"
            )
        is_given = is_given or self.statistic != STATISTICS[0]
        if is_given and not (self.is_wide and self.readings.every):
            raise UsageError(
                f"{prefix}statistic applies only together with {prefix}every and {prefix}wide; a table "
                "that is not wide contains all statistics"
            )


class Extract:
    """The table that a query selects from a snapshot."""

    def __init__(self, snapshot: stored.Snapshot, table: TableQuery) -> None:
        query = table.readings
        self._snapshot, self._query = snapshot, query
        low, high = snapshot.span()
        self._range = (query.start or low, query.end or high)
        self._at = "ts" if query.every is None else "bucket"
        self.count, self.checksum = 0, 0
        self.pivot: Pivot | None = None
        if table.is_wide:
            value = query.schema.field("value" if query.every is None else table.statistic)
            self.pivot = Pivot(snapshot.series(query), self._at, value)
        self.schema = self.pivot.schema if self.pivot else without_key(query.schema)

    def batches(
        self, progress: Progress = lambda count, done: None
    ) -> Generator[pa.RecordBatch, None, None]:
        """Yield the batches. While the caller uses one, a thread fetches the next one. Close the generator
        before the snapshot, so that this thread has ended."""
        ahead = prefetch(self._snapshot.batches(self._query), 1, self._snapshot.interrupt)
        with closing(ahead):
            long = self._counted(ahead, progress)
            if self.pivot is not None:
                yield from self.pivot.batches(long)
            else:
                for batch in long:
                    yield batch.select(self.schema.names)

    def _counted(
        self, batches: Iterable[pa.RecordBatch], progress: Progress
    ) -> Iterator[pa.RecordBatch]:
        low, high = self._range
        for batch in batches:
            self.count += len(batch)
            if self._query.every is None:
                self.checksum += checksum(batch["dedupe_key"], batch["value"])
            yield batch
            last, done = batch[self._at][-1].as_py(), None
            if low is not None and high is not None and high > low:
                done = min(1.0, max(0.0, (last - low) / (high - low)))
            progress(self.count, done)


def without_key(schema: pa.Schema) -> pa.Schema:
    return pa.schema([field for field in schema if field.name != "dedupe_key"])


def batches(url: str, table: TableQuery, what: str) -> Batches:
    """Return a table as batches on demand. The columns of a wide table are those of the time of this call.
    If they differ in the snapshot of an iteration, the iteration raises UsageError."""
    schema = without_key(table.readings.schema)
    if table.is_wide:
        with stored.snapshot(url) as snapshot:
            schema = Extract(snapshot, table).schema

    def begin() -> Iterator[pa.RecordBatch]:
        with stored.snapshot(url) as snapshot:
            extract = Extract(snapshot, table)
            if extract.schema != schema:
                raise UsageError(
                    "the sensors have changed since the call of readings(): call it again"
                )
            with closing(extract.batches()) as found:
                yield from found

    return Batches(schema, begin, what)


def require_known(url: str, query: stored.ReadingsQuery, prefix: str = "") -> None:
    """Check that each sensor and type has readings, at any time. Raises UsageError."""
    if not query.sensors and not query.types:
        return
    with stored.snapshot(url) as snapshot:
        unknown = snapshot.unknown(query)
    if unknown is not None:
        name, text, known = unknown
        shown = escape(text) or "''"
        raise UsageError(f"{prefix}{name} {shown}: no such {name}; {suggestion(text, known)}")


def format_of(file: str, given: str | None, prefix: str = "") -> str:
    """Return the format of an export to a file, from its name unless the format is given; "csv" for "-".
    Raises UsageError if there is no such format."""
    if given is not None:
        if given not in FORMATS:
            raise UsageError(
                f"{prefix}format {given}: no such format; {suggestion(given, FORMATS)}"
            )
        return given
    ending = Path(file).suffix.removeprefix(".").lower() if file != "-" else "csv"
    found = ENDINGS.get(ending, ending)
    if found not in FORMATS:
        raise UsageError(
            f"{escape(file)}: the ending is not that of a format; give {prefix}format: {', '.join(FORMATS)}"
        )
    return found


def to_file(
    url: str,
    file: Path,
    kind: str,
    table: TableQuery,
    progress: Progress = lambda count, done: None,
) -> Export:
    """Write an export to a file. Only a complete file gets the name; it then replaces an existing file.

    A file that is not a regular one, such as a named pipe, is written directly. Raises UsageError if the
    folder does not exist, OSError if the file cannot be written, Transient DATABASE.
    """
    with _replaced(file) as stream:
        return to_stream(url, stream, "file", str(file), kind, table, progress)


def to_stream(
    url: str,
    stream: BinaryIO,
    target: Literal["file", "pipe", "terminal"],
    file: str | None,
    kind: str,
    table: TableQuery,
    progress: Progress = lambda count, done: None,
) -> Export:
    """Write an export to a stream. target: what the stream is."""
    output = Output(stream)
    with stored.snapshot(url) as snapshot:
        extract = Extract(snapshot, table)
        with closing(extract.batches(progress)) as found:
            rows = write(writer(kind, output, extract.schema, target), found)
    stream.flush()
    raw = table.readings.every is None
    return Export(
        file=file,
        format=kind,
        rows=rows,
        readings=extract.count if raw else None,
        bytes=output.size,
        sha256=output.sha256,
        checksum=extract.checksum % MODULUS if raw else None,
        repeated=extract.pivot.repeated if extract.pivot else 0,
    )


@contextmanager
def _replaced(file: Path) -> Iterator[BinaryIO]:
    if file.exists() and not file.is_file() and not file.is_dir():
        with file.open("wb") as stream:  # a pipe of /dev/fd has no path of its own
            yield stream
        return
    path = Path(os.path.realpath(file))
    if path.is_dir() or not path.parent.is_dir():
        place = "is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise UsageError(f"{file}: {place}; give the path of a file in an existing folder")
    with temporary(path.parent) as (stream, unfinished):
        yield stream
        with suppress(OSError):  # of a file system without permissions
            unfinished.chmod(_mode(path))
        finalize(stream, unfinished, path)


def _mode(path: Path) -> int:
    """Return the permissions of a file; if it does not exist, those of new files."""
    with suppress(FileNotFoundError):
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
