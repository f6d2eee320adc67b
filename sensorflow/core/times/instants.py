"""Converts texts to exact times in UTC. A text that is not a valid time gets a reject code.

pyarrow's ``strptime`` is not used, because it turns 30 February into 2 March and ignores fractions of a
second. pyarrow's cast of ISO 8601 texts is strict, and is used where possible because it is fast. All other
texts are matched with a regular expression, which is created from the profile's format, and are converted
with integer arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.codes import Codes, no_codes
from sensorflow.core.readings import NS
from sensorflow.core.times.civil import (
    EARLIEST,
    LATEST,
    Bools,
    Int64s,
    civil,
    ints,
    missing,
    text_or,
)
from sensorflow.core.times.clock import Clock
from sensorflow.core.times.epochs import bools, epoch, fractions
from sensorflow.core.times.local import to_utc
from sensorflow.core.times.timeformats import DAYS_FROM, EPOCH_UNITS, fixed_offset, pattern
from sensorflow.core.times.zones import ABBREVIATIONS
from sensorflow.errors import Code


def instant(text: str, zone: str | None) -> int | None:
    """Parse an ISO 8601 date or time. Returns nanoseconds since 1970, or None if the text is invalid. zone:
    the zone of a text without an offset."""
    if (
        text[:4].isdecimal() and int(text[:4]) < 1900
    ):  # no reading is this old, but epochs may count from such a date
        return _early(text, fixed_offset(zone or "UTC") or 0)
    parsed = parse(pa.array([text]), "iso8601", Clock(zone or "UTC"))
    return None if parsed.codes[0] else int(parsed.ts.cast(pa.int64())[0].as_py())


def _early(text: str, shift: int) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is not None:
        moment, shift = moment.astimezone(UTC).replace(tzinfo=None), 0
    nanos = (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1) * 1000 - shift  # noqa: DTZ001
    return nanos if abs(nanos) < 2**63 else None


@dataclass(frozen=True)
class Instants:
    """An array of UTC times. ts: timestamp[ns, UTC]; null for a text that is not a valid time. codes: the
    reject code of each null; 0 for valid times."""

    ts: pa.Array
    codes: Codes


def parse(texts: pa.Array, formats: str | Sequence[str], clock: Clock) -> Instants:
    """Parse an array of strings. Nulls and empty strings get the code TIMESTAMP_MISSING.

    formats: each is "iso8601", one of `EPOCH_UNITS`, "excel", or a strptime format. Each text is read with
    the first format that matches it.
    """
    formats = (formats,) if isinstance(formats, str) else formats
    found = _parse(texts, formats[0], clock)
    for fmt in formats[1:]:
        unparsed = np.flatnonzero(found.codes == Code.TIMESTAMP_UNREADABLE.number)
        if not len(unparsed):
            break
        more = _parse(texts.take(pa.array(unparsed)), fmt, clock.of(unparsed))
        nanos = ints(found.ts.cast(pa.int64()))
        nanos[unparsed], found.codes[unparsed] = ints(more.ts.cast(pa.int64())), more.codes
        found = Instants(pa.array(nanos, pa.int64(), mask=found.codes != 0).cast(NS), found.codes)
    return found


def _parse(texts: pa.Array, fmt: str, clock: Clock) -> Instants:
    nanos, codes = _read(texts, fmt, clock)
    return bounded(_moved(nanos, clock), codes)


def _read(texts: pa.Array, fmt: str, clock: Clock) -> tuple[Int64s, Codes]:
    if fmt in DAYS_FROM:
        start, day = DAYS_FROM[fmt]
        nanos, codes = fractions(texts, EPOCH_UNITS["epoch_d"], Decimal(day))
        return to_utc(nanos + np.datetime64(start, "ns").astype(np.int64), clock, codes), codes
    if fmt in EPOCH_UNITS:
        unit = EPOCH_UNITS[fmt]
        if (
            unit > 10**9
        ):  # `since` is added before the conversion, because the nanoseconds since 1800 would overflow
            nanos, codes = fractions(texts, unit, -Decimal(clock.since) / unit)
            return nanos + clock.clock_shift, codes
        nanos, codes = epoch(texts, unit, clock)
        nanos = np.where(codes == 0, nanos, 0)
        # avoid integer overflow: such a sum is out of range in any case
        room = np.iinfo(np.int64).max - abs(clock.since)
        late = np.abs(nanos) > room
        nanos = np.where(late, LATEST, np.where(late, 0, nanos) + clock.since)
        return nanos + clock.clock_shift, codes
    if fmt == "iso8601" and (fast := _iso_cast(texts, clock)) is not None:
        return fast
    return _by_pattern(texts, pattern(fmt, clock.locale), clock)


def _moved(nanos: Int64s, clock: Clock) -> Int64s:
    """Shift and round UTC times according to the profile. A time that is far out of range stays out of
    range."""
    if clock.shift:
        nanos = nanos + clock.shift
    if clock.round_to:
        half = clock.round_to // 2
        nanos = (nanos + half) // clock.round_to * clock.round_to
    return nanos


def bounded(nanos: Int64s, codes: Codes) -> Instants:
    """Reject times before `EARLIEST`, and from `LATEST` on."""
    outside = (codes == 0) & ((nanos < EARLIEST) | (nanos >= LATEST))
    codes[outside] = Code.TIMESTAMP_OUT_OF_RANGE.number
    return Instants(pa.array(nanos, pa.int64(), mask=codes != 0).cast(NS), codes)


def from_timestamps(values: pa.Array, clock: Clock) -> Instants:
    """Convert typed timestamps (Parquet) of any unit, with or without a zone. Returns the same as `parse`
    would for texts of these times."""
    codes = no_codes(len(values))
    kind = values.type
    if pa.types.is_date(kind):
        values, kind = values.cast(pa.timestamp("s")), pa.timestamp("s")
    # a value outside int64 nanoseconds would make the cast fail for the whole array
    seconds = values.cast(pa.timestamp("s", tz=kind.tz), safe=False).cast(pa.int64())
    out_of_range = pc.or_(
        pc.less(seconds, int(EARLIEST // 10**9)), pc.greater(seconds, int(LATEST // 10**9))
    )
    codes[bools(out_of_range)] = Code.TIMESTAMP_OUT_OF_RANGE.number
    codes[bools(values.is_null())] = Code.TIMESTAMP_MISSING.number
    in_range = pc.if_else(out_of_range, pa.scalar(None, kind), values).cast(
        pa.timestamp("ns", tz=kind.tz)
    )
    nanos = ints(in_range.cast(pa.int64()))
    nanos = to_utc(nanos, clock, codes) if kind.tz is None else nanos + clock.clock_shift
    return bounded(_moved(nanos, clock), codes)


def _iso_cast(texts: pa.Array, clock: Clock) -> tuple[Int64s, Codes] | None:
    if texts.null_count:
        return None
    codes = no_codes(len(texts))
    try:
        nanos = ints(texts.cast(NS).cast(pa.int64()))
        return (nanos + clock.clock_shift if clock.clock_shift else nanos), codes
    except pa.ArrowInvalid:
        pass
    if clock.zone is None and clock.by_row is None:
        return None
    try:
        naive = ints(texts.cast(pa.timestamp("ns")).cast(pa.int64()))
    except pa.ArrowInvalid:
        return None
    return to_utc(naive, clock, codes), codes


def _by_pattern(texts: pa.Array, regex: str, clock: Clock) -> tuple[Int64s, Codes]:
    found = pc.extract_regex(texts, regex)
    codes = no_codes(len(texts))
    codes[~bools(found.is_valid())] = Code.TIMESTAMP_UNREADABLE.number
    codes[missing(texts)] = Code.TIMESTAMP_MISSING.number
    nanos, valid = civil(found, clock.locale)
    codes[(codes == 0) & ~valid] = Code.TIMESTAMP_UNREADABLE.number
    names = {group.name for group in found.type}
    offset = text_or(found, "offset", "") if "offset" in names else pa.array([""] * len(texts))
    if "abbreviation" in names:
        offset = _named(text_or(found, "abbreviation", ""), clock.zones)
    has_offset = bools(pc.not_equal(offset, ""))
    shifts, known = _offsets(offset)
    codes[(codes == 0) & has_offset & ~known] = Code.TIMESTAMP_UNREADABLE.number
    local = to_utc(nanos, clock, codes, ~has_offset)
    return np.where(has_offset, nanos - shifts + clock.clock_shift, local), codes


def _named(texts: pa.Array, zones: Mapping[str, str]) -> pa.Array:
    """Replace zone abbreviations by offsets. Abbreviations without a definition are not replaced. Their
    rows are rejected later."""
    known = {**ABBREVIATIONS, **zones}
    coded = pc.dictionary_encode(texts)
    offsets = [known.get(t, known.get(t.upper(), t or "?")) for t in coded.dictionary.to_pylist()]
    return pa.array(offsets, pa.string()).take(coded.indices)


def _offsets(texts: pa.Array) -> tuple[Int64s, Bools]:
    """Return each offset in nanoseconds east of UTC, and whether each text is a valid offset."""
    coded = pc.dictionary_encode(texts)
    found = [fixed_offset(text) for text in coded.dictionary.to_pylist()] or [None]
    places = coded.indices.to_numpy()
    shifts = np.array([shift or 0 for shift in found], np.int64)[places]
    return shifts, np.array([shift is not None for shift in found], np.bool_)[places]
