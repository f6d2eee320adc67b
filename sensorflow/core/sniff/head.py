"""Reads the beginning of a file. Detects its container, whether it is text, and its encoding."""

from __future__ import annotations

import codecs
import glob
import io
import re
import zipfile
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from sensorflow.core.containers import kind_of
from sensorflow.core.formats.compression import decompressed
from sensorflow.core.formats.encoding import MARKS
from sensorflow.core.formats.workbook import OLE
from sensorflow.core.profile import Profile
from sensorflow.core.sniff.guess import Line
from sensorflow.errors import UsageError

LIMIT = 1 << 20
"""A proposal is based on at most this number of decompressed bytes at the beginning of the file."""

PROBE = Profile.model_validate(
    {"format": "csv", "time": "#1", "sensor": {"constant": "-"}, "each": "."}
)
"""A profile that is used to read a file before a profile is proposed."""

_ODS = b"application/vnd.oasis.opendocument.spreadsheet"
_BINARY = {
    b"\x89HDF": "an HDF5 or NetCDF file: export it as CSV or Parquet",
    b"CDF": "a NetCDF file: export it as CSV or Parquet",
    b"SQLite format": "an SQLite database: export its table as CSV",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"7z\xbc\xaf": "a 7z archive: unpack it first",
    b"Rar!": "a RAR archive: unpack it first",
    b"TOB": "a Campbell binary table: convert it to TOA5 first",
    b"Obj\x01": "an Avro file: export it as CSV or Parquet",
    b"ARROW1": "an Arrow file: export it as Parquet",
}


@dataclass(frozen=True)
class Head:
    """The beginning of a file. raw: the first decompressed bytes, at most `LIMIT`. complete: whether `raw`
    is the whole file. settings: profile keys that are needed to read the file, such as the `member` of a
    zip archive."""

    raw: bytes
    complete: bool
    settings: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Text:
    """The beginning of a text file. Lines end with newlines, without carriage returns. complete: whether
    the text is the whole file. Otherwise the text ends with its last newline, if it contains a newline.
    settings: profile keys that are needed to read the file."""

    text: str
    complete: bool
    settings: tuple[Line, ...] = ()


def opened(stream: BinaryIO) -> Head:
    """Return the decompressed beginning of a file. Raises UsageError if the file is empty, and Permanent
    if its container is broken."""
    magic = stream.read(8)
    stream.seek(0)
    settings: tuple[Line, ...] = ()
    probe = PROBE
    if kind_of(magic) == "zip":
        member, settings = _member(stream)
        probe = PROBE.model_copy(update={"member": member})
    plain = decompressed(stream, probe)
    raw = b""
    while len(raw) <= LIMIT and (more := plain.read(LIMIT + 1 - len(raw))):
        raw += more
    if not raw.strip():
        raise UsageError("the file is empty")
    return Head(raw[:LIMIT], len(raw) <= LIMIT, settings)


def workbook(stream: BinaryIO) -> str:
    """Return the format of a spreadsheet file, or "" for any other file."""
    magic = stream.read(8)
    stream.seek(0)
    if magic == OLE:
        return "xls"
    if kind_of(magic) != "zip":
        return ""
    try:
        with zipfile.ZipFile(stream) as archive:
            names = archive.namelist()
            if "xl/workbook.bin" in names:
                return "xlsb"
            if "xl/workbook.xml" in names:
                return "xlsm" if "xl/vbaProject.bin" in names else "xlsx"
            kind = archive.read("mimetype")[:100] if "mimetype" in names[:1] else b""
            return "ods" if kind.startswith(_ODS) else ""
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError, zlib.error):
        return ""
    finally:
        stream.seek(0)


def _member(stream: BinaryIO) -> tuple[str, tuple[Line, ...]]:
    """Select the file in a zip archive that most likely contains the data. Returns (pattern that matches
    this file, lines for the profile key `member`). There are no lines if the archive contains only this
    file."""
    try:
        with zipfile.ZipFile(stream) as archive:
            files = [info for info in archive.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, OSError) as error:
        raise UsageError(f"the zip is broken: {error}") from error
    finally:
        stream.seek(0)
    if len(files) == 1:
        return "*", ()
    real = [f for f in files if not re.search(r"(^|/)(__MACOSX|\.)", f.filename)]
    tables = [f for f in real if re.search(r"(?i)\.(csv|txt|dat|tsv|jsonl?)$", f.filename)] or real
    if not tables:
        raise UsageError("the zip contains no file")
    best = max(tables, key=lambda f: f.file_size)
    member = glob.escape(best.filename)
    reason = f"one of {len(files)} files in the archive" + (
        ": the largest" if len(tables) > 1 else ""
    )
    return member, (Line("member", member, reason),)


def decoded(head: Head) -> Text:
    """Decode the beginning of a text file. Raises UsageError if the bytes are not text."""
    for magic, what in _BINARY.items():
        if head.raw.startswith(magic):
            raise UsageError(f"the file is {what}")
    encoding, reason = encoding_of(head.raw)
    text = head.raw.decode(encoding, "replace").removeprefix("\ufeff")
    text = text.replace("\r\n", "\n")
    if "\n" not in text:
        text = text.replace("\r", "\n")
    if not head.complete and "\n" in text:
        text = text[: text.rindex("\n") + 1]
    unprintable = sum(not c.isprintable() and c not in "\n\r\t\f" for c in text[:65536])
    if unprintable > 0.02 * min(len(text), 65536):
        raise UsageError("the file is neither text nor a binary format that sensorflow reads")
    marked = any(head.raw.startswith(mark) for mark, _ in MARKS)
    settings = head.settings
    if encoding != "utf-8" and not marked:
        settings = (*settings, Line("encoding", encoding, reason))
    return Text(text, head.complete, settings)


def encoding_of(raw: bytes) -> tuple[str, str]:
    """Return (encoding, reason). A byte-order mark identifies the encoding. If there is no mark, bytes
    that are valid UTF-8 are almost certainly UTF-8. For other bytes, the most likely encoding is
    returned."""
    for mark, bom_encoding in MARKS:
        if raw.startswith(mark):
            return bom_encoding, "according to the byte-order mark"
    if raw.count(b"\0") > len(raw) // 5:
        little = raw[1::2].count(b"\0") > raw[::2].count(b"\0")
        return ("utf-16-le" if little else "utf-16-be"), "every second byte is zero"
    if _decodes(raw, "utf-8"):
        return "utf-8", ""
    # 0xF8 and 0xA1 are the degree signs of DOS and of classic Mac OS
    for encoding, degree in (("cp437", b"\xf8"), ("mac_roman", b"\xa1")):
        if re.search(b'[ (\\[,;"]' + degree + b"[CF]\\b", raw):
            return encoding, "not UTF-8; the file's degree sign is that of this encoding"
    if _decodes(raw, "cp1252"):
        return "cp1252", "not UTF-8: a guess, check that the names are right"
    if _decodes(raw, "cp932"):
        return "cp932", "neither UTF-8 nor cp1252: a guess, check that the names are right"
    return "latin-1", "not UTF-8: a guess, check that the names are right"


def _decodes(raw: bytes, encoding: str) -> bool:
    """Return whether all bytes can be decoded. The last character may be cut off."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    try:
        decoder.decode(io.BytesIO(raw).getvalue(), final=False)
    except UnicodeDecodeError:
        return False
    return True
