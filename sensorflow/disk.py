"""Explains errors of files and disks, and finds the owner, the mount point and the free space of a
path."""

from __future__ import annotations

import errno
import os
import pwd
import shutil
from contextlib import suppress
from pathlib import Path

from sensorflow.shell import quoted

Folder = Path
"""The type of a folder's path, for annotations in modules that do not import `pathlib`."""
FULL = (errno.ENOSPC, errno.EDQUOT)
_MESSAGES = {
    errno.EROFS: "the file system is read-only; choose another folder, or mount it read-write",
    errno.ENOTDIR: "part of the path is a file, not a folder",
    errno.EISDIR: "is a folder, not a file",
    errno.EEXIST: "is a file where a folder is needed; remove it or choose another name",
    errno.ENOENT: "there is no such file or folder",
    errno.ENAMETOOLONG: "the name is too long for this file system",
    errno.EMFILE: "this process has too many open files; raise `ulimit -n`",
    errno.ENFILE: "this host has too many open files; raise fs.file-max",
    errno.ELOOP: "symbolic links form a loop",
    errno.ESTALE: "the network share is gone; mount it again",
    errno.EIO: "the disk fails to read or write; see `dmesg`",
}


def explained(error: OSError, path: Path | None = None) -> str | None:
    """Return a one-line message if a user can fix the cause of `error`; otherwise None.

    path: the path that the message names if the error has none. Errors from writing to an open file have no
    path.
    """
    path = error.filename or path
    if error.errno in FULL and path is None:
        return "no space left on the disk: `df -h` shows which one; free some space"
    if error.errno is None or not isinstance(path, str | bytes | Path):
        return None
    place = os.fsdecode(path)
    if error.errno in FULL:
        return (
            f"{place}: no space left on its disk ({room(Path(place))}); free some space, then retry"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{place}: permission denied for user {user()}; {owned(Path(place))}"
    message = _MESSAGES.get(error.errno)
    return message and f"{place}: {message}"


def replace(
    path: Path, data: bytes, mode: int | None = None, owner: tuple[int, int] | None = None
) -> None:
    """Replace the content of a file atomically: readers see the old or the new content, even after a crash.
    Raises OSError.

    mode: permissions of the file, which are set before the data is written; None for the default
    permissions. owner: (uid, gid) of the file; None for the user of this process.
    """
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)  # a file left by a crash may be readable by others
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(new, flags, 0o666 if mode is None else 0o600), "wb") as stream:
            if owner is not None:
                os.fchown(stream.fileno(), *owner)
            if mode is not None:
                os.fchmod(stream.fileno(), mode)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def user() -> str:
    """Return the name of the user as whom this process runs, or the uid as text if the user has no
    name."""
    return _named(os.geteuid())


def _named(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def nearest(path: Path) -> Path:
    """Return the path itself if it exists, or else its nearest existing parent. A path in a folder that
    this user may not search counts as missing."""
    for candidate in (path, *path.absolute().parents):
        with suppress(OSError):
            if candidate.exists():
                return candidate
    return Path("/")


def owned(path: Path) -> str:
    """Return a text that says how this user can get write access to a path. If the path does not exist,
    the text is about its nearest existing parent."""
    existing = nearest(path)
    try:
        owner = existing.stat().st_uid
    except OSError:
        return "ask its owner"
    if owner == os.geteuid():
        return f"run `chmod u+rwX {quoted(existing)}`"
    command = f"`chown -R {user()} {quoted(existing)}` as root"
    return f"{existing} belongs to {_named(owner)}: run as that user, or {command}"


def mount(path: Path) -> Path:
    """Return the mount point of the file system that contains a path. The path need not exist."""
    existing = nearest(path).resolve()
    return next(p for p in (existing, *existing.parents) if p.is_mount())


def usage(folder: Path) -> tuple[int, int]:
    """Return (total bytes, free bytes) of the disk that contains an existing folder. Bytes that are
    reserved for root do not count as free. Raises OSError if the folder does not exist."""
    found = shutil.disk_usage(folder)
    return found.total, found.free


def free(path: Path) -> int:
    """Return the number of free bytes on the disk that contains a path; see `usage`. The path need not
    exist."""
    return usage(nearest(path))[1]


def device(path: Path) -> int:
    """Return the device number of the disk that contains a path. The path need not exist."""
    return nearest(path).stat().st_dev


def room(path: Path) -> str:
    """Return a text with the free space and the mount point of the disk that contains a path."""
    try:
        return f"{size(free(path))} free on {mount(path)}"
    except OSError:
        return "free space unknown"


def size(number: int) -> str:
    for unit, bytes_ in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if number >= bytes_:
            return f"{number / bytes_:.1f} {unit}"
    return f"{number} bytes"
