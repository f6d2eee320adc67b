"""Containers: gzip, bzip2, xz, zstd and zip. They are recognized by their first bytes, not by the file
name.

The decompressed bytes are counted while they are read, as a protection against decompression bombs. A
container within a container is not opened.
"""

from __future__ import annotations

import bz2
import fnmatch
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from typing import BinaryIO, cast

import pyarrow as pa
from isal import igzip, igzip_lib

from sensorflow.core.containers import kind_of
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent

BLOCK = 1 << 20
GRACE = 64 << 20
"""The ratio of decompressed to compressed size is not checked below this decompressed size in bytes,
because small files with equal rows compress well."""

BROKEN: tuple[type[BaseException], ...] = (
    EOFError,
    igzip.BadGzipFile,
    cast(type[Exception], igzip_lib.IsalError),
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    OSError,
    RuntimeError,
    NotImplementedError,
    pa.ArrowException,
)


class Bounded(io.RawIOBase):
    """A stream of the decompressed bytes of a container. It enforces the limits, and converts errors to
    Permanent. packed: the compressed size in bytes. archive: whether the container may contain a tar
    archive."""

    def __init__(
        self, plain: BinaryIO, kind: str, packed: int, profile: Profile, archive: bool = False
    ) -> None:
        self._plain, self._kind, self._packed, self._profile = plain, kind, packed, profile
        self._archive = archive
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            data = self._plain.read(len(buffer))
        except MemoryError:
            raise
        except BROKEN as error:
            raise Permanent(
                Code.UNREADABLE, f"the {self._kind} is broken: {error}", byte_offset=self._count
            ) from error
        if self._count == 0 and kind_of(data) is not None:
            raise Permanent(
                Code.ARCHIVE,
                f"the {self._kind} contains a {kind_of(data)}: nested compression is not supported",
                do="unpack it, then drop the files in it",
            )
        if data[257:262] == b"ustar" and self._count == 0 and not self._archive:
            what = f"the {self._kind} contains a tar archive"
            do = "set unpack = true for the source, or drop the files that it contains"
            raise Permanent(Code.ARCHIVE, what, do=do)
        self._count += len(data)
        self._check()
        buffer[: len(data)] = data
        return len(data)

    def _check(self) -> None:
        limit = self._profile.max_decompressed
        if self._count > limit:
            raise Permanent(Code.TOO_LARGE, f"decompressed, the file has more than {limit:,} bytes")
        ratio = self._profile.max_ratio
        if self._count > GRACE and self._count > self._packed * ratio:
            raise Permanent(
                Code.TOO_LARGE,
                f"the file expands to over {ratio:,} times its size: maybe a decompression bomb",
                do=RATIO,
            )


RATIO = "if the file is valid, raise max_ratio, then replay"


def decompressed(
    stream: BinaryIO, profile: Profile, scratch: Callable[[], BinaryIO] | None = None
) -> BinaryIO:
    """Return a stream of the decompressed bytes of `stream`, which is seekable.

    scratch: for a format that needs to seek, creates an empty file for the decompressed bytes; otherwise
    None.
    """
    head = stream.read(8)
    packed = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    kind = kind_of(head)
    if kind is None or (kind == "zip" and profile.format == "xlsx"):
        return stream
    raw = Bounded(unpacked(stream, kind, profile), kind, packed, profile)
    plain = io.BufferedReader(raw, BLOCK)
    if scratch is None:
        return plain
    copy = scratch()
    while block := plain.read(BLOCK):
        copy.write(block)
    copy.seek(0)
    return copy


def unpacked(stream: BinaryIO, kind: str, profile: Profile) -> BinaryIO:
    """Return a stream of the decompressed bytes of a container. It does not enforce limits. kind: the
    kind of container."""
    if kind == "gzip":
        return cast(BinaryIO, igzip.IGzipFile(fileobj=stream, mode="rb"))
    if kind == "bzip2":
        return cast(BinaryIO, bz2.BZ2File(stream, "rb"))
    if kind == "xz":
        return cast(BinaryIO, lzma.LZMAFile(stream, "rb"))
    if kind == "zstd":
        return cast(BinaryIO, pa.CompressedInputStream(_BorrowedStream(stream), "zstd"))
    return _member(stream, profile)


class _BorrowedStream(io.RawIOBase):
    """A stream whose `close` has no effect, because pyarrow closes every stream that it reads."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(size)


def _member(stream: BinaryIO, profile: Profile) -> BinaryIO:
    """Return a stream of the member that the profile selects in a zip archive. Raises Permanent unless
    the profile selects exactly one member."""
    try:
        archive = zipfile.ZipFile(stream)
        files = [info for info in archive.infolist() if not info.is_dir()]
        found = [i for i in files if fnmatch.fnmatchcase(i.filename, profile.member)]
        if len(found) != 1:
            names = ", ".join(repr(i.filename) for i in files)[:300]
            raise Permanent(
                Code.ARCHIVE,
                f"member = {profile.member!r} must match exactly one file of the archive, but matches "
                f"{len(found)}; the archive contains {names or 'no files'}",
                do="set member in the profile to one file name, or, to load all files, set unpack = true "
                "for the source",
            )
        return cast(BinaryIO, archive.open(found[0]))
    except BROKEN as error:
        raise Permanent(Code.UNREADABLE, f"the zip is broken: {error}") from error
