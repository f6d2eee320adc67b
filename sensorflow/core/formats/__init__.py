"""File formats: bytes -> chunks of rows as they stand in the file. One file a format.

A format is a function ``chunks(stream, profile, resolve) -> Iterator[Chunk]``. `stream` is binary, and
can seek for formats in `SEEKING`; `resolve` tells which column is what. Those in `growth.FORMATS` also take
`part`: the stream is a growing file up to the end of that part, and the chunks are those of the part. Add
one here and in
`profile.formats.FORMATS`, and the suites run it; other packages bring theirs, which are handed in
(`profile.formats.bring`).
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
from sensorflow.core.profile.formats import FORMATS, Reader, others
from sensorflow.errors import DO, Code, Permanent

FREE_ROWS = 1_000_000
"""Rows up to which it does not matter how few bytes they take: small files of equal rows shrink well."""
SEEKING = frozenset({"parquet", "xlsx", "json", "senml", "xml"})
FOREIGN = frozenset(
    {Code.UNREADABLE, Code.ARCHIVE, Code.COLUMN_MISSING, Code.LINE_TOO_LONG, Code.EMPTY}
)
"""Codes that also a file of quite another format gives."""
VALID = "allow_empty = true takes such files for valid"
SKIPPED = (
    "if the file has rows, correct skip, header, comment, keep or drop in the profile, then replay; if it "
    f"has a header alone, check the logger and drop the file again when it has rows; {VALID}"
)
NOTHING = (
    "if the file has readings, correct format in the profile, or let `sensorflow sniff` propose one, then "
    f"replay; if it has none, check the logger and drop the file again when it has; {VALID}"
)


def chunks(
    stream: BinaryIO,
    profile: Profile,
    resolve: Resolve,
    scratch: Callable[[], BinaryIO],
    part: Part | None = None,
) -> Iterator[Chunk]:
    """Read a file, compressed or not; `stream` can seek. Memory is bounded by a block, whatever the
    file's size.

    scratch: makes an empty temporary file, for compressed files of a format that seeks. part: of a
    growing file, which is not compressed; it may hold no rows.
    Raises Permanent with a code F2xx when the file as a whole cannot be read.
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
            do = "raise max_rows if the file is honest, then replay"
            raise Permanent(Code.TOO_MANY_ROWS, f"more than {profile.max_rows:,} rows", do=do)
        if rows > FREE_ROWS and plain is stream and rows > size * profile.max_rows_per_byte:
            what = f"more than {profile.max_rows_per_byte:g} rows for each of its {size:,} bytes"
            do = "raise max_rows_per_byte if the file is honest, then replay"
            raise Permanent(Code.TOO_MANY_ROWS, f"{what}: possibly a decompression bomb", do=do)
        yield chunk
    if rows == 0 and not profile.allow_empty:
        do = SKIPPED if profile.format in ("csv", "xlsx") else NOTHING
        raise Permanent(Code.EMPTY, "the file has no rows", do=do if size else None)


def _reader(name: str) -> Reader:
    """A reader is loaded when it is needed: some take as long as all the others."""
    if name not in FORMATS:
        return others().reader(name)
    found: Reader = importlib.import_module(f"{__name__}.{name}").chunks
    return found
