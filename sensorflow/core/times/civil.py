"""Converts the parts of a time, such as year and hour, to nanoseconds of local time. The pattern of the
time's format has matched these parts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.times.monthnames import folded, halves, months

EARLIEST = np.datetime64("1900-01-01", "ns").astype(np.int64)
LATEST = np.datetime64("2200-01-01", "ns").astype(np.int64)
"""Times before `EARLIEST`, and times from `LATEST` on, are rejected. They are errors of the logger, and
would create useless partitions."""

ROUNDED = 10**6
"""Times that are given in decimal minutes, hours or days are rounded to a multiple of this number of
nanoseconds (a millisecond), because they are floating-point numbers."""

DAY, HOUR, MINUTE = 86400 * 10**9, 3600 * 10**9, 60 * 10**9

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def ints(array: pa.Array) -> Int64s:
    return np.array(array.fill_null(0).to_numpy(zero_copy_only=False), np.int64)


def missing(texts: pa.Array) -> Bools:
    """Return whether each text is null or blank."""
    blank = pc.equal(pc.utf8_trim_whitespace(texts), "")
    return np.asarray(pc.fill_null(blank, True).to_numpy(zero_copy_only=False), np.bool_)


def text_or(found: pa.StructArray, name: str, default: str) -> pa.Array:
    """Return the text of a group for each row, or `default` if the group did not take part in the match."""
    text = pc.struct_field(found, name).fill_null(default)
    return pc.if_else(pc.equal(text, ""), default, text)


def civil(found: pa.StructArray, locale: str | None) -> tuple[Int64s, Bools]:
    """Convert the named groups of each row to nanoseconds of local time. Also return whether each row is a
    valid time."""
    return _Civil(found, locale).nanos()


class _Civil:
    def __init__(self, found: pa.StructArray, locale: str | None) -> None:
        self.found, self.locale = found, locale
        self.names = {group.name for group in found.type}
        self.valid = np.ones(len(found), np.bool_)

    def has(self, name: str) -> bool:
        return name in self.names

    def number(self, name: str, default: int) -> Int64s:
        if name not in self.names:
            return np.full(len(self.found), default, np.int64)
        return ints(text_or(self.found, name, str(default)).cast(pa.int64()))

    def decimal(self, name: str) -> Floats:
        text = pc.replace_substring(text_or(self.found, name, "0"), ",", ".")
        return np.array(text.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)

    def fraction_in(self, value: Floats, unit: int | Int64s) -> Int64s:
        """Return the decimal part of `value` in nanoseconds. unit: the length of the unit of `value`, in
        nanoseconds."""
        part = (value - np.floor(value)) * unit
        return np.asarray(np.rint(part / ROUNDED).astype(np.int64) * ROUNDED)

    def nanos(self) -> tuple[Int64s, Bools]:
        year, month = self.year(), self.month()
        self.valid &= (month >= 1) & (month <= 12)
        first_month = (year - 1970) * 12 + np.clip(month, 1, 12) - 1
        first, length = _span(first_month, 1)
        clock = self.clock()
        if self.has("yearday") or self.has("yeardays"):
            first, length = _span((year - 1970) * 12, 12)
        day = self.day(clock)
        self.valid &= (day >= 1) & (day <= length)
        if self.has("years"):
            start, days = _span((year - 1970) * 12, 12)
            first, clock = start, self.fraction_in(self.decimal("years"), days * DAY)
        seconds = (first + day - 1) * 86400
        # times far outside the limits must not overflow; `bounded` rejects them
        early, late = seconds < EARLIEST // 10**9, seconds >= LATEST // 10**9
        nanos = np.where(early, EARLIEST - 10**9, np.where(late, LATEST, seconds * 10**9))
        return nanos + np.where(early | late, 0, clock), self.valid

    def year(self) -> Int64s:
        if self.has("years"):
            return np.asarray(np.floor(self.decimal("years")), np.int64)
        if self.has("year2"):  # POSIX: 69 to 99 are in the 20th century
            short = self.number("year2", 0)
            return np.asarray(short + np.where(short < 69, 2000, 1900), np.int64)
        return self.number("year", 1900)

    def month(self) -> Int64s:
        if not self.has("monthname"):
            return self.number("month", 1)
        return self.word("monthname", months(self.locale))

    def word(self, group: str, known: dict[str, int]) -> Int64s:
        """Return the number of each name, such as 1 for January, or -1 for an unknown name. group: the
        group that contains the names. known: name -> number."""
        coded = pc.dictionary_encode(text_or(self.found, group, ""))
        places = [known.get(folded(name), -1) for name in coded.dictionary.to_pylist()] or [-1]
        return np.asarray(np.array(places, np.int64)[coded.indices.to_numpy()], np.int64)

    def day(self, clock: Int64s) -> Int64s:
        for name in ("days", "yeardays"):
            if self.has(name):
                day = self.decimal(name)
                clock += self.fraction_in(day, DAY)
                return np.asarray(np.floor(day), np.int64)
        return self.number("yearday" if self.has("yearday") else "day", 1)

    def clock(self) -> Int64s:
        """Return the time of day in nanoseconds since midnight."""
        fraction = np.zeros(len(self.found), np.int64)
        if self.has("fraction"):
            nine = pc.utf8_slice_codeunits(text_or(self.found, "fraction", "0"), 0, 9)
            fraction = ints(pc.utf8_rpad(nine, 9, "0").cast(pa.int64()))
        if self.has("lastpart"):
            fraction = np.where(self.given("second"), fraction, self.last())
        hour, minute, second = self.hour(), self.number("minute", 0), self.number("second", 0)
        if self.has("minutes"):
            minutes = self.decimal("minutes")
            minute, fraction = np.floor(minutes).astype(np.int64), self.fraction_in(minutes, MINUTE)
        if self.has("hours"):
            hours = self.decimal("hours")
            hour, fraction = np.floor(hours).astype(np.int64), self.fraction_in(hours, HOUR)
        has_hours = self.has("hour") or self.has("hour12") or self.has("hours")
        self.valid &= minute <= (59 if has_hours else 1440)
        self.valid &= second <= (59 if has_hours or self.has("minute") else 86400)
        found = ((hour * 60 + minute) * 60 + second) * 10**9 + fraction
        # hour 24 is the end of the day (ISO 8601-1, 4.3.8); only 24:00:00 is valid
        self.valid &= found <= DAY
        return found

    def given(self, name: str) -> Bools:
        texts = text_or(self.found, name, "")
        return np.asarray(pc.not_equal(texts, "").to_numpy(zero_copy_only=False), np.bool_)

    def last(self) -> Int64s:
        """Return the decimals at the end of each time, in nanoseconds. They are decimals of the minute if
        the time has minutes, otherwise of the hour (ISO 8601)."""
        part = pc.binary_join_element_wise("0", text_or(self.found, "lastpart", "0"), ".")
        value = np.array(part.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
        return self.fraction_in(value, np.where(self.given("minute"), MINUTE, HOUR))

    def hour(self) -> Int64s:
        if not self.has("hour12"):
            return self.number("hour", 0)
        hour = self.number("hour12", 12)
        self.valid &= (hour >= 1) & (hour <= 12)
        half = self.word("half", halves(self.locale))
        self.valid &= half >= 0
        return np.asarray(hour % 12 + 12 * half, np.int64)


def _span(month: Int64s, months_: int) -> tuple[Int64s, Int64s]:
    """Return the first day of each month, in days since 1970. Also return the number of days in the
    `months_` months that begin on this day."""
    first = month.astype("M8[M]").astype("M8[D]").astype(np.int64)
    return first, (month + months_).astype("M8[M]").astype("M8[D]").astype(np.int64) - first
