"""Spreadsheets by calamine: Office Open XML (.xlsx, .xlsm), Excel 97 (.xls), .xlsb and OpenDocument (.ods).

calamine holds a whole sheet, as a rectangle around its cells. A sheet in XML is therefore given to it in
slices (`ooxml`), so that memory is bounded whatever the sheet's size; the others are bounded by the size of
their file.
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

HELD = 64 << 20
"""Bytes, unpacked, of a spreadsheet that is held in memory whole."""
AREA = 16_000_000
"""Cells of the rectangles around its tables."""
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


@contextmanager
def _clear() -> Iterator[None]:
    """Whatever a spreadsheet does to its readers becomes a Permanent error."""
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
    """Bytes of the spreadsheet when it is unpacked. Permanent if it is too large, or none."""
    with _clear():
        return stream.seek(0, io.SEEK_END) if _is_ole(stream) else _check_archive(stream, profile)


def _is_ole(stream: BinaryIO) -> bool:
    """Whether it is a compound file: Excel 97, or an encrypted spreadsheet of any kind."""
    stream.seek(0)
    return stream.read(8) == OLE


def rows(stream: BinaryIO, profile: Profile) -> Iterator[Row]:
    """The rows of the profile's sheet up to its last; some without any cell may be left out.

    stream: can seek, and is one whose `size_of` raises nothing. Raises Permanent.
    """
    with _clear():
        if not _is_ole(stream):
            with zipfile.ZipFile(stream) as archive:
                if ooxml.is_package(archive):
                    yield from ooxml.rows(archive, profile)
                    return
        with _held(stream) as book:
            sheet = book.get_sheet_by_name(chosen(book.sheet_names, profile))
            if sheet.start is not None:
                for number, cells in numbered(sheet, sheet.start[0] + 1):
                    yield number, [float(cell) if type(cell) is int else cell for cell in cells]


def names(stream: BinaryIO) -> list[str]:
    """Of the sheets, in their order. stream: as for `rows`. Raises Permanent."""
    with _clear():
        if not _is_ole(stream):
            with zipfile.ZipFile(stream) as archive:
                if ooxml.is_package(archive):
                    return ooxml.names(archive)
        with _held(stream) as book:
            return list(book.sheet_names)


@contextmanager
def _held(stream: BinaryIO) -> Iterator[calamine.CalamineWorkbook]:
    """A spreadsheet that calamine holds whole, measured before."""
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
    if size > HELD:
        what = f"a spreadsheet of this kind is held in memory: it has {size:,} bytes, the limit is {HELD:,}"
        raise Permanent(
            Code.TOO_LARGE, what, do="save the file as .xlsx or CSV, which have no size limit"
        )


def _check_area(cells: int) -> None:
    if cells > AREA:
        what = f"{cells:,} cells, empty ones among them; the limit is {AREA:,}"
        raise Permanent(
            Code.TOO_MANY_CELLS, what, do="save the file as .xlsx or CSV, which have no size limit"
        )


def _check_archive(stream: BinaryIO, profile: Profile) -> int:
    """The bytes that the spreadsheet is unpacked."""
    with zipfile.ZipFile(stream) as archive:
        infos = archive.infolist()
    size = sum(info.file_size for info in infos)
    packed = sum(info.compress_size for info in infos)
    if size > profile.max_decompressed:
        raise Permanent(Code.TOO_LARGE, f"decompressed, the spreadsheet has {size:,} bytes")
    if size > HELD and size > packed * profile.max_ratio:
        what = f"the spreadsheet grows to {size:,} bytes: a bomb?"
        raise Permanent(Code.TOO_LARGE, what, do=RATIO)
    return size
