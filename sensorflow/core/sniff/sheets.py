"""Finds tables in files with typed columns: Parquet files and spreadsheets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from sensorflow.core.formats import workbook as book_
from sensorflow.core.formats import xlsx
from sensorflow.core.formats.parquet import flat
from sensorflow.core.sniff import dialect, head, time_columns
from sensorflow.core.sniff.grid import Row, bounds
from sensorflow.core.sniff.guess import Line
from sensorflow.core.sniff.head import Text
from sensorflow.core.sniff.table import Column, Table, references
from sensorflow.errors import Permanent, UsageError

ROWS = 5000
"""Maximum number of rows of a sheet or a Parquet file that are examined."""
MAX_ROWS_OF_FURTHER_SHEET = 200
"""Maximum number of rows of each later sheet that are searched for times."""
SHEETS = 20


def parquet(stream: BinaryIO) -> Table:
    try:
        file = pq.ParquetFile(stream)
        batch = next(file.iter_batches(ROWS, use_threads=False), None)
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"not a Parquet file: {str(error).splitlines()[0]}") from error
    if batch is None or not len(batch):
        raise UsageError("the file contains no rows")
    plain = flat(pa.Table.from_batches([batch]))
    refs = references(plain.column_names)
    columns = [
        Column(i, refs[i], name, _texts(plain.column(i)), instant=_is_time(plain.field(i).type))
        for i, name in enumerate(plain.column_names)
    ]
    return Table(tuple(columns), (Line("format", "parquet"),))


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _texts(column: pa.ChunkedArray) -> list[str]:
    return [_text(value) for value in column.to_pylist()]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return str(value).strip()


def workbook(stream: BinaryIO, kind: str) -> Table:
    """Return the first table of a workbook that contains times. If other sheets contain such tables too,
    a question for the user mentions them. If no table contains times, return the first table. kind: the
    format of the file."""
    try:
        book_.size_of(stream, head.PROBE)
        names = book_.names(stream)
    except Permanent as error:
        raise UsageError(" ".join(error.message.split())) from error
    first: Table | None = None
    best: Table | None = None
    others: list[str] = []
    problem: Permanent | None = None
    for number, name in enumerate(names[:SHEETS], 1):
        try:
            table = _of_sheet(
                stream, number, name, kind, ROWS if best is None else MAX_ROWS_OF_FURTHER_SHEET
            )
        except Permanent as error:
            problem = problem or error
            continue
        if table is None:
            continue
        first = first or table
        if time_columns.find_time_columns(table) is not None:
            others += [name] if best else []
            best = best or table
    found = best or first
    if found is None:
        what = " ".join(problem.message.split()) if problem else "no sheet contains a table"
        raise UsageError(what) from problem
    return replace(found, todo=(*found.todo, *_left_out(others, len(names))))


def _left_out(others: Sequence[str], count: int) -> list[str]:
    messages = []
    if others:
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        messages.append(
            f"the sheets {', '.join(map(repr, others[:5]))}{more} also contain tables with times, which "
            "are ignored, because each sheet needs a separate profile"
        )
    if count > SHEETS:
        messages.append(f"only the first {SHEETS} of {count} sheets were examined")
    return messages


def _of_sheet(stream: BinaryIO, number: int, name: str, kind: str, limit: int) -> Table | None:
    rows = _rows(stream, number, limit)
    table = _sheet(rows, limit) if len(rows) > 1 else None
    if table is None:
        return None
    settings = [Line("format", kind)]
    if number > 1:
        settings.append(
            Line("sheet", number, f"{name!r}, the first sheet with a table that has times")
        )
    kept_settings = [line for line in table.settings if line.key != "delimiter"]
    return Table(
        table.columns, (*settings, *kept_settings), table.preamble, table.sensors, todo=table.todo
    )


def _rows(stream: BinaryIO, number: int, limit: int) -> list[tuple[int, list[str]]]:
    probe = head.PROBE.model_copy(update={"format": "xlsx", "sheet": number})
    stream.seek(0)
    return [(n, xlsx.texts(cells)) for n, cells in islice(xlsx.sheet_rows(stream, probe), limit)]


def _sheet(found: Sequence[tuple[int, list[str]]], limit: int) -> Table | None:
    width = max(len(cells) for _, cells in found)
    rows = [
        Row(number - 1, "\t".join(cells), [c.strip() for c in cells] + [""] * (width - len(cells)))
        for number, cells in found
    ]
    grid = bounds(rows, "\t")
    return None if grid is None else dialect.tabled(grid, Text("", len(found) < limit))
