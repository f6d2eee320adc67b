"""Copies files into a new backup. Files that are unchanged since the previous backup are hard-linked."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from sensorflow.backup import folder as folders
from sensorflow.core.partitions import file_of
from sensorflow.errors import Transient
from sensorflow.ports.objects import Object, ObjectStore

LANDING = "landing"


@dataclass
class CopyTotals:
    """The totals of a new backup. files, bytes: number and total size of all files in the backup. copied:
    number of bytes that were copied. shared: number of files that were not copied, because they were linked
    to the previous backup or moved from an interrupted one. missing: a message for each file that could not
    be copied."""

    files: int = 0
    bytes: int = 0
    copied: int = 0
    shared: int = 0
    missing: list[str] = field(default_factory=list)


class PreviousBackup:
    """The checksums of the files in the previous backup. path: the folder of the previous backup; None if
    there is no previous backup."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lines = folders.sums(path) if path else iter(())
        self._next: tuple[int, str, str] | None = None
        self._of, self._known = 0, dict[str, str]()

    def digest(self, file_id: int, relative: str) -> str | None:
        """Return the SHA-256 of a file in the previous backup; None if that backup does not contain the
        file.

        file_id: the id of the file in the ledger; it must not be lower than in the previous call.
        relative: path in the backup.
        """
        if file_id != self._of:
            self._of, self._known = file_id, dict(self._up_to(file_id))
        return self._known.get(relative)

    def _up_to(self, file_id: int) -> Iterator[tuple[str, str]]:
        while True:
            if self._next is None:
                self._next = next(self._numbered(), None)
            if self._next is None or self._next[0] > file_id:
                return
            number, relative, digest = self._next
            self._next = None
            if number == file_id:
                yield relative, digest

    def _numbered(self) -> Iterator[tuple[int, str, str]]:
        for relative, digest in self._lines:
            number = number_of(relative)
            if number is not None:
                yield number, relative, digest


def number_of(relative: str) -> int | None:
    """Return the id of the ledger's file to which a path in a backup belongs. Return None for a path that
    is neither in the lake nor in the quarantine."""
    place = relative.removeprefix(f"{folders.DATA}/")
    if (known := file_of(place)) is not None:
        return known[1]
    parts = place.split("/")
    number = parts[2].partition("-v")[0] if parts[0] == "quarantine" and len(parts) > 3 else ""
    return int(number) if number.isdecimal() else None


class Copier:
    """Copies files into a new backup, or links them, and records their checksums.

    target: folder of the new backup. areas: name -> store of the area. before: folder of the previous
    backup; None if there is none. leftovers: folders of interrupted backups, whose files are reused. sums:
    the file SHA256SUMS of the new backup, open for writing.
    """

    def __init__(
        self,
        target: Path,
        areas: Mapping[str, ObjectStore],
        before: Path | None,
        leftovers: list[Path],
        sums: IO[bytes],
    ) -> None:
        self.totals = CopyTotals()
        self._target, self._areas, self._sums = target, areas, sums
        self._before, self._leftovers = PreviousBackup(before), leftovers
        self._folders: set[Path] = set()
        self._links = True

    def landed(self, name: str, size: int, found: Object | None, is_on_disk: bool) -> None:
        """Add a file of the landing zone. name: its object in the landing zone, which ends with the SHA-256
        of the file. size: number of bytes. found: the object; None if it does not exist. is_on_disk:
        whether the landing zone is a folder. A missing or changed file is reported in `totals.missing`."""
        relative, digest = f"{folders.DATA}/{LANDING}/{name}", name.rpartition("/")[2]
        target = self._place(relative)
        if target.exists():  # another file has the same bytes
            return
        is_shared = self._share(relative, size, found, is_on_disk, target)
        if is_shared or self._take_over(relative, digest, target):
            self._note(relative, digest, size, shared=True)
            return
        copied = found and self._copy(LANDING, found, relative)
        if copied and copied != digest:
            target.unlink()
            self.totals.missing.append(f"{LANDING}/{name}: its bytes have changed")
        elif copied:
            self._note(relative, digest, target.stat().st_size)
        else:
            self.totals.missing.append(f"{LANDING}/{name}: the file does not exist")

    def _share(
        self, relative: str, size: int, found: Object | None, is_on_disk: bool, target: Path
    ) -> bool:
        """Hard-link the copy in the previous backup into the new backup, if the copy equals the landed
        file. They count as equal if they have the same name, which is a hash, and the same size. On a disk,
        which may be damaged, they also need the same modification time. If the landed file no longer
        exists, the copy is linked if it has the right size and checksum. Return whether the copy was
        linked."""
        if self._before.path is None:
            return False
        old = self._before.path / relative
        if found is None:
            is_intact = _size(old) == size and folders.digest_of(old) == relative[-64:]
            return is_intact and self._link(old, target)
        is_equal = _same(old, found) if is_on_disk else _size(old) == found.size
        return found.size == size and is_equal and self._link(old, target)

    def other(self, file_id: int, area: str, found: Object) -> None:
        """Add a file of the lake or the quarantine. file_id: id of the ledger's file to which it belongs,
        see `PreviousBackup.digest`. area: the layer, or "quarantine". found: its object in the area.

        If the copy in the previous backup has the same size and modification time, the copy is linked and
        not copied again. This is safe, because these files are never changed in place: if the bytes under a
        name change, they are a new file with another modification time.
        """
        relative = f"{folders.DATA}/{area}/{found.name}"
        target = self._place(relative)
        digest = self._before.digest(file_id, relative)
        if digest and self._before.path:
            old = self._before.path / relative
            if _same(old, found) and self._link(old, target):
                self._note(relative, digest, found.size, shared=True)
                return
        copied = self._copy(area, found, relative)
        if copied is not None:
            self._note(relative, copied, target.stat().st_size)

    def add_text(self, text: str, relative: str) -> None:
        """Add a small file. relative: its path in the backup."""
        with folders.open_new(self._place(relative)) as stream:
            stream.write(text.encode())
        self.add_written(relative)

    def copy_file(self, source: Path, relative: str) -> None:
        """Copy a file that is neither in the landing zone nor in the lake nor in the quarantine. relative:
        path of the copy in the backup."""
        found = self._write(source.open("rb"), self._place(relative))
        self._note(relative, found, (self._target / relative).stat().st_size)

    def add_written(self, relative: str) -> None:
        """Record the checksum of a file that other code has written into the backup."""
        path = self._target / relative
        path.chmod(0o600)
        self._note(relative, folders.digest_of(path), path.stat().st_size)

    def _copy(self, area: str, found: Object, relative: str) -> str | None:
        """Copy an object. Returns its SHA-256, or None if the object no longer exists."""
        try:
            stream = self._areas[area].open(found.name)
        except Transient as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise
        return self._write(stream, self._place(relative), found.modified_at)

    def _write(self, stream: IO[bytes], target: Path, modified_at: datetime | None = None) -> str:
        """modified_at: the modification time of the copy; None for the one of the open file."""
        digest = hashlib.sha256()
        writing = target.with_name(".writing")
        with stream, folders.open_new(writing) as copy:
            while block := stream.read(folders.BLOCK):
                digest.update(block)
                copy.write(block)
                self.totals.copied += len(block)
            modified_ns = _nanoseconds(modified_at) if modified_at else _modified_ns(stream)
        os.utime(writing, ns=(modified_ns, modified_ns))
        writing.replace(target)
        return digest.hexdigest()

    def _place(self, relative: str) -> Path:
        target = self._target / relative
        if target.parent not in self._folders:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folders.add(target.parent)
        return target

    def _link(self, old: Path, new: Path) -> bool:
        """Create the hard link `new` to `old`. Return whether it was created: False if the file system
        does not support hard links, or does not allow more hard links to this file."""
        if not self._links:
            return False
        try:
            os.link(old, new)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS):
                raise
            self._links = error.errno == errno.EMLINK
            return False
        return True

    def _take_over(self, relative: str, digest: str, target: Path) -> bool:
        """If an interrupted backup contains the file `relative` with the checksum `digest`, move this file
        to `target`. Return whether a file was moved."""
        for leftover in self._leftovers:
            path = leftover / relative
            if path.is_file() and folders.digest_of(path) == digest:
                path.rename(target)
                return True
        return False

    def _note(self, relative: str, digest: str, size: int, shared: bool = False) -> None:
        self._sums.write(folders.sum_line(digest, relative))
        self.totals.files += 1
        self.totals.bytes += size
        self.totals.shared += shared


def _size(path: Path) -> int | None:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return None


def _same(path: Path, found: Object) -> bool:
    """Return whether the file `path` and an object have the same size and modification time, in
    microseconds."""
    try:
        old = path.lstat()
    except FileNotFoundError:
        return False
    modified_at = datetime.fromtimestamp(old.st_mtime, UTC)
    return (old.st_size, modified_at) == (found.size, found.modified_at)


def _modified_ns(stream: IO[bytes]) -> int:
    return os.fstat(stream.fileno()).st_mtime_ns


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


_EPOCH = datetime.fromtimestamp(0, UTC)
