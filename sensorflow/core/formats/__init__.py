"""File formats: bytes -> chunks of rows as they stand in the file. One file a format.

A format is a function ``chunks(stream, profile) -> Iterator[Chunk]``. `stream` is binary, seekable
only for formats in `SEEKING`. Add one here and in `profile.Format`, and the conformance suite runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from sensorflow.core.formats import csv, jsonl, parquet
from sensorflow.core.formats.chunk import Chunk
from sensorflow.core.formats.compression import decompressed
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent

READERS: dict[str, Callable[[BinaryIO, Profile], Iterator[Chunk]]] = {
    "csv": csv.chunks,
    "jsonl": jsonl.chunks,
    "parquet": parquet.chunks,
}
SEEKING = frozenset({"parquet"})


def chunks(stream: BinaryIO, profile: Profile, scratch: Callable[[], BinaryIO]) -> Iterator[Chunk]:
    """Read a file, gzip or not. Memory is bounded by a block, whatever the file's size.

    scratch: makes an empty temporary file, for compressed files of a format that seeks.
    Raises Permanent: EMPTY, COLUMN_MISSING, UNREADABLE, LINE_TOO_LONG, TOO_LARGE.
    """
    seeking = scratch if profile.format in SEEKING else None
    plain = decompressed(stream, profile.max_decompressed, seeking)
    seen = False
    for chunk in READERS[profile.format](plain, profile):
        seen = True
        yield chunk
    if not seen:
        raise Permanent(Code.EMPTY, "the file holds no rows at all")
