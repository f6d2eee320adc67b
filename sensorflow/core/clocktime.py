"""Text that tells a time -> instants in UTC, exactly, or a reason why not.

pyarrow's own ``strptime`` is not used: it turns 30 February into 2 March and drops fractions of a
second. Its ISO 8601 cast is strict and is the fast path; everything else goes through one regular
expression made from the profile's format, and integer arithmetic.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.civil import (
    EARLIEST,
    LATEST,
    ROUNDED,
    Bools,
    Int64s,
    civil,
    ints,
    missing,
    text_or,
)
from sensorflow.core.codes import Codes, unrefused
from sensorflow.core.readings import NS
from sensorflow.core.timeformats import DAYS_FROM, EPOCH_UNITS, fixed_offset, pattern
from sensorflow.core.zonegroups import RowZones
from sensorflow.errors import Code

ABBREVIATIONS = {
    "UTC": "Z",
    "GMT": "Z",
    "UT": "Z",
    "EST": "-05:00",
    "EDT": "-04:00",
    "CST": "-06:00",
    "CDT": "-05:00",
    "MST": "-07:00",
    "MDT": "-06:00",
    "PST": "-08:00",
    "PDT": "-07:00",
}
"""The names of zones that RFC 2822 (4.3) defines; any other is the profile's to define."""


def instant(text: str, zone: str | None) -> int | None:
    """Nanoseconds from 1970 to a date in ISO 8601, in UTC unless it or `zone` says otherwise."""
    if (
        text[:4].isdecimal() and int(text[:4]) < 1900
    ):  # no reading is as old, but calendars begin there
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


Dst = npt.NDArray[np.int8]


class Order:
    """Tells the first run through an hour that exists twice from the second one, by the rows' order:
    once the clock has stepped back within the hour, it is the second. Keeps its place from one batch
    to the next."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._second = False
        self._counted: Order | None = None

    @property
    def counted(self) -> Order:
        """That of times counted from those that the rows tell, which are a sequence of their own."""
        self._counted = self._counted or Order()
        return self._counted

    def later(self, nanos: Int64s, twice: Bools, local: Bools) -> Bools:
        """Of each row whose local time exists `twice`: whether it is the second time. local: the rows
        that tell a local time at all; the others say nothing."""
        rows = np.flatnonzero(local)
        found = np.zeros(len(nanos), np.bool_)
        found[rows] = self._later(nanos[rows], twice[rows])
        return found

    def _later(self, nanos: Int64s, twice: Bools) -> Bools:
        found = np.zeros(len(nanos), np.bool_)
        for index in np.flatnonzero(twice).tolist():
            before = int(nanos[index - 1]) if index else self._last
            if not (twice[index - 1] if index else self._last is not None):
                self._second = False
            if before is not None and int(nanos[index]) < before:
                self._second = True
            found[index] = self._second
        if len(nanos):
            self._last = int(nanos[-1]) if twice[-1] else None
        return found


@dataclass(frozen=True)
class Clock:
    """How a local clock is read. zone: an IANA name or a fixed offset (+01:00), for texts that carry no
    offset of their own; without it such texts are refused. ambiguous, nonexistent: what becomes of a
    local hour that exists twice or not at all. zones: abbreviation -> offset, for %Z.
    since: nanoseconds from 1970 to where epochs count from. locale: whose names %b, %B and %p read.
    trimmed: whether numbers in scientific notation leave out their last zeros. shift: nanoseconds that are
    added to an instant, clock_shift: to what the clock shows; round_to: to a multiple of so many.
    dst: of each text whether daylight saving time holds (1), or not (0); -1 where that is not known.
    by_row: the zone of each text, in place of `zone`."""

    zone: str | None = None
    ambiguous: str = "reject"
    nonexistent: str = "reject"
    zones: Mapping[str, str] = field(default_factory=dict)
    since: int = 0
    order: Order = field(default_factory=Order, compare=False)
    locale: str | None = None
    trimmed: bool = False
    shift: int = 0
    clock_shift: int = 0
    round_to: int = 0
    dst: Dst | None = field(default=None, compare=False)
    by_row: RowZones | None = field(default=None, compare=False)

    def of(self, rows: Int64s) -> Clock:
        """The clock of some of the texts."""
        if self.dst is None and self.by_row is None:
            return self
        dst = self.dst[rows] if self.dst is not None else None
        return replace(self, dst=dst, by_row=self.by_row.take(rows) if self.by_row else None)

    def of_zones(self) -> Iterator[tuple[Int64s, Clock]]:
        """The texts of each zone, and their clock, where each has a zone of its own."""
        for zone, rows in self.by_row.groups() if self.by_row else ():
            yield rows, replace(self.of(rows), zone=zone, by_row=None)


@dataclass(frozen=True)
class Instants:
    """ts: timestamp[ns, UTC], null where there is no instant; codes: why, 0 where there is one."""

    ts: pa.Array
    codes: Codes


def parse(texts: pa.Array, formats: str | Sequence[str], clock: Clock) -> Instants:
    """Read an array of strings. Nulls and empty strings are TIMESTAMP_MISSING.

    formats: each "iso8601", one of `EPOCH_UNITS`, "excel", or a strptime format; a text is read by
    the first that fits it.
    """
    formats = (formats,) if isinstance(formats, str) else formats
    found = _parse(texts, formats[0], clock)
    for fmt in formats[1:]:
        rest = np.flatnonzero(found.codes == Code.TIMESTAMP_UNREADABLE.number)
        if not len(rest):
            break
        more = _parse(texts.take(pa.array(rest)), fmt, clock.of(rest))
        nanos = ints(found.ts.cast(pa.int64()))
        nanos[rest], found.codes[rest] = ints(more.ts.cast(pa.int64())), more.codes
        found = Instants(pa.array(nanos, pa.int64(), mask=found.codes != 0).cast(NS), found.codes)
    return found


def _parse(texts: pa.Array, fmt: str, clock: Clock) -> Instants:
    nanos, codes = _read(texts, fmt, clock)
    return bounded(_moved(nanos, clock), codes)


def _read(texts: pa.Array, fmt: str, clock: Clock) -> tuple[Int64s, Codes]:
    if fmt in DAYS_FROM:
        start, day = DAYS_FROM[fmt]
        nanos, codes = _fractions(texts, EPOCH_UNITS["epoch_d"], Decimal(day))
        return _to_utc(nanos + np.datetime64(start, "ns").astype(np.int64), clock, codes), codes
    if fmt in EPOCH_UNITS:
        unit = EPOCH_UNITS[fmt]
        if unit > 10**9:  # at once, for days since 1800 do not fit by themselves
            nanos, codes = _fractions(texts, unit, -Decimal(clock.since) / unit)
            return nanos + clock.clock_shift, codes
        nanos, codes = _epoch(texts, unit, clock)
        nanos = np.where(codes == 0, nanos, 0)
        # the sum must not wrap around: what would is out of range either way
        room = np.iinfo(np.int64).max - abs(clock.since)
        late = np.abs(nanos) > room
        nanos = np.where(late, LATEST, np.where(late, 0, nanos) + clock.since)
        return nanos + clock.clock_shift, codes
    if fmt == "iso8601" and (fast := _iso_cast(texts, clock)) is not None:
        return fast
    return _by_pattern(texts, pattern(fmt, clock.locale), clock)


def _moved(nanos: Int64s, clock: Clock) -> Int64s:
    """Instants as the profile shifts and rounds them. What is far outside stays so."""
    if clock.shift:
        nanos = nanos + clock.shift
    if clock.round_to:
        half = clock.round_to // 2
        nanos = (nanos + half) // clock.round_to * clock.round_to
    return nanos


def _fractions(texts: pa.Array, unit: int, start: Decimal = Decimal(0)) -> tuple[Int64s, Codes]:
    """Decimals of a long unit, less `start` -> nanoseconds, rounded to the millisecond."""
    codes = unrefused(len(texts))
    nanos = np.zeros(len(texts), np.int64)
    for index, text in enumerate(texts.to_pylist()):
        if text is None or not text.strip():
            codes[index] = Code.TIMESTAMP_MISSING.number
        elif not re.fullmatch(r"\s*[+-]?\d{1,12}(\.\d*)?([eE][+-]?\d{1,2})?\s*", text):
            codes[index] = Code.TIMESTAMP_UNREADABLE.number
        else:
            found = round((Decimal(text.strip()) - start) * unit / ROUNDED) * ROUNDED
            outside = abs(found) >= 2**62
            codes[index] = Code.TIMESTAMP_OUT_OF_RANGE.number if outside else 0
            nanos[index] = 0 if outside else found
    return nanos, codes


def bounded(nanos: Int64s, codes: Codes) -> Instants:
    """Refuse what lies outside `EARLIEST` … `LATEST`."""
    outside = (codes == 0) & ((nanos < EARLIEST) | (nanos >= LATEST))
    codes[outside] = Code.TIMESTAMP_OUT_OF_RANGE.number
    return Instants(pa.array(nanos, pa.int64(), mask=codes != 0).cast(NS), codes)


def from_timestamps(values: pa.Array, clock: Clock) -> Instants:
    """Typed timestamps (Parquet) of any unit, zoned or naive -> the same as `parse`."""
    codes = unrefused(len(values))
    kind = values.type
    if pa.types.is_date(kind):
        values, kind = values.cast(pa.timestamp("s")), pa.timestamp("s")
    # outside of int64 nanoseconds the cast would fail for the whole array
    seconds = values.cast(pa.timestamp("s", tz=kind.tz), safe=False).cast(pa.int64())
    wild = pc.or_(
        pc.less(seconds, int(EARLIEST // 10**9)), pc.greater(seconds, int(LATEST // 10**9))
    )
    codes[_flags(wild)] = Code.TIMESTAMP_OUT_OF_RANGE.number
    codes[_flags(values.is_null())] = Code.TIMESTAMP_MISSING.number
    tame = pc.if_else(wild, pa.scalar(None, kind), values).cast(pa.timestamp("ns", tz=kind.tz))
    nanos = ints(tame.cast(pa.int64()))
    nanos = _to_utc(nanos, clock, codes) if kind.tz is None else nanos + clock.clock_shift
    return bounded(_moved(nanos, clock), codes)


def _flags(array: pa.Array) -> Bools:
    return np.asarray(array.fill_null(False).to_numpy(zero_copy_only=False), np.bool_)


def _epoch(texts: pa.Array, unit: int, clock: Clock) -> tuple[Int64s, Codes]:
    """Integers or decimals; digits beyond the nanosecond are cut, the others kept to the last."""
    codes = unrefused(len(texts))
    texts = _unscientific(texts, clock.trimmed)
    found = pc.extract_regex(
        texts, r"^\s*(?P<sign>[+-]?)(?P<whole>\d{1,19})(?:\.(?P<part>\d*))?\s*$"
    )
    codes[~_flags(found.is_valid())] = Code.TIMESTAMP_UNREADABLE.number
    codes[missing(texts)] = Code.TIMESTAMP_MISSING.number
    digits = len(str(unit)) - 1
    whole = pc.cast(text_or(found, "whole", "0"), pa.uint64())
    wild = _flags(pc.greater(whole, pa.scalar((2**63 - 1) // unit, pa.uint64())))
    codes[wild & (codes == 0)] = Code.TIMESTAMP_OUT_OF_RANGE.number
    nanos = (
        np.where(
            wild,
            0,
            ints(pc.if_else(pa.array(wild), pa.scalar(0, pa.uint64()), whole).cast(pa.int64())),
        )
        * unit
    )
    if digits:
        padded = pc.utf8_slice_codeunits(
            pc.utf8_rpad(text_or(found, "part", ""), digits, "0"), 0, digits
        )
        nanos = nanos + ints(padded.cast(pa.int64()))
    negative = _flags(pc.equal(text_or(found, "sign", ""), "-"))
    return np.where(negative, -nanos, nanos), codes


_SCIENTIFIC = r"^\s*[+-]?\d(?:\.\d*)?[eE]\+?\d{1,2}\s*$"


def lost_digits(text: str) -> bool:
    """Whether a number in scientific notation does not say all digits of its whole part: 1.5E+12."""
    if not re.fullmatch(_SCIENTIFIC[1:-1], text):
        return False
    mantissa, _, exponent = text.strip().lower().partition("e")
    return len(mantissa.partition(".")[2]) < int(exponent)


def _unscientific(texts: pa.Array, trimmed: bool) -> pa.Array:
    """Numbers in scientific notation as plain ones, where they say all digits (or are `trimmed`)."""
    some = pc.match_substring(texts, "e", ignore_case=True).fill_null(False)
    if not some.true_count:
        return texts
    odd = pc.and_(some, pc.match_substring_regex(texts, _SCIENTIFIC).fill_null(False))
    plain = [
        text if not trimmed and lost_digits(text) else f"{Decimal(text.strip()):f}"
        for text in texts.filter(odd).to_pylist()
    ]
    return pc.replace_with_mask(texts, odd, pa.array(plain, pa.string()))


def _iso_cast(texts: pa.Array, clock: Clock) -> tuple[Int64s, Codes] | None:
    if texts.null_count:
        return None
    codes = unrefused(len(texts))
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
    return _to_utc(naive, clock, codes), codes


def _by_pattern(texts: pa.Array, regex: str, clock: Clock) -> tuple[Int64s, Codes]:
    found = pc.extract_regex(texts, regex)
    codes = unrefused(len(texts))
    codes[~_flags(found.is_valid())] = Code.TIMESTAMP_UNREADABLE.number
    codes[missing(texts)] = Code.TIMESTAMP_MISSING.number
    nanos, valid = civil(found, clock.locale)
    codes[(codes == 0) & ~valid] = Code.TIMESTAMP_UNREADABLE.number
    names = {group.name for group in found.type}
    offset = text_or(found, "offset", "") if "offset" in names else pa.array([""] * len(texts))
    if "abbreviation" in names:
        offset = _named(text_or(found, "abbreviation", ""), clock.zones)
    has_offset = _flags(pc.not_equal(offset, ""))
    shifts, known = _offsets(offset)
    codes[(codes == 0) & has_offset & ~known] = Code.TIMESTAMP_UNREADABLE.number
    local = _to_utc(nanos, clock, codes, ~has_offset)
    return np.where(has_offset, nanos - shifts + clock.clock_shift, local), codes


def _named(texts: pa.Array, zones: Mapping[str, str]) -> pa.Array:
    """Abbreviations -> offsets; one that nobody defines stays, and is refused."""
    known = {**ABBREVIATIONS, **zones}
    coded = pc.dictionary_encode(texts)
    offsets = [known.get(t, known.get(t.upper(), t or "?")) for t in coded.dictionary.to_pylist()]
    return pa.array(offsets, pa.string()).take(coded.indices)


def _offsets(texts: pa.Array) -> tuple[Int64s, Bools]:
    """Nanoseconds east of UTC, and where the text is an offset that there can be."""
    coded = pc.dictionary_encode(texts)
    found = [fixed_offset(text) for text in coded.dictionary.to_pylist()] or [None]
    places = coded.indices.to_numpy()
    shifts = np.array([shift or 0 for shift in found], np.int64)[places]
    return shifts, np.array([shift is not None for shift in found], np.bool_)[places]


def _to_utc(nanos: Int64s, clock: Clock, codes: Codes, where: Bools | None = None) -> Int64s:
    """Local clock -> UTC for the rows `where` that have no code yet; sets the codes of the others.

    Both readings of the clock are computed, and where they differ there is no telling: the hour is
    refused unless the clock's policy chooses.
    """
    if clock.by_row is not None:
        return _each_to_utc(nanos, clock, codes, where)
    open_ = (codes == 0) & (True if where is None else where)
    if clock.clock_shift:
        nanos = nanos + clock.clock_shift
    if clock.zone is None:
        codes[open_] = Code.TIMESTAMP_NO_ZONE.number
        return nanos
    shift = fixed_offset(clock.zone)
    if shift is not None:
        if clock.dst is None:
            return nanos - shift
        codes[open_ & (clock.dst < 0)] = Code.TIMESTAMP_AMBIGUOUS.number
        return nanos - shift - np.where(clock.dst == 1, 3600 * 10**9, 0)
    sane = open_ & (nanos >= EARLIEST) & (nanos < LATEST)
    local = pa.array(np.where(sane, nanos, 0), pa.timestamp("ns"))

    def read(twice: str, never: str) -> Int64s:
        zoned = pc.assume_timezone(local, clock.zone, ambiguous=twice, nonexistent=never)
        return ints(zoned.cast(pa.int64()))

    early, late = read("earliest", "earliest"), read("latest", "earliest")
    after = read("earliest", "latest")
    never = sane & (early != after)
    twice = sane & (early != late)
    far = np.flatnonzero(sane & (nanos >= _BY_RULE))
    if len(far):
        early[far], late[far], never[far], twice[far] = _by_rule(nanos[far], clock)
    if clock.nonexistent == "reject":
        codes[never] = Code.TIMESTAMP_NONEXISTENT.number
    elif never.any():
        edge = after if clock.nonexistent == "earlier" else early
        near = never & (nanos < _BY_RULE)
        early = np.where(near, nanos - _shift_at(edge, clock.zone), early)
    if clock.dst is not None:
        codes[twice & (clock.dst < 0)] = Code.TIMESTAMP_AMBIGUOUS.number
        return np.where(sane, np.where(twice & (clock.dst == 0), late, early), nanos)
    if clock.ambiguous == "reject":
        codes[twice] = Code.TIMESTAMP_AMBIGUOUS.number
    second = twice & (clock.ambiguous == "later")
    if clock.ambiguous == "order":
        second = clock.order.later(nanos, twice, sane)
    return np.where(sane, np.where(second, late, early), nanos)


def _each_to_utc(nanos: Int64s, clock: Clock, codes: Codes, where: Bools | None) -> Int64s:
    """By the zone of each row."""
    found = nanos.copy()
    for rows, own in clock.of_zones():
        told = codes[rows]
        found[rows] = _to_utc(nanos[rows], own, told, None if where is None else where[rows])
        codes[rows] = told
    return found


_BY_RULE = int(np.datetime64("2037-01-01", "ns").astype(np.int64))
"""From here on a zone's changes are told by a rule (RFC 8536, 3.3), which Arrow does not follow."""


def _by_rule(nanos: Int64s, clock: Clock) -> tuple[Int64s, Int64s, Bools, Bools]:
    """(earlier, later instant, whether there is none, whether there are two) of far local times."""
    zone = ZoneInfo(clock.zone or "UTC")
    shifts = np.empty((2, len(nanos)), np.int64)
    for index, second in enumerate((nanos // 10**9).tolist()):
        moment = datetime(1970, 1, 1, tzinfo=zone) + timedelta(
            seconds=second
        )  # of the clock, not elapsed
        for fold in (0, 1):
            shift = moment.replace(fold=fold).utcoffset() or timedelta()
            shifts[fold, index] = shift // timedelta(seconds=1) * 10**9
    never, twice = shifts[0] < shifts[1], shifts[0] > shifts[1]
    early, late = nanos - shifts.max(axis=0), nanos - shifts.min(axis=0)
    return np.where(never & (clock.nonexistent == "later"), late, early), late, never, twice


def _shift_at(instants: Int64s, zone: str) -> Int64s:
    """Nanoseconds by which the zone's clock is ahead of UTC at each instant."""
    zoned = pa.array(instants, pa.int64()).cast(NS).cast(pa.timestamp("ns", tz=zone))
    return ints(pc.local_timestamp(zoned).cast(pa.int64())) - instants


to_utc, shift_at = _to_utc, _shift_at
