"""Aligns several header rows: assigns each cell of each row to a column."""

from __future__ import annotations

from collections.abc import Sequence

from sensorflow.core.profile import Profile
from sensorflow.core.profile.text_source import TEMPLATE, TextSource
from sensorflow.errors import Code, Permanent

UNEQUAL = (
    'in the profile, set align = "left" if the shorter row lacks cells at its end, or "right" if it lacks '
    'cells at its beginning; or give a row that is not needed the role "skip" in header; or correct '
    "delimiter, skip or skip_until; then replay"
)


def aligned(
    rows: Sequence[Sequence[str]],
    roles: Sequence[str],
    profile: Profile,
    width: int,
    line: int | None = None,
) -> list[list[str]]:
    """Return the cells of each header row, one cell for each of `width` columns.

    line: the line number of the first header row. Raises Permanent HEADER_ROWS if the rows of a delimited
    table have different widths and the profile does not define how to align them. Different numbers of
    empty cells at the end of the rows are not an error.
    """
    if profile.align == "right" and _delimited(profile):
        return [[*[""] * (width - len(row)), *row] for row in rows]
    if profile.align is None and _delimited(profile):
        rows = _equal(rows, roles, profile, line)
    return [[*row, *[""] * (width - len(row))] for row in rows]


def _delimited(profile: Profile) -> bool:
    """Return whether the table is delimited. In a delimited table, only the order of the cells in a row
    shows their columns. In sheets and in tables with fixed column widths, the position of each cell shows
    its column."""
    return profile.format == "csv" and not profile.widths


def _equal(
    rows: Sequence[Sequence[str]], roles: Sequence[str], profile: Profile, line: int | None
) -> list[Sequence[str]]:
    """Return the header rows. A row that the profile does not use is returned without cells if its width
    does not match that of the other rows. Raises Permanent HEADER_ROWS if the rows that the profile uses
    have different widths."""
    names = len(profile.names)
    counted = [_counted(index, role, profile) for index, role in enumerate(roles)]
    spans = [_span(row) for row in rows]
    used = [span for span, counts in zip(spans, counted, strict=True) if counts]
    if names and used:
        used.append((names, names))
    low, high = max((a for a, _ in used), default=0), min((b for _, b in used), default=1 << 60)
    if low > high:
        raise Permanent(
            Code.HEADER_ROWS,
            f"the header rows have different widths: {_widths(rows, counted, names, line)}",
            line=line,
            do=UNEQUAL,
        )
    fits = [
        counts or max(low, a) <= min(high, b) for (a, b), counts in zip(spans, counted, strict=True)
    ]
    return [row if fit else [] for row, fit in zip(rows, fits, strict=True)]


def _span(row: Sequence[str]) -> tuple[int, int]:
    """Return the minimum and maximum number of columns of a row. They differ if cells at the end of the
    row are empty, because such cells may or may not be columns."""
    filled = [index for index, cell in enumerate(row) if cell.strip()]
    return (filled[-1] + 1 if filled else 0), len(row)


def _counted(index: int, role: str, profile: Profile) -> bool:
    """Return whether the profile uses a header row. The cells of such a row must be assigned to columns."""
    if f"row{index + 1}" in _named(profile):
        return True
    return role != "skip" and not (profile.names and role == "name")


def _named(profile: Profile) -> set[str]:
    """Return all names in braces in the templates of the profile."""
    texts = [t for e in profile.each for t in (e.type, e.unit, e.sensor) if t]
    origins: list[TextSource | None] = [profile.sensor, profile.type, profile.unit]
    origins += [*profile.captures.values(), *(profile.time.parts if profile.time else ())]
    texts += [origin.template for origin in origins if origin is not None and origin.template]
    return {name for text in texts for name in TEMPLATE.findall(text)}


def _widths(
    rows: Sequence[Sequence[str]], counted: Sequence[bool], names: int, line: int | None
) -> str:
    where = "row" if line is None else "line"
    found = [
        f"{where} {(line or 1) + i} has {len(row)} cell{'s' if len(row) != 1 else ''}"
        for i, row in enumerate(rows)
        if counted[i]
    ]
    return ", ".join([*found, *([f"names has {names} entries"] if names else [])])
