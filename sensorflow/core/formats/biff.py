"""Measures the size of spreadsheets in Excel's binary formats, before a library loads them into memory.

The records are defined in [MS-XLS] 2.1.4 and [MS-XLSB] 2.1.4.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

import olefile

CELLS = frozenset({0x0006, 0x0201, 0x0203, 0x0204, 0x0205, 0x0206, 0x0406, 0x027E, 0x00D6, 0x00FD})
SEVERAL = frozenset({0x00BD, 0x00BE})
"""Records that contain several adjacent cells of a row."""
BEGIN = frozenset({0x0009, 0x0209, 0x0409, 0x0809})
ROW, LAST_CELL = 0, 11


def area_of_book(stream: BinaryIO) -> int:
    """Return the number of cells in an .xls file: the sum of the bounding rectangles of all sheets.
    Returns 0 for an encrypted file."""
    with olefile.OleFileIO(stream) as file:
        name = next((n for n in ("Workbook", "Book") if file.exists(n)), None)
        data = file.openstream(name).read() if name else b""
    total = height = width = at = 0
    while at + 4 <= len(data):
        kind, size = struct.unpack_from("<HH", data, at)
        if kind in BEGIN:
            total, height, width = total + height * width, 0, 0
        elif (kind in CELLS or kind in SEVERAL) and size >= 4 and at + 4 + size <= len(data):
            row, column = struct.unpack_from("<HH", data, at + 4)
            if kind in SEVERAL:
                (column,) = struct.unpack_from("<H", data, at + 2 + size)
            height, width = max(height, row + 1), max(width, column + 1)
        at += 4 + size
    return total + height * width


def area_of_parts(archive: zipfile.ZipFile) -> int:
    """Return the number of cells in an .xlsb file: the sum of the bounding rectangles of all sheets."""
    names = archive.namelist()
    sheets = [n for n in names if n.lower().startswith("xl/worksheets/") and n.endswith(".bin")]
    total = 0
    for name in sheets:
        height = width = 0
        for kind, number in _records(archive.read(name)):
            if kind == ROW:
                height = max(height, number + 1)
            else:
                width = max(width, number + 1)
        total += height * width
    return total


def _records(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield (kind, number) for each record that begins a row or contains a cell. number: the first
    number in the record, which is the row's or the column's number from 0."""
    at = 0
    while at < len(data):
        kind, at = _varied(data, at, 2)
        size, at = _varied(data, at, 4)
        if kind <= LAST_CELL and at + 4 <= len(data):
            yield kind, int.from_bytes(data[at : at + 4], "little")
        at += size


def _varied(data: bytes, at: int, limit: int) -> tuple[int, int]:
    """Return a number of variable length, and the offset after it. The number has seven bits per byte,
    in at most `limit` bytes."""
    number = 0
    for i in range(limit):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            break
    return number, at
