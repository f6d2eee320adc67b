"""File formats: each module converts the bytes of a file to chunks of rows, in the file's order.

A format is a function ``chunks(stream, profile, resolve) -> Iterator[Chunk]``. `stream` is binary. It is
seekable for formats in `SEEKING`. `resolve` returns the binding of the columns. Formats in `growth.FORMATS`
also accept `part`, a part of a growing file. The stream then ends where the part ends, and only the rows of
the part are returned.

To add a format, add its module here and its name to `profile.formats.FORMATS`. The conformance suites then
test it. Other packages register their formats with `profile.formats.register_external_formats`.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Iterator
from typing import BinaryIO

from sensorflow.core.binding.resolve import Resolve
from sensorflow.core.formats import likeness
from sensorflow.core.formats.chunk import Chunk
from sensorflow.core.formats.compression import decompressed
from sensorflow.core.growth import Part
from sensorflow.core.profile import Profile
from sensorflow.core.profile.formats import FORMATS, Reader, external_formats
from sensorflow.errors import DO, Code, Permanent

FREE_ROWS = 1_000_000
"""The ratio of rows to bytes is not checked below this number of rows, because small files with equal rows
compress well."""
SEEKING = frozenset({"parquet", "xlsx", "json", "senml", "xml"})
FOREIGN = frozenset(
    {Code.UNREADABLE, Code.ARCHIVE, Code.COLUMN_MISSING, Code.LINE_TOO_LONG, Code.EMPTY}
)
"""Codes of errors that may occur because the file has another format than the profile says."""
VALID = "to accept files without rows, set allow_empty = true"
SKIPPED = (
    "if the file has rows, correct skip, header, comment, keep or drop in the profile, then replay; if it "
    f"has only a header, check the logger and drop the file again when it has rows; {VALID}"
)
NOTHING = (
    "if the file has readings, correct format in the profile, or let `sensorflow sniff` propose one, then "
    f"replay; if it has none, check the logger and drop the file again when it has some; {VALID}"
)


def chunks(
    stream: BinaryIO,
    profile: Profile,
    resolve: Resolve,
    scratch: Callable[[], BinaryIO],
    part: Part | None = None,
) -> Iterator[Chunk]:
    """Yield the chunks of a file, which may be compressed. `stream` is seekable. Memory use does not depend
    on the file's size, because only one block is in memory at a time.

    scratch: creates an empty temporary file. It is used for compressed files of a format that needs to
    seek. part: a part of a growing file, which may contain no rows. Growing files are never compressed.
    Raises Permanent with a code F2xx if the whole file cannot be read.
    """
    try:
        yield from _chunks(stream, profile, resolve, scratch, part)
    except Permanent as error:
        if part is None and error.code in FOREIGN and not stream.closed:
            stream.seek(0)
            if do := likeness.advice(stream.read(likeness.HEAD), profile.format, profile.encoding):
                error.place[DO] = do
        raise


def _chunks(
    stream: BinaryIO,
    profile: Profile,
    resolve: Resolve,
    scratch: Callable[[], BinaryIO],
    part: Part | None,
) -> Iterator[Chunk]:
    if part is not None:
        yield from _reader(profile.format)(stream, profile, resolve, part)
        return
    seeking = scratch if profile.format in SEEKING else None
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    plain = decompressed(stream, profile, seeking)
    rows = 0
    for chunk in _reader(profile.format)(plain, profile, resolve):
        rows += chunk.rows
        if profile.max_rows is not None and rows > profile.max_rows:
            do = "if the file is valid, raise max_rows, then replay"
            raise Permanent(Code.TOO_MANY_ROWS, f"more than {profile.max_rows:,} rows", do=do)
        if rows > FREE_ROWS and plain is stream and rows > size * profile.max_rows_per_byte:
            what = f"the file has more than {profile.max_rows_per_byte:g} rows per byte ({size:,} bytes)"
            do = "if the file is valid, raise max_rows_per_byte, then replay"
            raise Permanent(Code.TOO_MANY_ROWS, f"{what}: maybe a decompression bomb", do=do)
        yield chunk
    if rows == 0 and not profile.allow_empty:
        do = SKIPPED if profile.format in ("csv", "xlsx") else NOTHING
        raise Permanent(Code.EMPTY, "the file contains no rows", do=do if size else None)


def _reader(name: str) -> Reader:
    """Return the reader of a format. The reader's module is imported on demand, because some of these
    modules import slowly."""
    if name not in FORMATS:
        return external_formats().reader(name)
    found: Reader = importlib.import_module(f"{__name__}.{name}").chunks
    return found
