"""Writing files so that they are whole and on disk, or not there at all; and only where they belong.

What lies below a folder of ours is reached step by step, by descriptors, and no symbolic link on the way
is followed: whoever may write somewhere below `data` leads nobody out of it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from sensorflow.errors import Code, Transient

WRITING = ".writing-"
"""How the names of files begin that are not whole yet."""
_WRITING = re.compile(re.escape(WRITING) + r"[a-z0-9_]{8}")
"""Their whole names, as `tempfile` makes them."""

BEGAN = ".began"
"""Tells in a folder that a writer had to make since when it is there."""

BUFFER = 1 << 16
"""Bytes. Told, it also spares the question whether the file is a terminal."""


@contextlib.contextmanager
def storage_errors() -> Iterator[None]:
    """OSError (disk full, read-only, away) -> Transient STORAGE."""
    try:
        yield
    except OSError as error:
        name = error.filename or ""
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise Transient(Code.STORAGE, f"{reason}: {name}" if name else reason) from error


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(folder: Path) -> None:
    """mkdir -p, each new name synced in its parent."""
    if folder.is_dir():
        return
    make_folders(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
    sync_folder(folder.parent)


ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
"""How a folder that the settings name is opened; a link to it is followed."""
FOLDER = ROOT | os.O_NOFOLLOW
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""What is below it: no link is followed, and nothing that is opened blocks."""


@contextlib.contextmanager
def below(root: Path, relative: str | Path, make: bool = True) -> Iterator[Path]:
    """The folder `relative` of `root`, as a path that leads there whatever is renamed meanwhile.

    make: folders that are missing are made, `root` among them. Raises OSError, with the path as
    people know it; NotADirectoryError for a link on the way.
    """
    with opened(root, str(relative), make) as folder:
        yield Path(f"/proc/self/fd/{folder}")


@contextlib.contextmanager
def opened(root: Path, relative: str, make: bool = True) -> Iterator[int]:
    """As `below`, for those who take many files there: the folder's descriptor."""
    try:
        if relative.startswith("/"):
            raise NotADirectoryError(errno.ENOTDIR, "not below the folder", relative)
        descriptor = _root(root, make)
        try:
            for part in relative.split("/"):
                if part in ("", "."):
                    continue
                inner = _step(descriptor, part, make)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.filename and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(root / relative)) from error
        raise


def _root(root: Path, make: bool) -> int:
    try:
        return os.open(root, ROOT)
    except FileNotFoundError:
        if not make:
            raise
    make_folders(root)
    return os.open(root, ROOT)


def make_root(root: Path) -> None:
    """mkdir -p of a store's folder. Where it has to be made, it says since when it is there: what was
    written before lay elsewhere, in a folder that was moved away, or on a disk that is not mounted."""
    if root.is_dir():
        return
    make_folders(root)
    with contextlib.suppress(FileExistsError), (root / BEGAN).open("x") as note:
        note.write(f"{time.time():.6f}\n")


def began(root: Path) -> datetime | None:
    """When `make_root` made a folder; None where it did not, or the folder is not there."""
    try:
        return datetime.fromtimestamp(float((root / BEGAN).read_text("ascii")), UTC)
    except (OSError, ValueError, OverflowError):
        return None


def _step(folder: int, name: str, make: bool) -> int:
    if name == "..":
        raise NotADirectoryError(errno.ENOTDIR, "not below the folder", name)
    try:
        return os.open(name, FOLDER, dir_fd=folder)
    except FileNotFoundError:
        if not make:
            raise
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, dir_fd=folder)
    os.fsync(folder)
    return os.open(name, FOLDER, dir_fd=folder)


def regular(folder: int | Path, name: bytes | str) -> BinaryIO | None:
    """A regular file, open for reading; None for anything else: a link, a FIFO, a folder.

    Never blocks and follows no link. Raises OSError, FileNotFoundError where there is nothing.
    """
    place = folder if isinstance(folder, int) else None
    path = name if isinstance(folder, int) else folder / os.fsdecode(name)
    try:
        descriptor = os.open(path, FILE, dir_fd=place)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link; a socket
            return None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return os.fdopen(descriptor, "rb", BUFFER)


def open_below(root: Path, relative: str) -> BinaryIO:
    """A regular file below `root`, no link followed. Raises OSError."""
    parent, _, name = relative.rpartition("/")
    with opened(root, parent, make=False) as folder:
        stream = regular(folder, name)
    if stream is None:
        raise OSError(errno.EPERM, "not a regular file", str(root / relative))
    return stream


@contextlib.contextmanager
def temporary(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A new file in `folder`, removed at the end unless it was renamed away."""
    make_folders(folder)
    new = _Unnamed(folder)
    try:
        yield new.stream, new.path
    finally:
        new.close()


def unfinished(folder: Path, older: float, kept: str = "") -> list[str]:
    """Paths below `folder` of what `temporary` made more than `older` seconds ago and nobody named.

    kept: a pattern of folders that hold files under names that others gave; nothing in there is looked at.
    """
    before = time.time() - older
    found = []
    with storage_errors():
        for path, folders, names in os.walk(folder, onerror=_missing):
            place = Path(path)
            if kept:
                inner = place.relative_to(folder)
                folders[:] = [name for name in folders if not (inner / name).match(kept)]
            for name in filter(_WRITING.fullmatch, names):
                with contextlib.suppress(FileNotFoundError):
                    fact = (place / name).lstat()
                    if stat.S_ISREG(fact.st_mode) and fact.st_mtime < before:
                        found.append(str((place / name).relative_to(folder)))
    return sorted(found)


def _missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def collect(folder: Path, older: float, kept: str = "") -> int:
    """Remove what `unfinished` finds; returns how many. A writer that is still at it fails, and its file is
    tried again. Raises Transient STORAGE."""
    done = 0
    for name in unfinished(folder, older, kept):
        parent, _, leaf = name.rpartition("/")
        with (
            storage_errors(),
            contextlib.suppress(FileNotFoundError),
            below(folder, parent, make=False) as place,
        ):
            (place / leaf).unlink()
            done += 1
    return done


def require(folder: Path) -> None:
    """Transient STORAGE when a folder is away: its disk, perhaps, and all that is in it."""
    if not folder.is_dir():
        raise Transient(Code.STORAGE, f"no folder {folder}")


def sync(stream: BinaryIO) -> None:
    """What was written is on disk."""
    stream.flush()
    os.fsync(stream.fileno())


def start_sync(stream: BinaryIO, offset: int = 0, size: int = 0) -> None:
    """Have the kernel begin to write what `sync` will wait for: `size` bytes from `offset` on, or all."""
    stream.flush()
    os.posix_fadvise(stream.fileno(), offset, size, os.POSIX_FADV_DONTNEED)


def sync_all(streams: Sequence[BinaryIO]) -> None:
    """As `sync`. Begun for all before the first is waited for: the file system's journal places their
    blocks in one commit, not in one for each."""
    for stream in streams:
        start_sync(stream)
    for stream in streams:
        sync(stream)


def settle(stream: BinaryIO, path: Path, final: Path) -> None:
    """Sync a written file and give it its name, replacing what has that name."""
    sync(stream)
    path.replace(final)
    sync_folder(final.parent)


@contextlib.contextmanager
def alone(root: Path, folder: str, name: str) -> Iterator[BinaryIO]:
    """A new file below `root`: whole, synced and named when the context ends, or not there at all."""
    with below(root, folder) as place, temporary(place) as (stream, path):
        yield stream
        settle(stream, path, place / name)


class Together:
    """New files that are all synced and named at the end of a context: each folder is synced once."""

    def __init__(self) -> None:
        self._open = contextlib.ExitStack()
        self._folders: dict[tuple[Path, str], int] = {}
        self._written: list[tuple[_Unnamed, str]] = []

    def __enter__(self) -> Together:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._open:
            if kind is None:
                self._settle()

    @contextlib.contextmanager
    def __call__(self, root: Path, folder: str, name: str) -> Iterator[BinaryIO]:
        """As `alone`, but for the end."""
        place = self._folders.get((root, folder))
        if place is None:
            place = self._open.enter_context(opened(root, folder))
            self._folders[root, folder] = place
        here = f"/proc/self/fd/{place}"
        new = _Unnamed(here)
        try:
            yield new.stream
        except BaseException:
            new.close()
            raise
        self._written.append((new, f"{here}/{name}"))
        self._open.callback(new.close)

    def _settle(self) -> None:
        sync_all([new.stream for new, _ in self._written])
        for new, final in self._written:
            new.name(final)
        for place in self._folders.values():
            os.fsync(place)


class _Unnamed:
    """A new file in `folder`, removed when it is closed unless it was named."""

    def __init__(self, folder: str | Path) -> None:
        descriptor, path = tempfile.mkstemp(prefix=WRITING, dir=folder)
        self.path = Path(path)
        self.stream: BinaryIO = os.fdopen(descriptor, "wb", BUFFER)
        self._named = False

    def name(self, final: str) -> None:
        """Give it its name, replacing what has that name."""
        self.path.replace(final)
        self._named = True

    def close(self) -> None:
        try:
            self.stream.close()
        finally:
            if not self._named:
                self.path.unlink(missing_ok=True)


def keep(stream: BinaryIO, folder: Path, name: bytes) -> None:
    """Put an open file into `folder` without ever overwriting: a taken name gets a number.

    It is the file that is open, whatever has its name by now. A link on one file system, which is
    atomic; copied and synced across file systems. The folder is still to be synced. A name that looks
    like that of a file that is not whole gets a `_` in front, or `collect` would remove it.
    """
    if _WRITING.fullmatch(os.fsdecode(name)):
        name = b"_" + name
    source, descriptor = f"/proc/self/fd/{stream.fileno()}", stream.fileno()
    for number in range(1, 1_000_000):
        target = folder / os.fsdecode(_numbered(name, number))
        try:
            # with a descriptor Python calls linkat, which follows /proc's link to the open file
            os.link(source, target, src_dir_fd=descriptor, follow_symlinks=True)
        except FileExistsError:
            continue
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            if not _copy_new(stream, target):
                continue
        return
    raise Transient(Code.STORAGE, f"a million files named {name!r} in {folder}")


# ENOENT: the open file has lost its last name
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOENT)


def _numbered(name: bytes, number: int) -> bytes:
    """a.csv, a~2.csv, a~3.csv …; never longer than the 255 bytes that a file system takes."""
    if number == 1:
        return name
    stem, dot, suffix = name.partition(b".")
    if len(suffix) > 32:
        stem, dot, suffix = name, b"", b""
    tail = b"~%d" % number + dot + suffix
    return stem[: 255 - len(tail)] + tail


def _copy_new(stream: BinaryIO, target: Path) -> bool:
    """Whole under its name, or not there: who is killed leaves what `collect` removes."""
    stream.seek(0)
    with temporary(target.parent) as (new, path):
        while block := stream.read(1 << 20):
            new.write(block)
        sync(new)
        try:
            os.link(path, target)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            return _claim(path, target)
    return True


def _claim(path: Path, target: Path) -> bool:
    """Where there are no links: nobody else of ours gives a name in the folder meanwhile."""
    folder = os.open(target.parent, ROOT)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        if os.path.lexists(target):
            return False
        path.replace(target)
    finally:
        os.close(folder)
    return True
