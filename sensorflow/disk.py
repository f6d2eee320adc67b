"""Explains errors of files and disks, and finds owner, mount point and free space of a path."""

from __future__ import annotations

import errno
import os
import pwd
import shutil
from contextlib import suppress
from pathlib import Path

from sensorflow.shell import quoted

Folder = Path
"""A folder, for modules that do not use the file system themselves."""
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
    """Return a one-line message for an error that a user can fix; None for any other error.

    path: the path for the message if the error has none, for example because an open file cannot be
    written.
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
    """Return the name of the user that this process runs as."""
    return _named(os.geteuid())


def _named(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def nearest(path: Path) -> Path:
    """Return the path itself if it exists, or else its nearest existing parent. A path that this user may
    not see counts as missing."""
    for candidate in (path, *path.absolute().parents):
        with suppress(OSError):
            if candidate.exists():
                return candidate
    return Path("/")


def owned(path: Path) -> str:
    """Return a text that says how this user can get write access to a path. The text is about the nearest
    existing parent if the path does not exist."""
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
    """Return the mount point of the file system of a path."""
    existing = nearest(path).resolve()
    return next(p for p in (existing, *existing.parents) if p.is_mount())


def usage(folder: Path) -> tuple[int, int]:
    """Return the number of bytes, and of free bytes, of the disk of an existing folder. Bytes that are
    reserved for root do not count as free. Raises OSError."""
    found = shutil.disk_usage(folder)
    return found.total, found.free


def free(path: Path) -> int:
    """Return the number of free bytes on the disk of a path; see `usage`."""
    return usage(nearest(path))[1]


def device(path: Path) -> int:
    """Return the id of the disk of a path."""
    return nearest(path).stat().st_dev


def room(path: Path) -> str:
    """Return a text with the free space and the mount point of the disk of a path."""
    try:
        return f"{size(free(path))} free on {mount(path)}"
    except OSError:
        return "free space unknown"


def size(number: int) -> str:
    for unit, bytes_ in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if number >= bytes_:
            return f"{number / bytes_:.1f} {unit}"
    return f"{number} bytes"
