"""Untitled columns of a table. A value in an untitled column is schema drift, like a new column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.formats.chunk import Chunk
from sensorflow.errors import Code, Permanent

HINT = "; add its position to the profile or to the profile's ignore, or set the source's drift"


def notes(chunk: Chunk) -> tuple[str, ...]:
    """Return a description of each untitled column of a chunk that contains values. Raises Permanent DRIFT
    if there is such a column and the source quarantines files with new columns."""
    binding = chunk.binding
    found = tuple(
        f'column "#{i + 1}" without a title' for i in binding.untitled if _filled(chunk.columns[i])
    )
    if found and binding.strict:
        raise Permanent(Code.DRIFT, found[0] + HINT)
    return found


def unique(names: Sequence[str], places: Sequence[int]) -> list[str]:
    """Return unique column names. A column without a title or with a duplicate title is named by its
    position.

      >>> unique(["t", "a", "", "a"], [0, 1, 2, 3])
      ['t', '#2', '#3', '#4']
    """
    known = Counter(names)
    return [names[i] if names[i] and known[names[i]] == 1 else f"#{i + 1}" for i in places]


def _filled(cells: pa.Array) -> bool:
    """Return whether any cell contains more than spaces."""
    if not pc.any(pc.greater(pc.binary_length(cells), 0)).as_py():
        return False
    return bool(pc.any(pc.not_equal(pc.utf8_trim_whitespace(cells), "")).as_py())
