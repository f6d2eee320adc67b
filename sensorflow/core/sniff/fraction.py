"""Finds a column that contains the milliseconds of the time. The time itself is in another column, in
whole seconds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from sensorflow.core.sniff import words
from sensorflow.core.sniff.table import Column
from sensorflow.core.sniff.time_columns import TimeColumns


def refined(found: TimeColumns, columns: Sequence[Column]) -> TimeColumns:
    """Return the time columns together with a column of milliseconds. The result is unchanged if there
    is no such column, or if it does not distinguish any rows."""
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
    """Return whether the column may contain milliseconds, from 0 to 999."""
    full = column.filled == len(column.cells)
    return (
        full and len(column.counts) > 1 and all(re.fullmatch(r"\d{1,3}", t) for t in column.counts)
    )
