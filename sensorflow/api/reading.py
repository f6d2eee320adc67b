"""A file's readings and rejects, as a worker would see them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from sensorflow.api import given
from sensorflow.api.how import How, certain
from sensorflow.core.binding.layouts import Layouts
from sensorflow.core.formats.chunk import reject_batch
from sensorflow.core.judge import Accepted
from sensorflow.core.readings import BRONZE, REJECTS, Span
from sensorflow.errors import Permanent
from sensorflow.flow.terms import opened
from sensorflow.flow.validate import judged
from sensorflow.memory import lean

COLUMNS = ("ts", "sensor_id", "reading_type", "value", "unit", "quality", "line_no")
RESCUED = "rescued"
"""A column of readings where the source rescues the cells that the profile does not know."""


@dataclass(frozen=True, repr=False)
class Batch:
    """A part of a file. rows: read of it, whatever they hold. missing: cells without a reading. drift: how
    the file's columns differ from the profile's."""

    readings: pa.RecordBatch
    rejects: pa.RecordBatch
    rows: int
    missing: int
    drift: tuple[str, ...]

    def __repr__(self) -> str:
        return (
            f"<batch: {_account(self.rows, len(self.readings), self.missing, len(self.rejects))}>"
        )


@dataclass(frozen=True, repr=False)
class Result:
    """What is in a file.

    readings: in the file's order; ts in nanoseconds, UTC. rejects: rows and cells that were refused, with
    their line, code and reason. rows: of the file. missing: cells without a reading. drift: how the file's
    columns differ from the profile's. profile: its name, source: by whose settings it was read.
    """

    file: str
    profile: str
    source: str | None
    readings: pa.Table
    rejects: pa.Table
    rows: int
    missing: int
    drift: tuple[str, ...]

    @property
    def valid(self) -> int:
        """How many readings there are."""
        return len(self.readings)

    @property
    def rejected(self) -> int:
        return len(self.rejects)

    @property
    def read(self) -> int:
        """Readings and rejects together."""
        return self.valid + self.rejected

    def to_pandas(self) -> pd.DataFrame:
        """The readings."""
        return self.readings.to_pandas()

    def __repr__(self) -> str:
        by = f", source {self.source}" if self.source else ""
        lines = [
            f"{self.file} (profile {self.profile}{by})",
            f"  {_account(self.rows, self.valid, self.missing, self.rejected)}",
        ]
        if self.valid:
            span = Span().over(self.readings["ts"])
            lines.append(
                f"  from {span.low:%Y-%m-%d %H:%M:%S} to {span.high:%Y-%m-%d %H:%M:%S} UTC"
            )
        if self.rejected:
            first = self.rejects.slice(0, 1).to_pylist()[0]
            lines.append(
                f"  first reject: line {first['line_no']}: {first['code']}: {first['reason']}"
            )
        return "\n".join([*lines, *(f"  drift: {note}" for note in self.drift)])


def read(
    path: given.Pathlike,
    profile: given.GivenProfile | None = None,
    *,
    source: str | None = None,
    zone: str | None = None,
) -> Result:
    """The readings and rejects of a file, by the code with which a worker validates it.

    profile: the name of one of the library or of the project, a TOML file, a table of keys, or a Profile.
    Without one: that of the source in whose folder the file is, or else one proposed as by `sniff`, as
    long as nothing about it is in doubt. source: read by the settings of this source of the project (drift,
    earliest, latest). zone: for a proposal, of times without an offset.

    All of the file is held in memory; `batches` reads larger ones. Readings that the file repeats are still
    there; a load leaves them out, and sets the flags that compare a reading with those before it. Raises
    Permanent where the file as a whole cannot be read.
    """
    how = certain(path, profile, source, zone)
    parts = list(_batches(how))
    return Result(
        str(how.file),
        how.name,
        how.terms.name,
        pa.Table.from_batches([part.readings for part in parts], _schema(how)),
        pa.Table.from_batches([part.rejects for part in parts], REJECTS),
        sum(part.rows for part in parts),
        sum(part.missing for part in parts),
        tuple(dict.fromkeys(note for part in parts for note in part.drift)),
    )


def batches(
    path: given.Pathlike,
    profile: given.GivenProfile | None = None,
    *,
    source: str | None = None,
    zone: str | None = None,
) -> Iterator[Batch]:
    """As `read`, part by part in bounded memory, for files of any size.

    A file that turns out to be unreadable in the middle raises Permanent then: what was yielded before
    would not have been loaded either. The profile's `max_seconds` counts until the last part is taken.
    """
    return _batches(certain(path, profile, source, zone))


def _batches(how: How) -> Iterator[Batch]:
    names, received = _schema(how).names, int(time.time()) * 10**9  # it arrives now
    with opened(how.file, how.terms.growing) as (stream, _):
        what = (stream, how.profile, how.terms.place, how.terms.drift, Layouts(), received)
        try:
            for accepted in lean(judged(*what)):
                yield _batch(accepted, names)
        except Permanent as error:
            error.add_note(f"reading {how.file} by the profile {how.name}")
            raise


def _schema(how: How) -> pa.Schema:
    drift = how.terms.drift
    rescues = "rescue" in (drift.new, drift.missing, drift.changed)
    names = (*COLUMNS, RESCUED) if rescues else COLUMNS
    return pa.schema([BRONZE.field(name) for name in names])


def _batch(accepted: Accepted, names: list[str]) -> Batch:
    readings, rejects = accepted.bronze.select(names), reject_batch(accepted.rejects)
    return Batch(readings, rejects, accepted.rows, accepted.missing, accepted.drift)


def _account(rows: int, valid: int, missing: int, rejected: int) -> str:
    return f"{rows:,} rows: {valid:,} readings, {missing:,} missing cells, {rejected:,} rejected"
