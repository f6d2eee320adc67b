"""Finds a column with the milliseconds of a time whose own column has whole seconds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from sensorflow.core.sniff import words
from sensorflow.core.sniff.table import Column
from sensorflow.core.sniff.time_columns import TimeColumns


def refined(found: TimeColumns, columns: Sequence[Column]) -> TimeColumns:
    """Return the time columns with a column of milliseconds, if there is one and rows have equal times
    without it."""
    formats = found.read.formats
    if not all(re.search(r"%S$", f) for f in formats) or found.read.extract:
        return found
    for column in columns:
        if re.search(words.PART, column.title, re.I) and _is_part(column):
            cells = list(zip(found.cells, column.cells, strict=True))
            if len(set(cells)) > len(set(found.cells)):
                pad = (*(found.pad or (0,) * len(found.columns)), 3)
                read = replace(found.read, formats=tuple(f"{f} %f" for f in formats))
                return replace(found, columns=(*found.columns, column), read=read, pad=pad)
    return found


def _is_part(column: Column) -> bool:
    """Return whether the column contains numbers of milliseconds within a second."""
    full = column.filled == len(column.cells)
    return (
        full and len(column.counts) > 1 and all(re.fullmatch(r"\d{1,3}", t) for t in column.counts)
    )
