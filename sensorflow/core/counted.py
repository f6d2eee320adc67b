"""Times that are counted: so many intervals after a time that the file tells."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core import clocktime
from sensorflow.core.clocktime import Clock, Instants
from sensorflow.core.durations import Duration, duration
from sensorflow.core.profile import Counted
from sensorflow.core.timeformats import fixed_offset
from sensorflow.errors import Code

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
_WHOLE = r"^\s*(?P<whole>[+-]?\d{1,15})(?:\.0*)?\s*$"
ROOM = 2**62


def after(
    found: Instants, index: pa.Array, size: pa.Array, step: Counted, clock: Clock
) -> Instants:
    """`found` and, for each row, (index - first) times size. Days and months are those of the clock's zone,
    of UTC without one; hours and less are exact."""
    codes = found.codes.copy()
    nanos = _ints(found.ts.cast(pa.int64()))
    counts, known = _counts(index)
    counts = counts - step.first
    coded = pc.dictionary_encode(size)
    sizes = [duration(text, step.unit) for text in coded.dictionary.to_pylist()]
    places = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    known &= np.isin(places, [i for i, size in enumerate(sizes) if size is not None])
    fine = codes == 0
    codes[fine & ~known] = Code.TIMESTAMP_UNREADABLE.number
    for column in (index, size):
        codes[fine & _missing(column)] = Code.TIMESTAMP_MISSING.number
    for place, wanted in enumerate(sizes):
        here = np.flatnonzero((codes == 0) & (places == place))
        if wanted is not None and len(here):
            nanos[here], codes[here] = _moved(nanos[here], counts[here], wanted, clock)
    return clocktime.bounded(nanos, codes)


def shown(start: pa.Array | None, index: pa.Array, size: pa.Array) -> pa.Array:
    """How such a time is shown to people."""
    parts = [index, size] if start is None else [start, index, size]
    texts = [pc.fill_null(part.cast(pa.string()), "?") for part in parts]
    joined = pc.binary_join_element_wise(*texts[-2:], " x ")
    return joined if start is None else pc.binary_join_element_wise(texts[0], joined, " + ")


def _counts(index: pa.Array) -> tuple[Int64s, Bools]:
    found = pc.extract_regex(index.cast(pa.string()), _WHOLE)
    known = np.asarray(found.is_valid().to_numpy(zero_copy_only=False), np.bool_)
    whole = pc.struct_field(found, "whole").fill_null("0")
    plain = pc.replace_substring_regex(whole, r"^\+", "")
    return _ints(pc.if_else(pa.array(known), plain, "0").cast(pa.int64())), known


def _ints(array: pa.Array) -> Int64s:
    return np.array(array.fill_null(0).to_numpy(zero_copy_only=False), np.int64)


def _missing(texts: pa.Array) -> Bools:
    blank = pc.equal(pc.utf8_trim_whitespace(texts.cast(pa.string())), "")
    return np.asarray(pc.fill_null(blank, True).to_numpy(zero_copy_only=False), np.bool_)


def _moved(
    nanos: Int64s, counts: Int64s, size: Duration, clock: Clock
) -> tuple[Int64s, npt.NDArray[np.int16]]:
    codes = np.zeros(len(nanos), np.int16)
    moved = nanos.copy()
    far = np.abs(counts) > _most(size)
    codes[far] = Code.TIMESTAMP_OUT_OF_RANGE.number
    counts = np.where(far, 0, counts)
    if size.months or size.days:
        moved = _by_calendar(nanos, counts, size, clock, codes)
    shift = counts.astype(object) * size.nanos.numerator // size.nanos.denominator
    moved = moved + shift.astype(np.int64)
    return moved, codes


def _most(size: Duration) -> int:
    """Intervals that may be counted without leaving the years that there are."""
    days = max(size.months * 28, size.days)
    length = max(Fraction(days * 86400 * 10**9), size.nanos)
    return int((ROOM >> 1) // length) if length else 0


def _by_calendar(
    nanos: Int64s, counts: Int64s, size: Duration, clock: Clock, codes: npt.NDArray[np.int16]
) -> Int64s:
    clock = replace(clock, zone=clock.zone or "UTC")
    fixed = fixed_offset(clock.zone or "UTC")
    shift = clocktime.shift_at(nanos, clock.zone or "UTC") if fixed is None else fixed
    local = nanos + shift
    days = local.astype("M8[ns]").astype("M8[D]")
    months = days.astype("M8[M]")
    into = (days - months.astype("M8[D]")).astype(np.int64)
    later = months + (counts * size.months).astype("m8[M]")
    length = ((later + 1).astype("M8[D]") - later.astype("M8[D]")).astype(np.int64)
    into = (
        np.minimum(into, length - 1) if size.months else into
    )  # 31 January and a month: its last day
    there = later.astype("M8[D]").astype(np.int64) + into + counts * size.days
    clocked = there * 86400 * 10**9 + (local - days.astype("M8[ns]").astype(np.int64))
    found = clocktime.to_utc(clocked, clock, codes)
    return np.where(counts == 0, nanos, found)
