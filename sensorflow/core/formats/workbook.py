"""Reads spreadsheets with calamine: Office Open XML (.xlsx, .xlsm), Excel 97 (.xls), .xlsb and OpenDocument
(.ods).

calamine loads a whole sheet into memory, as the bounding rectangle of its cells. Therefore sheets of Office
Open XML are read in slices (see `ooxml`), and other types of spreadsheets have a limit on the size of the
file.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import python_calamine as calamine

from sensorflow.core.formats import biff, ooxml, opendocument
from sensorflow.core.formats.compression import RATIO
from sensorflow.core.formats.sheetcells import Row, chosen, numbered
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent

MAX_BYTES = 64 << 20
"""Maximum size in bytes, packed and unpacked, of a spreadsheet that is loaded as a whole."""
AREA = 16_000_000
"""Maximum number of cells in the bounding rectangles of all tables of such a spreadsheet."""
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


@contextmanager
def _clear() -> Iterator[None]:
    """Convert every exception of a spreadsheet reader to a Permanent error."""
    try:
        yield
    except calamine.PasswordError as error:
        do = "save the spreadsheet without a password, then drop it again"
        raise Permanent(Code.UNREADABLE, "the spreadsheet is encrypted", do=do) from error
    except (Permanent, MemoryError):
        raise
    except Exception as error:
        found = " ".join(str(error).split())[:300]
        raise Permanent(Code.UNREADABLE, f"not a spreadsheet: {found}") from error


def size_of(stream: BinaryIO, profile: Profile) -> int:
    """Return the decompressed size of the spreadsheet in bytes. Raises Permanent if it exceeds a limit,
    or if the file is not a spreadsheet."""
    with _clear():
        return stream.seek(0, io.SEEK_END) if _is_ole(stream) else _check_archive(stream, profile)


def _is_ole(stream: BinaryIO) -> bool:
    """Return whether the file is an OLE compound file. Such a file is an Excel 97 file or an encrypted
    spreadsheet."""
    stream.seek(0)
    return stream.read(8) == OLE


def rows(stream: BinaryIO, profile: Profile) -> Iterator[Row]:
    """Yield the rows of the sheet that the profile selects. Rows without any cell may be omitted.

    stream: seekable; `size_of` must have accepted the file. Raises Permanent if the sheet cannot be read.
    """
    with _clear():
        if not _is_ole(stream):
            with zipfile.ZipFile(stream) as archive:
                if ooxml.is_package(archive):
                    yield from ooxml.rows(archive, profile)
                    return
        with _opened_workbook(stream) as book:
            sheet = book.get_sheet_by_name(chosen(book.sheet_names, profile))
            if sheet.start is not None:
                for number, cells in numbered(sheet, sheet.start[0] + 1):
                    yield number, [float(cell) if type(cell) is int else cell for cell in cells]


def names(stream: BinaryIO) -> list[str]:
    """Return the names of the sheets, in the order of the workbook. stream: as for `rows`. Raises
    Permanent if the workbook cannot be read."""
    with _clear():
        if not _is_ole(stream):
            with zipfile.ZipFile(stream) as archive:
                if ooxml.is_package(archive):
                    return ooxml.names(archive)
        with _opened_workbook(stream) as book:
            return list(book.sheet_names)


@contextmanager
def _opened_workbook(stream: BinaryIO) -> Iterator[calamine.CalamineWorkbook]:
    """Open a spreadsheet with calamine, which loads the whole file. Before that, check the size of the
    file and the number of cells."""
    _check_size(stream.seek(0, io.SEEK_END))
    if _is_ole(stream):
        stream.seek(0)
        _check_area(biff.area_of_book(stream))
    else:
        with zipfile.ZipFile(stream) as archive:
            _check_size(sum(info.file_size for info in archive.infolist()))
            _check_area(opendocument.area(archive) + biff.area_of_parts(archive))
    stream.seek(0)
    with calamine.CalamineWorkbook.from_filelike(stream) as book:
        yield book


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        what = f"a spreadsheet of this type must fit in memory: {size:,} bytes, the limit is {MAX_BYTES:,}"
        raise Permanent(
            Code.TOO_LARGE, what, do="save the file as .xlsx or CSV, which need not fit in memory"
        )


def _check_area(cells: int) -> None:
    if cells > AREA:
        what = f"{cells:,} cells, including empty ones; the limit is {AREA:,}"
        raise Permanent(
            Code.TOO_MANY_CELLS,
            what,
            do="save the file as CSV, or as .xlsx, in which only max_cells limits the number of cells",
        )


def _check_archive(stream: BinaryIO, profile: Profile) -> int:
    """Return the decompressed size of the spreadsheet in bytes. Raises Permanent if it exceeds a limit."""
    with zipfile.ZipFile(stream) as archive:
        infos = archive.infolist()
    size = sum(info.file_size for info in infos)
    packed = sum(info.compress_size for info in infos)
    if size > profile.max_decompressed:
        raise Permanent(Code.TOO_LARGE, f"decompressed, the spreadsheet has {size:,} bytes")
    if size > MAX_BYTES and size > packed * profile.max_ratio:
        what = f"decompressed, the spreadsheet has {size:,} bytes: maybe a decompression bomb"
        raise Permanent(Code.TOO_LARGE, what, do=RATIO)
    return size
