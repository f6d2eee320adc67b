"""Reads rows of raw_readings by binary COPY into Arrow batches.

Binary COPY preserves every bit of a value and every possible time. The columns of fixed width come first
in a row. Each of them therefore has a constant offset in the row, so that it can be extracted from all rows
at once. The PostgreSQL documentation describes the format ("COPY", section "Binary Format"). The server
sends one row per message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
import pyarrow as pa
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn

from sensorflow.core.readings import READING, US

ROWS = 65_536

_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_FIXED = {  # name -> (offset in the row, type); a 4-byte length precedes each field
    "file_id": (6, ">i8"),
    "line_no": (18, ">i8"),
    "quality": (30, ">i2"),
    "value": (36, ">f8"),
    "ts": (48, ">i8"),
}
_KEY = (60, 76)
_TEXTS = ("sensor_id", "reading_type", "unit")
STATEMENT = (
    f"COPY (SELECT {', '.join((*_FIXED, 'dedupe_key', *_TEXTS))} FROM raw_readings)"
    " TO STDOUT (FORMAT BINARY)"
)
_EPOCH = 946_684_800_000_000  # PostgreSQL counts microseconds from 2000
_FOREVER = (np.iinfo(np.int64).min, np.iinfo(np.int64).max)  # -infinity and infinity

_FAILED = -2  # libpq returns -2 for an error and -1 for the end instead of a length

Bytes = npt.NDArray[np.uint8]


def messages(driver: psycopg.Connection) -> Iterator[Any]:
    """Run `STATEMENT` and yield its COPY messages as bytes. Calls libpq directly, which takes a third of
    the time of psycopg's iterator.

    If the caller stops before the last message, the connection can no longer be used. Raises the errors of
    psycopg.
    """
    connection = driver.pgconn
    begun = connection.exec_(STATEMENT.encode())
    if begun.status != ExecStatus.COPY_OUT:
        raise error_from_result(begun)
    receive = connection.get_copy_data
    while True:
        length, message = receive(0)
        if length <= 0:
            break
        yield message
    _finish(connection, length)


def _finish(connection: PGconn, length: int) -> None:
    if length == _FAILED:
        raise psycopg.OperationalError(connection.get_error_message())
    while (result := connection.get_result()) is not None:
        if result.status == ExecStatus.FATAL_ERROR:
            raise error_from_result(result)


def batches(messages: Iterable[Any]) -> Iterator[pa.RecordBatch]:
    """Convert the messages of one COPY to batches with the schema `READING`, with at most `ROWS` rows
    each. messages: see the function `messages`."""
    stream = iter(messages)
    head = bytes(next(stream, b""))
    if not head.startswith(_SIGNATURE):
        raise AssertionError("not a binary COPY")
    size = len(_SIGNATURE) + 8 + int.from_bytes(head[len(_SIGNATURE) + 4 :][:4], "big")
    first: list[Any] = [head[size:]] if len(head) > size else []
    while block := first + list(islice(stream, ROWS)):
        if len(block[-1]) == 2:  # the trailer: a field count of -1
            block.pop()
        if block:
            yield _batch(block)
        first = []


def _batch(block: list[Any]) -> pa.RecordBatch:
    data = np.frombuffer(b"".join(block), np.uint8)
    ends = np.cumsum(np.fromiter(map(len, block), np.int64, len(block)))
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1]))
    fixed = _at(data, starts, _KEY[1])
    if (fixed[:, 0:2] != (0, 9)).any():
        raise AssertionError("a message of a COPY does not contain exactly one row")
    columns: dict[str, pa.Array] = {
        name: _numbers(fixed, offset, kind) for name, (offset, kind) in _FIXED.items()
    }
    columns["ts"] = columns["ts"].cast(US)
    key = np.ascontiguousarray(fixed[:, _KEY[0] : _KEY[1]])
    columns["dedupe_key"] = pa.Array.from_buffers(
        pa.binary(16), len(block), [None, pa.py_buffer(key)]
    )
    place = starts + _KEY[1]
    for name in _TEXTS:
        columns[name], place = _text(data, place)
    return pa.RecordBatch.from_arrays([columns[n] for n in READING.names], schema=READING)


def _at(data: Bytes, places: npt.NDArray[np.int64], width: int) -> Bytes:
    """Return an array with one row for each offset in `places`: the `width` bytes of `data` at this
    offset."""
    windows = np.lib.stride_tricks.sliding_window_view(data, width)
    return np.ascontiguousarray(windows[places])


def _numbers(fixed: Bytes, offset: int, kind: str) -> pa.Array:
    width = int(kind[2])
    big = np.ascontiguousarray(fixed[:, offset : offset + width]).view(kind).ravel()
    values = big.astype(kind.replace(">", "="))
    return pa.array(since_1970(values) if offset == _FIXED["ts"][0] else values)


def since_1970(micros: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Convert times in PostgreSQL's binary format to microseconds since 1970. Infinite times stay
    unchanged."""
    finite = (micros != _FOREVER[0]) & (micros != _FOREVER[1])
    return np.where(finite, micros + _EPOCH, micros)


def _text(data: Bytes, place: npt.NDArray[np.int64]) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """Return (the strings of one column, the offset after each string). data: the bytes of all rows.
    place: for each row, the offset of the string's length field."""
    lengths = _at(data, place, 4).view(">i4").ravel().astype(np.int64)
    offsets = np.zeros(len(place) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    shift = place + 4 - offsets[:-1]
    gathered = data[np.repeat(shift, lengths) + np.arange(offsets[-1])]
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(gathered)]
    return pa.Array.from_buffers(pa.string(), len(place), buffers), place + 4 + lengths
