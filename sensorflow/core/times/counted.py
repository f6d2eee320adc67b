"""Computes counted times. A counted time is a start time in the file plus a number of intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.profile.time import Counted
from sensorflow.core.times.civil import ints, missing
from sensorflow.core.times.clock import Clock
from sensorflow.core.times.durations import Duration, duration
from sensorflow.core.times.instants import Instants, bounded
from sensorflow.core.times.local import shift_at, to_utc
from sensorflow.core.times.timeformats import fixed_offset
from sensorflow.errors import Code

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Objects = npt.NDArray[Any]
_WHOLE = r"^\s*(?P<whole>[+-]?\d{1,15})(?:\.0*)?\s*$"
ROOM = 2**62


def after(
    found: Instants, index: pa.Array, size: pa.Array, step: Counted, clock: Clock
) -> Instants:
    """Return found + (index - first) * size for each row. found: the start times. index: the texts with the
    numbers of the intervals. size: the texts with the durations of an interval. step: the profile's
    settings.

    Durations in hours and shorter units are exact. Days and months follow the calendar in the clock's zone,
    or in UTC if the clock has no zone. If a column contains the zones, a row with an empty zone and a size
    in days or months is rejected.
    """
    codes = found.codes.copy()
    nanos = ints(found.ts.cast(pa.int64()))
    counts, known = _counts(index)
    counts = counts - step.first
    steps, of_row = _sizes(size, step.unit)
    known &= of_row >= 0
    fine = codes == 0
    codes[fine & ~known] = Code.TIMESTAMP_UNREADABLE.number
    for column in (index, size):
        codes[fine & missing(column.cast(pa.string()))] = Code.TIMESTAMP_MISSING.number
    rows = np.flatnonzero(codes == 0)
    if len(rows):
        moved = _moved(nanos[rows], counts[rows], steps.take(of_row[rows]), clock.of(rows))
        nanos[rows], codes[rows] = moved
    return bounded(nanos, codes)


def display_texts(start: pa.Array | None, index: pa.Array, size: pa.Array) -> pa.Array:
    """Return counted times as texts for display."""
    parts = [index, size] if start is None else [start, index, size]
    texts = [pc.fill_null(part.cast(pa.string()), "?") for part in parts]
    joined = pc.binary_join_element_wise(*texts[-2:], " x ")
    return joined if start is None else pc.binary_join_element_wise(texts[0], joined, " + ")


def _counts(index: pa.Array) -> tuple[Int64s, Bools]:
    found = pc.extract_regex(index.cast(pa.string()), _WHOLE)
    known = np.asarray(found.is_valid().to_numpy(zero_copy_only=False), np.bool_)
    whole = pc.struct_field(found, "whole").fill_null("0")
    plain = pc.replace_substring_regex(whole, r"^\+", "")
    return ints(pc.if_else(pa.array(known), plain, "0").cast(pa.int64())), known


@dataclass(frozen=True)
class _Sizes:
    """Durations as arrays. Each duration is the sum of months, days, and nanoseconds (numerator /
    denominator). limit: the maximum number of intervals of each duration, because more intervals would
    exceed the supported years."""

    months: Int64s
    days: Int64s
    numerators: Objects
    denominators: Objects
    limit: Int64s

    @classmethod
    def of(cls, sizes: Sequence[Duration]) -> _Sizes:
        return cls(
            np.array([size.months for size in sizes], np.int64),
            np.array([size.days for size in sizes], np.int64),
            np.array([size.nanos.numerator for size in sizes], object),
            np.array([size.nanos.denominator for size in sizes], object),
            np.array([_most(size) for size in sizes], np.int64),
        )

    def take(self, rows: Int64s) -> _Sizes:
        columns = self.months, self.days, self.numerators, self.denominators, self.limit
        return _Sizes(*(column[rows] for column in columns))


def _sizes(texts: pa.Array, unit: str) -> tuple[_Sizes, Int64s]:
    """Return the distinct sizes. Also return, for each row, the index of its size, or -1 if the row has no
    valid size."""
    coded = pc.dictionary_encode(texts)
    read = [duration(text, unit) for text in coded.dictionary.to_pylist()]
    known = [size for size in read if size is not None]
    numbers = iter(range(len(known)))
    places = np.array([-1 if size is None else next(numbers) for size in (*read, None)], np.int64)
    rows = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return _Sizes.of(known), places[rows]


def _moved(
    nanos: Int64s, counts: Int64s, sizes: _Sizes, clock: Clock
) -> tuple[Int64s, npt.NDArray[np.int16]]:
    codes = np.zeros(len(nanos), np.int16)
    beyond = np.abs(counts) > sizes.limit
    codes[beyond] = Code.TIMESTAMP_OUT_OF_RANGE.number
    counts = np.where(beyond, 0, counts)
    shift = counts.astype(object) * sizes.numerators // sizes.denominators
    moved = nanos.copy()
    dated = np.flatnonzero(((sizes.months != 0) | (sizes.days != 0)) & (counts != 0))
    if len(dated):
        own, row_codes = clock.of(dated), codes[dated]
        zones = [(np.arange(len(dated)), own)] if own.by_row is None else own.of_zones()
        for rows, clock_ in zones:
            at, found = dated[rows], row_codes[rows]
            zone = clock_.zone or ("UTC" if own.by_row is None else None)
            later = replace(clock_, zone=zone, clock_shift=0, order=clock_.order.counted)
            moved[at] = _by_calendar(nanos[at], counts[at], sizes.take(at), later, found)
            codes[at] = found
    return moved + shift.astype(np.int64), codes


def _most(size: Duration) -> int:
    days = max(size.months * 28, size.days)
    length = max(Fraction(days * 86400 * 10**9), size.nanos)
    return int((ROOM >> 1) // length) if length else 0


def _by_calendar(
    nanos: Int64s, counts: Int64s, sizes: _Sizes, clock: Clock, codes: npt.NDArray[np.int16]
) -> Int64s:
    if clock.zone is None:
        codes[:] = Code.TIMESTAMP_NO_ZONE.number
        return nanos
    fixed = fixed_offset(clock.zone)
    shift = shift_at(nanos, clock.zone) if fixed is None else fixed
    local = nanos + shift
    days = local.astype("M8[ns]").astype("M8[D]")
    months = days.astype("M8[M]")
    into = (days - months.astype("M8[D]")).astype(np.int64)
    later = months + (counts * sizes.months).astype("m8[M]")
    length = ((later + 1).astype("M8[D]") - later.astype("M8[D]")).astype(np.int64)
    into = np.minimum(into, length - 1)  # 31 January plus a month is the month's last day
    day_numbers = later.astype("M8[D]").astype(np.int64) + into + counts * sizes.days
    clocked = day_numbers * 86400 * 10**9 + (local - days.astype("M8[ns]").astype(np.int64))
    return to_utc(clocked, clock, codes)
