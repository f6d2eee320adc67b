"""The cells of a sheet, in the types that calamine returns."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import python_calamine as calamine

from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent

Cell = float | str | bool | date | datetime | time | timedelta
Row = tuple[int, list[Cell]]
"""(number of the row in the sheet, from 1; cells of the row). An empty cell is ""."""


def chosen(names: list[str], profile: Profile) -> str:
    """Return the name of the sheet that the profile selects by name or number. Raises Permanent if there
    is no such sheet."""
    wanted = profile.sheet
    if isinstance(wanted, int):
        wanted = names[wanted - 1] if 1 <= wanted <= len(names) else ""
    if wanted not in names:
        found = ", ".join(map(repr, names))
        raise Permanent(
            Code.UNREADABLE,
            f"no sheet {profile.sheet!r}; found: {found}",
            do="set sheet in the profile to one of those found, then replay",
        )
    return wanted


def numbered(sheet: calamine.CalamineSheet, first: int) -> list[Row]:
    """Return (row number, cells) for each row of a sheet. first: the number of the first row."""
    left: list[Cell] = [""] * (sheet.start[1] if sheet.start else 0)
    rows: list[list[Cell]] = sheet.to_python(skip_empty_area=True)
    return list(enumerate([left + row for row in rows] if left else rows, first))
