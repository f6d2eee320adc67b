"""Detects columns of numbers, the notation of the numbers, and the texts and numbers that mark missing
values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from sensorflow.core.sniff.table import Column

POINT = re.compile(r"[+-]?(\d+(?:\.\d*)?|\.\d+)([eE][+-]?\d+)?")
COMMA = re.compile(r"[+-]?(\d+(?:,\d*)?|,\d+)([eE][+-]?\d+)?")
GROUPED = {
    ",": re.compile(r"[+-]?\d{1,3}(,\d{3})*(\.\d+)?"),
    ".": re.compile(r"[+-]?\d{1,3}(\.\d{3})*(,\d+)?"),
}
SUFFIXED = re.compile(r"([+-]?(?:\d+(?:[.,]\d+)?|[.,]\d+))\s*([^\d\s.,:/+-][^\d\s:]{0,7})")
_MISSING_TEXTS = """
nan na n/a #n/a nil null none mm m - -- --- ---- ----- * ** *** **** ***** x xx nd n.d. nr missing miss
#-1 #value! #div/0! #ref! invalid inv bad err error ovfl overflow over inf -inf +inf nodata no_data no-data
fault open short lost offline
unavailable unknown undefined ? // /// //// . .. ... blank empty -nan nan. 1.#qnan
-1.#ind 1.#inf noval dropout void
"""
MISSING_TEXTS = frozenset(_MISSING_TEXTS.split()) | {
    "no data",
    "not available",
    "no reading",
    "out of range",
}
"""Texts, in lower case, that always mark a missing value if they occur among numbers."""

_SENTINEL = re.compile(r"-?(9{2,}|9+\.9+|8{4,}|[679]999|32767|32768|65535|2147483647)(\.[09]*)?")
MAX_MARKERS = 4
"""Other texts among numbers may mark missing values if the column contains at most this many of them."""


@dataclass(frozen=True)
class Numeric:
    """A column of numbers, and the notation of these numbers. comma: whether they have a decimal comma.
    thousands: whether they have thousands separators. markers: texts that mark missing values. numbers:
    texts of numbers that mark missing values. other_count: the number of other cells, which would be
    rejected. suffix: a text that follows every number, such as a unit."""

    column: Column
    comma: bool = False
    thousands: bool = False
    markers: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    other_count: int = 0
    suffix: str = ""

    @cached_property
    def values(self) -> list[float]:
        """The distinct values of the column in arbitrary order, without the markers for missing values."""
        gone = {*self.markers, *self.numbers}
        found = (number(t, self) for t in self.column.counts if t not in gone)
        return [v for v in found if v is not None]


def number(text: str, style: Numeric) -> float | None:
    if style.suffix:
        text = text.removesuffix(style.suffix).strip()
    if style.thousands:
        text = text.replace("." if style.comma else ",", "")
    if style.comma:
        text = text.replace(",", ".")
    return float(text) if POINT.fullmatch(text) else None


def is_number(text: str) -> bool:
    return POINT.fullmatch(text) is not None or COMMA.fullmatch(text) is not None


def is_nothing(text: str) -> bool:
    return text.lower().strip("\"'") in MISSING_TEXTS


def numeric(column: Column, comma: bool = False) -> Numeric | None:
    """Return the notation of the column's numbers, or None if the column contains texts. comma: whether
    the table has decimal commas."""
    style, counts = COMMA if comma else POINT, column.counts
    plain = {t for t in counts if style.fullmatch(t)}
    if len(plain) < len(counts):
        for candidate in (_grouped(column, comma), _suffixed(column, comma)):
            if candidate is not None:
                return candidate
    others = {t: n for t, n in counts.items() if t not in plain}
    markers = [t for t in others if is_nothing(t)]
    rest = {t: n for t, n in others.items() if t not in markers}
    good = sum(counts[t] for t in plain)
    if good == 0:
        return Numeric(column, comma, markers=tuple(markers)) if not rest else None
    # a text that occurs several times among numbers is probably a marker for missing values
    if len(rest) <= MAX_MARKERS and all(n > 1 for n in rest.values()) and sum(rest.values()) < good:
        repeated = [t for t in rest if not any(c.isdigit() for c in t)]
        markers += repeated
        rest = {t: n for t, n in rest.items() if t not in repeated}
    other_count = sum(rest.values())
    if other_count > 0.1 * (good + other_count):
        return None
    return Numeric(column, comma, markers=tuple(markers), other_count=other_count)


def _grouped(column: Column, comma: bool) -> Numeric | None:
    """Return the notation of numbers with thousands separators, or None for other cells. A number that
    contains both a comma and a point must be among them."""
    sign, point = (".", ",") if comma else (",", ".")
    texts = [t for t in column.counts if not is_nothing(t)]
    sure = any(sign in t and point in t for t in texts)
    if not sure or not all(GROUPED[sign].fullmatch(t) for t in texts):
        return None
    markers = tuple(t for t in column.counts if is_nothing(t))
    return Numeric(column, comma, thousands=True, markers=markers)


def _suffixed(column: Column, comma: bool) -> Numeric | None:
    """Return the notation of numbers that are all followed by the same text, such as a unit. Return None
    for other cells."""
    texts = [t for t in column.counts if not is_nothing(t)]
    found = [SUFFIXED.fullmatch(t) for t in texts]
    if not texts or not all(found):
        return None
    suffixes = {m[2] for m in found if m}
    style = COMMA if comma else POINT
    if len(suffixes) != 1 or not all(style.fullmatch(m[1]) for m in found if m):
        return None
    markers = tuple(t for t in column.counts if is_nothing(t))
    return Numeric(column, comma, markers=markers, suffix=suffixes.pop())


def decimal_comma(columns: Iterable[Column]) -> bool:
    """Return whether the table has decimal commas. This is the case if some columns have decimal commas,
    and not more columns have decimal points."""
    commas = points = 0
    for column in columns:
        texts = [t for t in column.counts if not is_nothing(t)]
        fit = [t for t in texts if re.fullmatch(r"[+-]?[\d.]*,\d+", t)]
        with_digits = [t for t in texts if any(c.isdigit() for c in t)]
        if fit and all(COMMA.fullmatch(t) or GROUPED["."].fullmatch(t) for t in with_digits):
            # a word among the numbers may mark a missing value
            commas += len(with_digits) == len(texts) or numeric(column, True) is not None
        points += any(re.fullmatch(r"[+-]?\d*\.\d+([eE][+-]?\d+)?", t) for t in texts)
    return commas > 0 and commas >= points


def with_sentinels(found: Sequence[Numeric]) -> list[Numeric]:
    """Return the columns with the numbers that mark missing values, such as -9999. Such a number usually
    occurs more than once, and is so far outside the other values of the column that it cannot be a
    value."""
    common = _common(found)
    first = [[*_own(each), *_shared(each, common)] for each in found]
    known = {
        v for e, ts in zip(found, first, strict=True) for t in ts if (v := number(t, e)) is not None
    }
    result = []
    for each, own in zip(found, first, strict=True):
        texts = set(own)
        # if a column contains no other values, its numbers are compared with the markers of other columns
        candidates = _candidates(each)
        if candidates and set(each.column.counts) <= {*candidates, *each.markers}:
            values = {t: number(t, each) for t in candidates}
            texts |= {t for t, v in values.items() if v is not None and (v in known or v <= -999)}
        result.append(replace(each, numbers=tuple(sorted(texts))))
    return result


def _common(found: Sequence[Numeric]) -> set[float]:
    """Return negative integers that mark missing values in several columns. Each occurs more than twice
    in these columns, and is far below all other values."""
    counts: Counter[float] = Counter()
    for each in found:
        texts = [
            t
            for t, n in each.column.counts.items()
            if n > 2 and re.fullmatch(r"-\d{2,}([.,]0+)?", t)
        ]
        least = min((v for t in texts if (v := number(t, each)) is not None), default=0.0)
        rest = [v for v in each.values if v > least]
        is_outlier = bool(rest) and min(rest) - least > 3 * (max(rest) - min(rest))
        if least <= -50 and is_outlier and min(each.values) >= least:
            counts[least] += 1
    return {value for value, columns in counts.items() if columns > 1}


def _shared(style: Numeric, common: set[float]) -> list[str]:
    """Return texts of the column that mark missing values in other columns and cannot be values of this
    column. common: the numbers that are markers in other columns."""
    shared_values = []
    for text in style.column.counts:
        value = number(text, style)
        if value in common:
            rest = [v for v in style.values if v != value]
            if not rest or min(rest) > value / 2:
                shared_values.append(text)
    return shared_values


def _candidates(style: Numeric) -> list[str]:
    """Return texts of the column that look like markers for missing values. Returns none if the numbers
    have thousands separators or units."""
    point = "," if style.comma else "."
    texts = style.column.counts if not style.thousands and not style.suffix else ()
    return [t for t in texts if _SENTINEL.fullmatch(t.replace(point, "."))]


def _own(style: Numeric) -> list[str]:
    counts = style.column.counts
    candidates = _candidates(style)
    known = {t: v for t in candidates if (v := number(t, style)) is not None}
    rest = [v for v in style.values if v not in known.values()]
    if not rest:
        return []
    low, high = min(rest), max(rest)
    spread = max(high - low, 1.0)
    found = []
    for text, value in known.items():
        below = value <= -99 and low - value > max(spread, 50) and low >= -0.7 * abs(value)
        above = value >= 99 and value > 3 * max(high, 1.0) and value - high > 3 * spread
        # 999 marks a missing direction, although it is less than three times 360
        nines = re.fullmatch(r"9{3,}([.,]9*0*)?", text) and value >= 2.5 * max(high, 1.0)
        above = above or bool(nines and value - high > 1.5 * spread)
        much = counts[text] > 0.2 * style.column.filled and value >= 99 and value > 1.5 * high
        above = above or (much and value - high > spread)
        often = counts[text] > 1 or (below and value <= -999)
        if often and (below or above):
            found.append(text)
    return found
