"""Tables that are typed by their file: Parquet, and spreadsheets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from sensorflow.core.formats import xlsx
from sensorflow.core.formats.parquet import flat
from sensorflow.core.sniff import dialect, head
from sensorflow.core.sniff.grid import Row, bounds
from sensorflow.core.sniff.guess import Line
from sensorflow.core.sniff.head import Text
from sensorflow.core.sniff.table import Column, Table, references
from sensorflow.errors import Misuse, Permanent

ROWS = 5000
"""Rows of a sheet, or of a Parquet file, that are looked at."""
SHEETS = 10


def parquet(stream: BinaryIO) -> Table:
    try:
        file = pq.ParquetFile(stream)
        batch = next(file.iter_batches(ROWS, use_threads=False), None)
    except (pa.ArrowException, OSError) as error:
        raise Misuse(f"not a Parquet file: {str(error).splitlines()[0]}") from error
    if batch is None or not len(batch):
        raise Misuse("the file holds no rows at all")
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


def workbook(stream: BinaryIO) -> Table:
    """The first sheet that holds a table."""
    problem = Misuse("no sheet holds a table")
    for number in range(1, SHEETS + 1):
        try:
            rows = _rows(stream, number)
        except Permanent as error:
            if number == 1:
                raise Misuse(" ".join(error.message.split())) from error
            break
        table = _sheet(rows) if len(rows) > 1 else None
        if table is None:
            continue
        settings = [Line("format", "xlsx")]
        if number > 1:
            settings.append(Line("sheet", number, "the first sheet that holds a table"))
        kept = [line for line in table.settings if line.key != "delimiter"]
        return Table(
            table.columns, (*settings, *kept), table.preamble, table.sensors, todo=table.todo
        )
    raise problem


def _rows(stream: BinaryIO, number: int) -> list[tuple[int, list[str]]]:
    probe = head.PROBE.model_copy(update={"format": "xlsx", "sheet": number})
    stream.seek(0)
    return [(n, xlsx.texts(cells)) for n, cells in islice(xlsx.sheet_rows(stream, probe), ROWS)]


def _sheet(found: Sequence[tuple[int, list[str]]]) -> Table | None:
    width = max(len(cells) for _, cells in found)
    rows = [
        Row(number - 1, "\t".join(cells), [c.strip() for c in cells] + [""] * (width - len(cells)))
        for number, cells in found
    ]
    grid = bounds(rows, "\t")
    return None if grid is None else dialect.tabled(grid, Text("", len(found) < ROWS))
