"""Exported tables as lines of text: CSV and JSON lines, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.output import cells

SPECIAL = frozenset('",\r\n')
_NOT_FINITE = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}

Encode = Callable[[str], str]


def csv_cell(text: str) -> str:
    """Return a cell of a CSV file (RFC 4180). An empty string is quoted, because an empty cell is NULL."""
    if text and SPECIAL.isdisjoint(text):
        return text
    return '"' + text.replace('"', '""') + '"'


def csv_head(schema: pa.Schema, encode: Encode = csv_cell) -> bytes:
    return (",".join(map(encode, schema.names)) + "\n").encode()


def csv(batch: pa.RecordBatch, encode: Encode = csv_cell) -> pa.Buffer:
    """Return the rows of a batch as lines of CSV. encode: makes a cell of a string."""
    columns = [_text(column, encode).fill_null("") for column in batch.columns]
    columns[-1] = pc.binary_join_element_wise(columns[-1], "", "\n")
    return _bytes(pc.binary_join_element_wise(*columns, ","))


def json(batch: pa.RecordBatch, encode: Encode) -> pa.Buffer:
    """Return the rows of a batch as lines with one JSON object each. encode: makes a JSON string of a
    string.

    JSON has no infinite numbers. They are strings, as PostgreSQL's to_json makes them: "NaN", "Infinity"
    and "-Infinity".
    """
    parts: list[object] = []
    opening = "{"
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        parts += [f"{opening}{encode(name)}:", _json(column, encode)]
        opening = ","
    return _bytes(pc.binary_join_element_wise(*parts, "}\n", ""))


def _json(column: pa.Array, encode: Encode) -> pa.Array:
    text = _text(column, encode)
    if pa.types.is_timestamp(column.type):
        text = pc.binary_join_element_wise('"', text, '"', "")
    elif pa.types.is_floating(column.type):
        finite = pc.is_finite(column).fill_null(True)
        if not pc.all(finite).as_py():
            text = pc.if_else(
                finite,
                text,
                cells.strings(text.fill_null("nan"), lambda text: _NOT_FINITE.get(text, text)),
            )
    return text.fill_null("null")


def _text(column: pa.Array, encode: Encode) -> pa.Array:
    if pa.types.is_timestamp(column.type):
        return cells.times(column)
    if pa.types.is_string(column.type):
        return cells.strings(column, encode)
    return cells.numbers(column)


def _bytes(lines: pa.Array) -> pa.Buffer:
    """Return the concatenated strings of an array that has no nulls."""
    if not len(lines):
        return pa.py_buffer(b"")
    size = int.from_bytes(lines.buffers()[1].slice(4 * len(lines), 4).to_pybytes(), "little")
    return lines.buffers()[2].slice(0, size)
