"""Reads the readings and rejects of a file, as a worker does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from sensorflow.api import given
from sensorflow.api.how import ReadPlan, certain
from sensorflow.core.binding.cache import BindingCache
from sensorflow.core.formats.chunk import reject_batch
from sensorflow.core.readings import BRONZE, REJECTS, Span
from sensorflow.core.validation import Accepted
from sensorflow.errors import Permanent
from sensorflow.flow.check_options import opened
from sensorflow.flow.validate import read_validated
from sensorflow.memory import trimming_heap

COLUMNS = ("ts", "sensor_id", "reading_type", "value", "unit", "quality", "line_no")
RESCUED = "rescued"
"""A column of the readings that contains the cells of columns that the profile does not define. It exists
only if `drift` of the source contains `rescue`."""


@dataclass(frozen=True, repr=False)
class Batch:
    """The readings and rejects of consecutive rows of a file.

    rows: number of rows, valid or not. missing: number of cells without a value. drift: messages about
    differences between the file's columns and the profile.
    """

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
    """The readings and rejects of a file.

    file: path of the file. profile: name of the profile. source: name of the source whose settings were
    applied; None for the default settings. readings: the readings in the order of the file; `ts` is in
    nanoseconds, UTC. rejects: the rejected rows and cells, each with line, code and reason. rows: number of
    rows in the file. missing: number of cells without a value. drift: messages about differences between
    the file's columns and the profile.
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
        """The number of readings."""
        return len(self.readings)

    @property
    def rejected(self) -> int:
        return len(self.rejects)

    @property
    def read(self) -> int:
        """The number of readings and rejects together."""
        return self.valid + self.rejected

    def to_pandas(self) -> pd.DataFrame:
        """Returns the readings as a DataFrame."""
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
    """Read the readings and rejects of a file, with the same code that workers use for validation.

    profile: the name of a profile of the library or the project, the path of a TOML file, a dict with the
    keys of a profile, or a `Profile`. None selects the profile of the source to whose folder the file
    belongs. If there is no such source, a profile is proposed as by `sniff`; UsageError is raised if the
    proposal has doubts. source: the source of the project whose settings (drift, earliest, latest) apply.
    zone: the time zone of times without an offset.

    The result is in memory; for large files, use `batches`. The result differs from a load in two points:
    it contains readings that the file repeats, and it has no quality flags that depend on earlier readings.
    Raises Permanent if the file as a whole cannot be read.
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
    """Read a file as `read` does, but yield batches of rows in bounded memory, for files of any size.

    If the file becomes unreadable at some place, Permanent is raised after the batches before this place. A
    worker would quarantine such a file and load none of its readings. The time until the last batch is
    requested must not exceed `max_seconds` of the profile.
    """
    return _batches(certain(path, profile, source, zone))


def _batches(plan: ReadPlan) -> Iterator[Batch]:
    names, received = _schema(plan).names, int(time.time()) * 10**9  # as if the file arrived now
    with opened(plan.file, plan.terms.growing) as (stream, _):
        what = (stream, plan.profile, plan.terms.place, plan.terms.drift, BindingCache(), received)
        try:
            for accepted in trimming_heap(read_validated(*what)):
                yield _batch(accepted, names)
        except Permanent as error:
            error.add_note(f"reading {plan.file} by the profile {plan.name}")
            raise


def _schema(plan: ReadPlan) -> pa.Schema:
    drift = plan.terms.drift
    rescues = "rescue" in (drift.new, drift.missing, drift.changed)
    names = (*COLUMNS, RESCUED) if rescues else COLUMNS
    return pa.schema([BRONZE.field(name) for name in names])


def _batch(accepted: Accepted, names: list[str]) -> Batch:
    readings, rejects = accepted.bronze.select(names), reject_batch(accepted.rejects)
    return Batch(readings, rejects, accepted.rows, accepted.missing, accepted.drift)


def _account(rows: int, valid: int, missing: int, rejected: int) -> str:
    return f"{rows:,} rows: {valid:,} readings, {missing:,} missing cells, {rejected:,} rejected"
