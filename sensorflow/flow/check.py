"""A dry run: process a file as the pipeline would, without changing anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.binding.cache import BindingCache
from sensorflow.core.binding.drift import Drift
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.deduplicate import Deduplicator, OutOfOrder
from sensorflow.core.formats.chunk import Reject
from sensorflow.core.months import MonthLimits, NewMonths
from sensorflow.core.profile import Profile
from sensorflow.core.quality import QualityFlagger
from sensorflow.core.readings import Flag, Span, months_of
from sensorflow.core.reshape import reshape
from sensorflow.core.series import Last, Series
from sensorflow.core.validation import Accepted
from sensorflow.errors import Permanent
from sensorflow.flow.validate import read_validated, scratch_file
from sensorflow.memory import trimming_heap

Example = tuple[str, datetime, str, float, str]
"""(sensor, time, type, value, unit)"""


@dataclass
class Checked:
    """The result of a dry run. `rows` is a number of rows; all other counts are numbers of readings.

    units: type -> its first unit. units_of: type -> unit -> number of readings. source: the source whose
    settings apply. notes: human-readable remarks. refused: the reason why the file would not be loaded
    although it can be read. error: the reason why the file cannot be read.
    """

    file: str
    profile: str
    source: str | None = None
    rows: int = 0
    valid: int = 0
    missing: int = 0
    rejected: int = 0
    duplicates: int = 0
    distinct: int = 0
    out_of_order: int = 0
    flagged: dict[str, int] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    units_of: dict[str, dict[str, int]] = field(default_factory=dict)
    sensors: dict[str, int] = field(default_factory=dict)
    span: Span = field(default_factory=Span)
    total: float = 0.0
    first: Example | None = None
    last: Example | None = None
    drift: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    refused: str | None = None
    rejects: list[Reject] = field(default_factory=list)
    error: Permanent | None = None

    def measured_in(self, kind: str) -> str:
        """Returns the unit of a type's readings. If there are several units, lists each with its number of
        readings."""
        found = self.units_of.get(kind, {})
        if len(found) < 2:
            return self.units.get(kind, "")
        return ", ".join(f"{unit or 'no unit'} ({count:,})" for unit, count in found.items())

    @property
    def read(self) -> int:
        return self.valid + self.rejected

    @property
    def would_load(self) -> bool:
        return self.error is None and self.refused is None

    def as_dict(self) -> dict[str, Any]:
        """Returns the result for JSON. Times are ISO 8601 in UTC."""
        low, high = self.span.low, self.span.high
        error = self.error
        return {
            "file": self.file,
            "profile": self.profile,
            "source": self.source,
            "rows": self.rows,
            "read": self.read,
            "valid": self.valid,
            "missing": self.missing,
            "rejected": self.rejected,
            "duplicates": self.duplicates,
            "distinct": self.distinct,
            "out_of_order": self.out_of_order,
            "flagged": self.flagged,
            "sensors": len(self.sensors),
            "types": self.types,
            "units": self.units,
            "units_of": self.units_of,
            "tmin": low.isoformat() if low else None,
            "tmax": high.isoformat() if high else None,
            "sum": self.total,
            "first": _plain(self.first),
            "last": _plain(self.last),
            "drift": list(self.drift),
            "notes": self.notes,
            "refused": self.refused,
            "rejects": [_reject(r) for r in self.rejects],
            "error": error
            and {
                "code": str(error.code),
                "message": error.message,
                **error.place,
                "do": error.remedy,
            },
        }


def _plain(example: Example | None) -> list[Any] | None:
    return example and [example[0], example[1].isoformat(), *example[2:]]


def _reject(found: Reject) -> dict[str, Any]:
    return {
        "line": found.line_no,
        "byte_offset": found.byte_offset,
        "column": found.column,
        "code": str(found.code),
        "reason": found.reason,
        "raw": found.raw,
    }


def check(
    stream: BinaryIO,
    name: str,
    profile: tuple[str, Profile],
    place: FilePath,
    drift: Drift,
    keep: int,
    received: int | None = None,
    limits: MonthLimits | None = None,
) -> Checked:
    """Process a file without loading it.

    keep: the number of rejects to return; all rejects are counted. received: the time of arrival, see
    `reading.read`. limits: the limits for the months that do not exist yet.
    """
    found, bindings = Checked(name, profile[0]), BindingCache()

    def accepted() -> Iterator[Accepted]:
        stream.seek(0)
        return trimming_heap(read_validated(stream, profile[1], place, drift, bindings, received))

    try:
        seen = Deduplicator()
        try:
            _count(accepted(), found, profile[1], seen, keep, limits)
        except OutOfOrder:
            found = Checked(name, profile[0])
            seen = Deduplicator.sorted((a.bronze for a in accepted()), scratch_file)
            _count(accepted(), found, profile[1], seen, keep, limits)
        finally:
            seen.close()
    except Permanent as error:
        found.error = error
    return found


def _count(
    accepted: Iterator[Accepted],
    found: Checked,
    profile: Profile,
    seen: Deduplicator,
    keep: int,
    limits: MonthLimits | None,
) -> None:
    months = NewMonths(limits or MonthLimits())
    watch, series = QualityFlagger(profile.rules), Series()
    last = Last(np.iinfo(np.int64).min, np.int64)
    drift: dict[str, None] = {}
    for part in accepted:
        found.rows += part.rows
        found.missing += part.missing
        found.rejected += len(part.rejects)
        found.rejects += part.rejects[: keep - len(found.rejects)]
        drift.update(dict.fromkeys(part.drift))
        found.drift = tuple(drift)
        if not len(part.bronze):
            continue
        micros = part.bronze["ts"].cast(pa.int64()).to_numpy() // 1000
        found.out_of_order += int((micros < last.before(series.of(part.bronze), micros)).sum())
        done = reshape(part.bronze, watch, seen)
        found.duplicates += done.duplicates
        found.distinct += int((done.silver["ordinal"].to_numpy() == 0).sum())
        _describe(part.bronze, done.silver, found)
        _months(done.silver["ts"], months, found)


def _months(ts: pa.Array, months: NewMonths, found: Checked) -> None:
    """Apply the limits for new months. A dry run does not query the database for existing months, so it
    counts every month as new."""
    if found.refused is None:
        batch_months = months_of(ts)
        try:
            months.count(batch_months, batch_months)
        except Permanent as error:
            reason = error.message.replace("the file is the first with", "the file has")
            found.refused = f"{error.code}, unless most of its months exist already: {reason}"


def _describe(bronze: pa.RecordBatch, silver: pa.RecordBatch, found: Checked) -> None:
    found.valid += len(bronze)
    found.total += float(bronze["value"].to_numpy().sum())
    found.span = found.span.over(bronze["ts"])
    found.first = found.first or _example(bronze, 0)
    found.last = _example(bronze, len(bronze) - 1)
    for name, counts in (("reading_type", found.types), ("sensor_id", found.sensors)):
        for pair in pc.value_counts(bronze[name]).to_pylist():
            counts[pair["values"]] = counts.get(pair["values"], 0) + pair["counts"]
    pairs = pa.Table.from_batches([bronze]).group_by(["reading_type", "unit"], use_threads=False)
    for row in pairs.aggregate([([], "count_all")]).to_pylist():
        found.units.setdefault(row["reading_type"], row["unit"])
        counts = found.units_of.setdefault(row["reading_type"], {})
        counts[row["unit"]] = counts.get(row["unit"], 0) + row["count_all"]
    quality = silver["quality"].to_numpy()
    for flag in Flag:
        count = int((quality & flag).astype(bool).sum())
        if count:
            name = str(flag.name).lower()
            found.flagged[name] = found.flagged.get(name, 0) + count


def _example(batch: pa.RecordBatch, row: int) -> Example:
    ts = Span().over(batch["ts"].slice(row, 1)).low
    assert ts is not None
    cells = [batch[name][row].as_py() for name in ("sensor_id", "reading_type", "value", "unit")]
    return (cells[0], ts, *cells[1:])
