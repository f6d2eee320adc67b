"""Finds the column of a file that a profile refers to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sensorflow.core.patterns import search
from sensorflow.errors import Code, Permanent


@dataclass(frozen=True)
class Field:
    """A column of the file. name: the title. titles: the column's cell in each header row. type, unit,
    sensor: the column's cells in the header rows with these roles."""

    name: str
    titles: tuple[str, ...] = ()
    type: str = ""
    unit: str = ""
    sensor: str = ""


def find(reference: str, fields: Sequence[Field]) -> int | None:
    """Return the index of the column that a profile refers to, or None if the file has no such column.
    Raises Permanent if several columns match."""
    places = [i for i, f in enumerate(fields) if f.name == reference]
    if not places and (match := re.fullmatch(r"#(\d+)", reference)):
        return int(match[1]) - 1 if 1 <= int(match[1]) <= len(fields) else None
    if not places and reference.startswith("~"):
        places = [i for i, f in enumerate(fields) if search(reference[1:], f.name)]
    for rows in (slice(1), slice(None)):  # the first header row takes precedence
        places = places or [i for i, f in enumerate(fields) if reference in f.titles[rows]]
    if len(places) > 1:
        spots = ", ".join(f'"#{i + 1}"' for i in places[:10])
        raise Permanent(
            Code.COLUMN_MISSING,
            f"column {reference!r} occurs {len(places)} times in the header, as {spots}",
            column=reference,
            do="select the column by its position in the profile, then replay",
        )
    return places[0] if places else None
