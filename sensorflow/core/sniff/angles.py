"""Detects geographic positions with the letters N, S, E or W. The letter is in the same cell as the
number or in the next column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sensorflow.core.sniff import ignored_columns, numeric
from sensorflow.core.sniff.numeric import Numeric
from sensorflow.core.sniff.table import Column

_SIGNED = re.compile(r"([NSEW]?)\s*([+-]?\d+(?:\.\d*)?)\s*([NSEW]?)")
_HEMISPHERE_PAIRS = ({"N", "S"}, {"E", "W"})
_TITLED = r"hemisphere|(^|[^a-z])[ns][ /_-]?[sn]([^a-z]|$)|(^|[^a-z])[ew][ /_-]?[we]([^a-z]|$)"


@dataclass(frozen=True)
class Angle:
    """How to read a column of positions. kind: the value for the profile's key `angle`. hemisphere: the
    column that contains the letters; None if they are in the same cells as the numbers."""

    kind: str
    hemisphere: Column | None = None


def found(columns: Sequence[Column]) -> dict[Column, Angle]:
    """Return column -> `Angle` for each column of positions that have letters."""
    lettered = {c: half for c in columns if (half := _letters(c)) is not None}
    angles: dict[Column, Angle] = {}
    for column, letters in lettered.items():
        adjacent = [c for c in lettered if abs(c.index - column.index) == 1]
        paired = any(lettered[c] != letters for c in adjacent)
        mixed = len({t.strip()[-1] for t in column.counts} & letters) == 2
        if paired or mixed or ignored_columns.is_place(column):
            angles[column] = Angle(_kind(column))
    for column in columns:
        before = next((c for c in columns if c.index == column.index - 1), None)
        if before is not None and before not in angles and _is_half(column, before):
            angles[before] = Angle(_kind(before), column)
    return angles


def _letters(column: Column) -> set[str] | None:
    """Return {N, S} or {E, W} if each cell is a number with a letter of this set, otherwise None."""
    texts = [t for t in column.counts if not numeric.is_nothing(t)]
    cells = [_SIGNED.fullmatch(t) for t in texts]
    if not texts or not all(m and bool(m[1]) != bool(m[3]) for m in cells):
        return None
    letters = {m[1] or m[3] for m in cells if m}
    return next((half for half in _HEMISPHERE_PAIRS if letters <= half), None)


def _is_half(column: Column, before: Column) -> bool:
    """Return whether `column` contains the letters for the positions in `before`, the column to its
    left."""
    texts = set(column.counts)
    if not texts or not any(texts <= half for half in _HEMISPHERE_PAIRS):
        return False
    numbers = [numeric.POINT.fullmatch(t) for t in before.counts if not numeric.is_nothing(t)]
    named = ignored_columns.is_place(before) or column.says(_TITLED)
    return named and bool(numbers) and all(numbers)


def _kind(column: Column) -> str:
    """Return "ddmm" if a number, such as 4807.038, is too large for degrees and therefore contains
    degrees and minutes. Otherwise return "dms"."""
    digits = [re.search(r"\d+(\.\d*)?", t) for t in column.counts]
    return "ddmm" if any(m and float(m[0]) > 180 for m in digits) else "dms"


def numeric_of(column: Column) -> Numeric:
    return Numeric(column, markers=tuple(t for t in column.counts if numeric.is_nothing(t)))
