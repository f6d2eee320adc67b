"""Archives of several members: zip, tar and compressed tar. They are recognized by their first bytes.

An error in one member fails the whole archive. The formats are defined in PKWARE's APPNOTE.TXT, and in
POSIX.1-2017, "pax", sections "ustar Interchange Format" and "pax Interchange Format".
"""

from __future__ import annotations

import bz2
import errno
import fnmatch
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

import pyarrow as pa

from sensorflow.core.containers import kind_of
from sensorflow.core.formats.compression import BLOCK, BROKEN, GRACE, RATIO, Bounded, unpacked
from sensorflow.core.names import canonical
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent

HEAD = 1 << 18
"""Number of bytes that are read to detect an archive. In a compressed archive, they must contain the first
header."""
MAX_MEMBERS = 10_000
"""Maximum number of selected members of one archive."""
LONGEST_NAME, LONGEST_PART = 1024, 255
"""Maximum length in bytes of a member's name, and of each part of the name between slashes. The first is a
limit of the database's index, the second is a limit of file systems."""
_HEADER = 4 << 20
"""Maximum size in bytes of a header in a tar archive. The tarfile module reads each header into memory."""
_TAR = 512
IGNORED_MEMBERS = ("__MACOSX/*", "*/__MACOSX/*", "._*", ".DS_Store", "Thumbs.db", "desktop.ini")
"""Patterns for files that operating systems add to archives. A file is skipped if its name, or the last
part of its name, matches one."""
PACKING = "ask the sender to pack the files again, then drop the new archive"
SPLIT = "split the archive, or drop its files individually"
_BROKEN: tuple[type[BaseException], ...] = (*BROKEN, tarfile.TarError, ValueError, OverflowError)
_PACKED = ("gzip", "bzip2", "xz", "zstd")


def archive_kind(head: bytes) -> str | None:
    """Return the kind of an archive, such as "zip" or "tar, gzip". Returns None for any other file.
    head: the first `HEAD` bytes of the file. Workbooks are zip archives too; `is_workbook` distinguishes
    them."""
    if head[257:262] == b"ustar":
        return "tar"
    kind = kind_of(head[:8])
    if kind in _PACKED:
        return f"tar, {kind}" if _first(head, kind)[257:262] == b"ustar" else None
    return kind


def _first(head: bytes, kind: str) -> bytes:
    """Return the first decompressed bytes of a file, or b"" if the compressed data is broken. head: the
    first compressed bytes."""
    try:
        if kind == "gzip":
            return zlib.decompressobj(wbits=31).decompress(head, _TAR)
        if kind == "bzip2":
            return bz2.BZ2Decompressor().decompress(head, _TAR)
        if kind == "xz":
            return lzma.LZMADecompressor().decompress(head, _TAR)
        with pa.CompressedInputStream(io.BytesIO(head), "zstd") as plain:
            return bytes(plain.read(_TAR))
    except _BROKEN:  # the reader reports broken data
        return b""


def is_workbook(stream: BinaryIO) -> bool:
    """Return whether a zip archive is a workbook (OOXML or OpenDocument). Such an archive is read as one
    file."""
    try:
        with zipfile.ZipFile(stream) as archive:
            return not {"[Content_Types].xml", "mimetype"}.isdisjoint(archive.namelist())
    except BROKEN:
        return False
    finally:
        stream.seek(0)


@dataclass(frozen=True)
class Entry:
    """A member of an archive that the profile selects. key: the member's name in the ledger. size: the
    decompressed size in bytes. mtime_ns: the modification time in nanoseconds since 1970; 0 for zip
    archives, because they do not state a time zone."""

    key: bytes
    size: int
    mtime_ns: int
    info: zipfile.ZipInfo | tarfile.TarInfo

    @property
    def name(self) -> str:
        return self.key.decode("utf-8", "backslashreplace")


@dataclass
class Archive:
    """An archive with its selected members. packed: the compressed size in bytes. left_out: for each
    reason, the number of members that are skipped."""

    kind: str
    profile: Profile
    packed: int
    entries: list[Entry] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    source: zipfile.ZipFile | tarfile.TarFile | None = None

    def read(self) -> Iterator[tuple[Entry, BinaryIO]]:
        """Yield each member with a stream of its bytes, in the archive's order. Raises Permanent if a
        member is broken, or if all members together exceed a limit."""
        total = _Total(self.packed, self.profile)
        for entry in self.entries:
            yield entry, cast(BinaryIO, _Member(self, entry, total))

    def open(self, entry: Entry) -> BinaryIO:
        """Return a stream of a member's bytes, to read the member once more."""
        return cast(BinaryIO, _Member(self, entry, _Total(self.packed, self.profile)))

    def check(self, scratch: Callable[[], BinaryIO]) -> None:
        """Read all members to validate the archive. Raises Permanent if a member is broken or is itself
        an archive, or if all members together exceed a limit."""
        for entry, stream in self.read():
            head = _some(stream, HEAD)
            self._refuse_nested(entry, head, stream, scratch)
            while stream.read(BLOCK):
                pass

    def _refuse_nested(
        self, entry: Entry, head: bytes, stream: BinaryIO, scratch: Callable[[], BinaryIO]
    ) -> None:
        kind = archive_kind(head)
        if kind is None:
            return
        if kind == "zip" and self.profile.format == "xlsx":
            with scratch() as copy:
                copy.write(head)
                while block := stream.read(BLOCK):
                    copy.write(block)
                copy.seek(0)
                if is_workbook(copy):
                    return
        what = f"{entry.name!r} in the archive is an archive itself ({kind})"
        raise Permanent(Code.ARCHIVE, what, do="unpack it, then drop the archives inside")

    @property
    def note(self) -> str:
        """A message with the number of files in the archive, and the number of skipped members."""
        count = len(self.entries)
        text = f"unpacked into {count:,} file{'s' if count != 1 else ''}"
        left = ", ".join(f"{number:,} {what}" for what, number in sorted(self.left_out.items()))
        return f"{text}; left out: {left}" if left else text


def opened(stream: BinaryIO, profile: Profile, scratch: Callable[[], BinaryIO]) -> Archive:
    """Open an archive. `stream` is seekable and must stay open. scratch: creates an empty temporary file.

    Raises Permanent if the archive cannot be read, or if its kind is not supported.
    """
    packed = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    kind = archive_kind(stream.read(HEAD))
    stream.seek(0)
    if kind is None:
        raise Permanent(
            Code.ARCHIVE, "the file is not an archive", do="drop it into a source without unpack"
        )
    archive = Archive(kind, profile, packed)
    plain = _plain(stream, archive, scratch)
    with _readable(f"the {kind} archive"):
        if kind == "zip":
            _list_zip(archive, plain)
        else:
            _list_tar(archive, plain)
    _require_members(archive)
    return archive


@contextmanager
def _readable(what: str) -> Iterator[None]:
    """Raise Permanent in place of the errors that a broken archive causes. Errors of the disk propagate.
    what: the name of the archive for messages."""
    try:
        yield
    except MemoryError:
        raise
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise Permanent(Code.UNREADABLE, f"{what} is broken: {error}") from error


def _require_members(archive: Archive) -> None:
    names = Counter(canonical(entry.key) for entry in archive.entries)
    duplicates = [name.decode("utf-8", "backslashreplace") for name, n in names.items() if n > 1]
    if duplicates:
        what = f"the archive contains two files named {duplicates[0]!r}"
        raise Permanent(Code.ARCHIVE, what, do=PACKING)
    if not archive.entries:
        wanted = f" that matches member = {archive.profile.member!r}"
        left = (
            f" (left out: {archive.note.partition('; left out: ')[2]})" if archive.left_out else ""
        )
        what = f"the archive contains no file{wanted}{left}"
        raise Permanent(Code.ARCHIVE, what, do="correct member in the profile, then replay")


def _take(archive: Archive, name: str, size: int, mtime_ns: int, info: object) -> None:
    """Add a regular file to the archive's entries if the profile selects it; otherwise count it as
    skipped."""
    base = name.rsplit("/", 1)[-1]
    if any(fnmatch.fnmatchcase(part, p) for p in IGNORED_MEMBERS for part in (name, base)):
        archive.left_out["added by an operating system"] += 1
        return
    if not fnmatch.fnmatchcase(name, archive.profile.member):
        archive.left_out[f"not matching member = {archive.profile.member!r}"] += 1
        return
    parts = [part for part in name.split("/") if part not in ("", ".", "..")]
    key = "/".join(parts).encode("utf-8", "surrogateescape")
    if not parts or b"\0" in key:
        raise Permanent(
            Code.ARCHIVE, f"{name!r} in the archive is not a valid file name", do=PACKING
        )
    longest = max(len(part.encode("utf-8", "surrogateescape")) for part in parts)
    if len(key) > LONGEST_NAME or longest > LONGEST_PART:
        what = f"the name {name[:100]!r}… in the archive is too long: at most {LONGEST_PART} bytes"
        what += f", or {LONGEST_NAME:,} with its folders"
        raise Permanent(Code.ARCHIVE, what, do=PACKING)
    if len(archive.entries) == MAX_MEMBERS:
        raise Permanent(
            Code.ARCHIVE, f"the archive contains more than {MAX_MEMBERS:,} files", do=SPLIT
        )
    archive.entries.append(Entry(key, size, mtime_ns, cast(zipfile.ZipInfo, info)))


def _list_zip(archive: Archive, stream: BinaryIO) -> None:
    """Add the members that the central directory of a zip archive lists."""
    archive.source = zipfile.ZipFile(stream)
    for info in archive.source.infolist():
        name = info.filename.replace("\\", "/")
        mode = info.external_attr >> 16
        if info.is_dir() or name.endswith("/"):
            archive.left_out["folders"] += 1
        elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            archive.left_out["links and devices"] += 1
        else:
            before = len(archive.entries)
            _take(archive, name, info.file_size, 0, info)
            if info.flag_bits & 1 and len(archive.entries) > before:
                what = f"{name!r} in the archive is encrypted"
                raise Permanent(
                    Code.ARCHIVE, what, do="ask the sender for an archive without a password"
                )


def _plain(stream: BinaryIO, archive: Archive, scratch: Callable[[], BinaryIO]) -> BinaryIO:
    """Return a stream of the archive that supports random access. For a compressed tar archive, this is
    a decompressed copy."""
    if archive.kind in ("zip", "tar"):
        return stream
    packing = archive.kind.removeprefix("tar, ")
    with _readable(f"the {packing}"):
        inner = unpacked(stream, packing, archive.profile)
    raw = Bounded(inner, packing, archive.packed, archive.profile, archive=True)
    plain, reader = scratch(), io.BufferedReader(raw, BLOCK)
    while block := reader.read(BLOCK):
        plain.write(block)
    plain.seek(0)
    return plain


def _list_tar(archive: Archive, plain: BinaryIO) -> None:
    headers = cast(BinaryIO, _Headers(plain))
    source: Any = tarfile.TarFile(
        fileobj=headers, mode="r", encoding="utf-8", errors="surrogateescape"
    )
    archive.source = source
    while (info := source.next()) is not None:
        source.members = []  # tarfile would keep all of them in memory
        if info.isdir():
            archive.left_out["folders"] += 1
        elif not info.isreg():
            archive.left_out["links and devices"] += 1
        else:
            _take(archive, info.name, info.size, int(info.mtime * 10**9), info)
    _require_end(plain, source.offset)


def _require_end(plain: BinaryIO, offset: int) -> None:
    """Raise Permanent unless the archive ends correctly. tarfile does not report a broken header or a
    truncated file, because it treats both as the end of the archive."""
    plain.seek(offset)
    if len(block := plain.read(_TAR)) < _TAR or any(block):
        what = "a header is damaged" if any(block) else "it is cut off"
        raise Permanent(Code.UNREADABLE, f"the tar archive is broken: {what}", byte_offset=offset)
    while block := plain.read(BLOCK):
        if any(block):
            raise Permanent(
                Code.ARCHIVE,
                "data follows the end of the tar archive: the file may contain several archives",
                do="drop each archive separately",
            )


class _Headers:
    """A stream of a tar archive that limits the size of each header. tarfile itself reads a header of
    any size into memory."""

    def __init__(self, plain: BinaryIO) -> None:
        self._plain = plain
        self.seek, self.tell = plain.seek, plain.tell

    def read(self, size: int = -1) -> bytes:
        if size > _HEADER:
            what = f"a header of the tar archive has more than {_HEADER:,} bytes"
            raise Permanent(Code.ARCHIVE, what, do=PACKING)
        return self._plain.read(size)


@dataclass
class _Total:
    """Counts the decompressed bytes of all members, and enforces the limits on them. The sizes in a zip
    archive's directory are not enough, because its entries may overlap."""

    packed: int
    profile: Profile
    count: int = 0

    def add(self, size: int) -> None:
        self.count += size
        if self.count > self.profile.max_decompressed:
            what = f"unpacked, the archive has more than {self.profile.max_decompressed:,} bytes"
            raise Permanent(Code.TOO_LARGE, what)
        if self.count > max(GRACE, self.packed * self.profile.max_ratio):
            what = f"it unpacks to over {self.profile.max_ratio:,} times its size: maybe a zip bomb"
            raise Permanent(Code.TOO_LARGE, what, do=RATIO)


class _Member:
    """A stream of the bytes of one member. It enforces the limits, and raises Permanent if the member is
    broken."""

    def __init__(self, archive: Archive, entry: Entry, total: _Total) -> None:
        self._archive, self._entry, self._total = archive, entry, total
        self._stream: BinaryIO | None = None
        self._count = 0

    def read(self, size: int = -1) -> bytes:
        with _readable(f"{self._entry.name!r} in the archive"):
            if self._stream is None:
                self._stream = self._opened()
            data = self._stream.read(min(size, BLOCK) if size >= 0 else BLOCK)
        self._count += len(data)
        self._total.add(len(data))
        if not data and size and self._count != self._entry.size:
            what = f"{self._entry.name!r} in the archive has {self._count:,} bytes, but the archive says "
            raise Permanent(Code.UNREADABLE, f"{what}{self._entry.size:,}")
        return data

    def _opened(self) -> BinaryIO:
        source, info = self._archive.source, self._entry.info
        if isinstance(source, zipfile.ZipFile):
            return cast(BinaryIO, source.open(cast(zipfile.ZipInfo, info)))
        assert isinstance(source, tarfile.TarFile)
        found = source.extractfile(cast(tarfile.TarInfo, info))
        assert found is not None
        return cast(BinaryIO, found)


def _some(stream: BinaryIO, size: int) -> bytes:
    found = b""
    while len(found) < size and (block := stream.read(size - len(found))):
        found += block
    return found
