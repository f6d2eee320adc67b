"""Text that tells a time -> instants in UTC, exactly, or a reason why not.

pyarrow's own ``strptime`` is not used: it turns 30 February into 2 March and drops fractions of a
second. Its ISO 8601 cast is strict and is the fast path; everything else goes through one regular
expression made from the profile's format, and integer arithmetic.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.readings import NS
from sensorflow.errors import Code

EPOCH_UNITS = {"epoch_s": 10**9, "epoch_ms": 10**6, "epoch_us": 10**3, "epoch_ns": 1}
"""Nanoseconds in one unit of each epoch format."""

EARLIEST = np.datetime64("1900-01-01", "ns").astype(np.int64)
LATEST = np.datetime64("2200-01-01", "ns").astype(np.int64)
"""Times outside are refused: they are a logger's fault, and would make partitions for nothing."""

_ISO = (
    r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})"
    r"(?:[T ](?P<hour>\d{2})(?::(?P<minute>\d{2}))?"
    r"(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9})\d*)?)?)?"
    r"\s*(?P<offset>Z|[+-]\d{2}(?::?\d{2})?)?"
)
_DIRECTIVES = {
    "Y": r"(?P<year>\d{4})",
    "y": r"(?P<year2>\d{2})",
    "m": r"(?P<month>\d{1,2})",
    "d": r"(?P<day>\d{1,2})",
    "b": r"(?P<monthname>[A-Za-z]{3})",
    "B": r"(?P<monthname>[A-Za-z]{3,9})",
    "H": r"(?P<hour>\d{1,2})",
    "I": r"(?P<hour12>\d{1,2})",
    "M": r"(?P<minute>\d{1,2})",
    "S": r"(?P<second>\d{1,2})",
    "f": r"(?P<fraction>\d{1,9})",
    "p": r"(?P<half>[AaPp][Mm])",
    "z": r"(?P<offset>Z|[+-]\d{2}(?::?\d{2})?)",
    "%": "%",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def pattern(fmt: str) -> str:
    """The regular expression of a format; ValueError names the directive that it does not know.

    Directives are those of C's strptime: %Y %y %m %d %b %B %H %I %M %S %f %p %z %%; %f takes one to
    nine digits, so that nanoseconds lose nothing.
    """
    if fmt == "iso8601":
        return rf"^\s*{_ISO}\s*$"
    out, rest = "", fmt
    while rest:
        char, rest = rest[0], rest[1:]
        if char == "%":
            if not rest or rest[0] not in _DIRECTIVES:
                raise ValueError(f"unknown directive %{rest[:1]} in the time format {fmt!r}")
            out, rest = out + _DIRECTIVES[rest[0]], rest[1:]
        else:
            out += r"\s+" if char == " " else re.escape(char)
    try:
        groups = re.compile(out).groupindex
    except re.error as error:
        raise ValueError(f"a directive stands twice in the time format {fmt!r}") from error
    if "year" not in groups and "year2" not in groups:
        raise ValueError(f"the time format {fmt!r} has no year: %Y or %y")
    if ("hour12" in groups) != ("half" in groups):
        raise ValueError(
            f"%I and %p go together in a time format, not so in {fmt!r}; %H is 0 to 23"
        )
    return rf"^\s*{out}\s*$"


@dataclass(frozen=True)
class Instants:
    """ts: timestamp[ns, UTC], null where there is no instant; codes: why, "" where there is one."""

    ts: pa.Array
    codes: npt.NDArray[np.object_]


def parse(texts: pa.Array, fmt: str, zone: str | None, ambiguous: str = "reject") -> Instants:
    """Read an array of strings. Nulls and empty strings are TIMESTAMP_MISSING.

    fmt: "iso8601", one of `EPOCH_UNITS`, or a strptime format. zone: an IANA name or a fixed offset
    (+01:00), for texts that carry no offset of their own; without it such texts are refused.
    ambiguous: what becomes of a local hour that exists twice: "reject", "earlier" or "later".
    """
    if fmt in EPOCH_UNITS:
        nanos, codes = _epoch(texts, EPOCH_UNITS[fmt])
    elif fmt == "iso8601" and (fast := _iso_cast(texts, zone, ambiguous)) is not None:
        nanos, codes = fast
    else:
        nanos, codes = _by_pattern(texts, pattern(fmt), zone, ambiguous)
    return bounded(nanos, codes)


def bounded(nanos: Int64s, codes: npt.NDArray[np.object_]) -> Instants:
    """Refuse what lies outside `EARLIEST` … `LATEST`."""
    outside = (codes == "") & ((nanos < EARLIEST) | (nanos >= LATEST))
    codes[outside] = Code.TIMESTAMP_OUT_OF_RANGE
    return Instants(pa.array(nanos, pa.int64(), mask=codes != "").cast(NS), codes)


def from_timestamps(values: pa.Array, zone: str | None, ambiguous: str = "reject") -> Instants:
    """Typed timestamps (Parquet) of any unit, zoned or naive -> the same as `parse`."""
    codes = np.full(len(values), "", object)
    kind = values.type
    if pa.types.is_date(kind):
        values, kind = values.cast(pa.timestamp("s")), pa.timestamp("s")
    # outside of int64 nanoseconds the cast would fail for the whole array
    seconds = values.cast(pa.timestamp("s", tz=kind.tz), safe=False).cast(pa.int64())
    wild = pc.or_(
        pc.less(seconds, int(EARLIEST // 10**9)), pc.greater(seconds, int(LATEST // 10**9))
    )
    codes[_flags(wild)] = Code.TIMESTAMP_OUT_OF_RANGE
    codes[_flags(values.is_null())] = Code.TIMESTAMP_MISSING
    tame = pc.if_else(wild, pa.scalar(None, kind), values).cast(pa.timestamp("ns", tz=kind.tz))
    nanos = _ints(tame.cast(pa.int64()))
    if kind.tz is None:
        nanos = _to_utc(nanos, zone, codes, ambiguous)
    return bounded(nanos, codes)


def _flags(array: pa.Array) -> Bools:
    return np.asarray(array.fill_null(False).to_numpy(zero_copy_only=False), np.bool_)


def _ints(array: pa.Array) -> Int64s:
    return np.array(array.fill_null(0).to_numpy(zero_copy_only=False), np.int64)


def _epoch(texts: pa.Array, unit: int) -> tuple[Int64s, npt.NDArray[np.object_]]:
    """Integers or decimals; digits beyond the nanosecond are cut, the others kept to the last."""
    codes = np.full(len(texts), "", object)
    found = pc.extract_regex(
        texts, r"^\s*(?P<sign>[+-]?)(?P<whole>\d{1,19})(?:\.(?P<part>\d*))?\s*$"
    )
    codes[~_flags(found.is_valid())] = Code.TIMESTAMP_UNREADABLE
    codes[_missing(texts)] = Code.TIMESTAMP_MISSING
    digits = len(str(unit)) - 1
    whole = pc.cast(_or(found, "whole", "0"), pa.uint64())
    wild = _flags(pc.greater(whole, (2**63 - 1) // unit))
    codes[wild & (codes == "")] = Code.TIMESTAMP_OUT_OF_RANGE
    nanos = np.where(wild, 0, _ints(pc.if_else(pa.array(wild), 0, whole).cast(pa.int64()))) * unit
    if digits:
        padded = pc.utf8_slice_codeunits(
            pc.utf8_rpad(_or(found, "part", ""), digits, "0"), 0, digits
        )
        nanos = nanos + _ints(padded.cast(pa.int64()))
    negative = _flags(pc.equal(_or(found, "sign", ""), "-"))
    return np.where(negative, -nanos, nanos), codes


def _missing(texts: pa.Array) -> Bools:
    blank = pc.equal(pc.utf8_trim_whitespace(texts), "")
    return np.asarray(pc.fill_null(blank, True).to_numpy(zero_copy_only=False), np.bool_)


def _or(found: pa.StructArray, name: str, default: str) -> pa.Array:
    """A group's text, `default` where it took no part in the match."""
    text = pc.struct_field(found, name).fill_null(default)
    return pc.if_else(pc.equal(text, ""), default, text)


def _iso_cast(
    texts: pa.Array, zone: str | None, ambiguous: str
) -> tuple[Int64s, npt.NDArray[np.object_]] | None:
    if texts.null_count:
        return None
    codes = np.full(len(texts), "", object)
    try:
        return _ints(texts.cast(NS).cast(pa.int64())), codes
    except pa.ArrowInvalid:
        pass
    if zone is None:
        return None
    try:
        naive = _ints(texts.cast(pa.timestamp("ns")).cast(pa.int64()))
    except pa.ArrowInvalid:
        return None
    return _to_utc(naive, zone, codes, ambiguous), codes


def _by_pattern(
    texts: pa.Array, regex: str, zone: str | None, ambiguous: str
) -> tuple[Int64s, npt.NDArray[np.object_]]:
    found = pc.extract_regex(texts, regex)
    codes = np.full(len(texts), "", object)
    codes[~_flags(found.is_valid())] = Code.TIMESTAMP_UNREADABLE
    codes[_missing(texts)] = Code.TIMESTAMP_MISSING
    nanos, valid = _civil(found)
    codes[(codes == "") & ~valid] = Code.TIMESTAMP_UNREADABLE
    names = {field.name for field in found.type}
    offset = _or(found, "offset", "") if "offset" in names else pa.array([""] * len(texts))
    has_offset = _flags(pc.not_equal(offset, ""))
    shifts, known = _offsets(offset)
    codes[(codes == "") & has_offset & ~known] = Code.TIMESTAMP_UNREADABLE
    local = _to_utc(nanos, zone, codes, ambiguous, ~has_offset)
    return np.where(has_offset, nanos - shifts, local), codes


def _civil(found: pa.StructArray) -> tuple[Int64s, Bools]:
    """The named groups -> nanoseconds of a clock without zone, and where they make a real time."""
    names = {field.name for field in found.type}

    def number(name: str, default: int) -> Int64s:
        if name not in names:
            return np.full(len(found), default, np.int64)
        return _ints(_or(found, name, str(default)).cast(pa.int64()))

    year = number("year", 1900)
    if "year2" in names:  # POSIX: 69 to 99 are of the last century
        short = number("year2", 0)
        year = short + np.where(short < 69, 2000, 1900)
    month = number("month", 1)
    if "monthname" in names:
        name = pc.utf8_lower(pc.utf8_slice_codeunits(_or(found, "monthname", ""), 0, 3))
        month = (
            _ints(pc.index_in(name, value_set=pa.array(_MONTHS)).cast(pa.int64()).fill_null(-1)) + 1
        )
    day, minute, second = number("day", 1), number("minute", 0), number("second", 0)
    hour = number("hour", 0)
    valid = (
        (month >= 1) & (month <= 12) & (hour <= 23) & (minute <= 59) & (second <= 59) & (day >= 1)
    )
    if "hour12" in names:
        hour = number("hour12", 12)
        valid &= (hour >= 1) & (hour <= 12)
        afternoon = "half" in names and _flags(
            pc.equal(pc.utf8_lower(_or(found, "half", "")), "pm")
        )
        hour = hour % 12 + np.where(afternoon, 12, 0)
    months = (year - 1970) * 12 + np.clip(month, 1, 12) - 1
    first = months.astype("M8[M]").astype("M8[D]").astype(np.int64)
    length = (months + 1).astype("M8[M]").astype("M8[D]").astype(np.int64) - first
    valid &= day <= length
    seconds = ((first + day - 1) * 24 + hour) * 3600 + minute * 60 + second
    # what lies centuries outside must not wrap around; `bounded` refuses it
    early, late = seconds < EARLIEST // 10**9, seconds >= LATEST // 10**9
    nanos = np.where(early, EARLIEST - 10**9, np.where(late, LATEST, seconds * 10**9))
    if "fraction" in names:
        fraction = _ints(pc.utf8_rpad(_or(found, "fraction", "0"), 9, "0").cast(pa.int64()))
        nanos = nanos + np.where(early | late, 0, fraction)
    return nanos, valid


@lru_cache(maxsize=64)
def fixed_offset(zone: str) -> int | None:
    """Nanoseconds east of UTC for "+01:00", "-0430", "Z", "UTC"; None for the name of a zone."""
    if zone in ("Z", "UTC"):
        return 0
    match = re.fullmatch(r"([+-])(\d{2}):?(\d{2})?", zone)
    if not match or int(match[2]) > 23 or int(match[3] or 0) > 59:
        return None
    return (1 if match[1] == "+" else -1) * (int(match[2]) * 60 + int(match[3] or 0)) * 60 * 10**9


def _offsets(texts: pa.Array) -> tuple[Int64s, Bools]:
    """Nanoseconds east of UTC, and where the text is an offset that there can be."""
    coded = pc.dictionary_encode(texts)
    found = [fixed_offset(text) for text in coded.dictionary.to_pylist()] or [None]
    places = coded.indices.to_numpy()
    shifts = np.array([shift or 0 for shift in found], np.int64)[places]
    return shifts, np.array([shift is not None for shift in found], np.bool_)[places]


def _to_utc(
    nanos: Int64s,
    zone: str | None,
    codes: npt.NDArray[np.object_],
    ambiguous: str,
    where: Bools | None = None,
) -> Int64s:
    """Local clock -> UTC for the rows `where` that have no code yet; sets the codes of the others.

    An hour that does not exist is refused, and one that exists twice unless `ambiguous` chooses: both
    readings of the clock are computed, and where they differ there is no telling.
    """
    open_ = (codes == "") & (True if where is None else where)
    if zone is None:
        codes[open_] = Code.TIMESTAMP_NO_ZONE
        return nanos
    shift = fixed_offset(zone)
    if shift is not None:
        return nanos - shift
    sane = open_ & (nanos >= EARLIEST) & (nanos < LATEST)
    clock = pa.array(np.where(sane, nanos, 0), pa.timestamp("ns"))

    def read(twice: str, never: str) -> Int64s:
        zoned = pc.assume_timezone(clock, zone, ambiguous=twice, nonexistent=never)
        return _ints(zoned.cast(pa.int64()))

    early = read("earliest", "earliest")
    codes[sane & (early != read("earliest", "latest"))] = Code.TIMESTAMP_NONEXISTENT
    late = read("latest", "earliest")
    if ambiguous == "reject":
        codes[sane & (early != late)] = Code.TIMESTAMP_AMBIGUOUS
    return np.where(sane, late if ambiguous == "later" else early, nanos)
