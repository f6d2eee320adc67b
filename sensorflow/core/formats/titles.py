"""Builds the columns of a table from its header rows."""

from __future__ import annotations

from collections.abc import Sequence

from sensorflow.core.binding.fields import Field
from sensorflow.core.formats.aligned import aligned
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent


def header_rows(profile: Profile) -> int:
    return profile.header if isinstance(profile.header, int) else len(profile.header)


UNMATCHED = (
    "correct skip_until in the profile, which must match the first line to be read, then replay; if the "
    "file was cut off before that line, request it again from its sender"
)
SHORT = (
    "correct header and skip in the profile, then replay; if the file was cut off, request it again from "
    "its sender"
)
WRONG = "correct skip, quote, delimiter or encoding in the profile, then replay"


def fields(
    rows: Sequence[Sequence[str]], profile: Profile, width: int, line: int | None = None
) -> list[Field]:
    """Return the columns of a table. rows: the cells of each header row. width: the number of columns in
    the data; it is used if there is no header, or if the header is aligned to the right. line: the line
    number of the first header row.

    The name of a column consists of its cells in the header rows with the role "name", joined by spaces. If
    the profile assigns no roles, all header rows have this role, and "|" joins the cells.
    """
    count = max([len(row) for row in rows], default=0)
    count = max(count, len(profile.names)) or width
    if profile.align == "right":
        count = max(count, width)
    if count > profile.max_columns:
        raise Permanent(
            Code.TOO_MANY_COLUMNS, f"{count:,} columns, the limit is {profile.max_columns:,}"
        )
    if len(rows) < header_rows(profile):
        raise Permanent(Code.UNREADABLE, "the file ends within its header", do=SHORT)
    roles = profile.header if isinstance(profile.header, tuple) else ("name",) * len(rows)
    stripped = [[cell.strip() for cell in row] for row in rows]
    cells = aligned(stripped, roles, profile, count, line)
    if profile.header_fill:  # the text of a merged cell is only in the cell's first column
        for row in cells:
            for index in range(1, len(row)):
                row[index] = row[index] or row[index - 1]
    return [_field([row[i] for row in cells], roles, i, profile) for i in range(count)]


def _field(cells: list[str], roles: Sequence[str], index: int, profile: Profile) -> Field:
    def titles_for(role: str) -> list[str]:
        return [c for c, r in zip(cells, roles, strict=True) if r == role]

    named = titles_for("name") or [c for c, r in zip(cells, roles, strict=True) if r != "skip"]
    name = "|".join(named) if isinstance(profile.header, int) else " ".join(filter(None, named))
    if profile.names:
        name = profile.names[index] if index < len(profile.names) else ""
    elif not cells:
        name = f"#{index + 1}"
    unit = " ".join(titles_for("unit")).strip("[]() ")
    return Field(
        name, tuple(cells), " ".join(titles_for("type")), unit, " ".join(titles_for("sensor"))
    )
