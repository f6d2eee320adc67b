"""What the operating system says of files and disks, in words for people."""

from __future__ import annotations

import errno
import os
import pwd
import shutil
from contextlib import suppress
from pathlib import Path

from sensorflow.shell import quoted

FULL = (errno.ENOSPC, errno.EDQUOT)
_SAID = {
    errno.EROFS: "the file system is read-only; choose another folder, or mount it for writing",
    errno.ENOTDIR: "part of the path is a file, not a folder",
    errno.EISDIR: "is a folder, not a file",
    errno.EEXIST: "is a file where a folder is needed; remove it or choose another name",
    errno.ENOENT: "there is no such file or folder",
    errno.ENAMETOOLONG: "the name is too long for this file system",
    errno.EMFILE: "this process has too many open files; raise `ulimit -n`",
    errno.ENFILE: "this host has too many open files; raise fs.file-max",
    errno.ELOOP: "symbolic links lead in a circle",
    errno.ESTALE: "the network share is gone; mount it again",
    errno.EIO: "the disk does not read or write; look at `dmesg`",
}


def explained(error: OSError, path: Path | None = None) -> str | None:
    """One line for what a person can cure; None for any other error. path: where it does not say one, as
    when there was no room to write to a file that was open."""
    path = error.filename or path
    if error.errno in FULL and path is None:
        return "no space left on the disk that was written to: `df -h` shows which; make room"
    if error.errno is None or not isinstance(path, str | bytes | Path):
        return None
    place = os.fsdecode(path)
    if error.errno in FULL:
        return (
            f"{place}: no space left on its disk ({room(Path(place))}); make room, then try again"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{place}: permission denied for user {user()}; {owned(Path(place))}"
    said = _SAID.get(error.errno)
    return said and f"{place}: {said}"


def replace(
    path: Path, data: bytes, mode: int | None = None, owner: tuple[int, int] | None = None
) -> None:
    """Write a file in one step: readers, and a crash, find the old one or the new one. Raises OSError.

    mode: of the file, from its first byte on; None: that of any new file. owner: (uid, gid).
    """
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)  # what a crash left may be open to others
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
    """The name of the user that we are."""
    return _named(os.geteuid())


def _named(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def nearest(path: Path) -> Path:
    """The path itself, or the nearest above it that is there and can be seen."""
    for there in (path, *path.absolute().parents):
        with suppress(OSError):
            if there.exists():
                return there
    return Path("/")


def owned(path: Path) -> str:
    """Whose a path is, or the nearest folder above it, and how it is made ours to write."""
    there = nearest(path)
    try:
        owner = there.stat().st_uid
    except OSError:
        return "its owner may"
    if owner == os.geteuid():
        return f"run `chmod u+rwX {quoted(there)}`"
    command = f"`chown -R {user()} {quoted(there)}` as root"
    return f"{there} belongs to {_named(owner)}: run as that user, or {command}"


def mount(path: Path) -> Path:
    """Where the file system of a path is mounted."""
    there = nearest(path).resolve()
    return next(p for p in (there, *there.parents) if p.is_mount())


def free(path: Path) -> int:
    """Bytes that are left for us on the disk of a path."""
    return shutil.disk_usage(nearest(path)).free


def room(path: Path) -> str:
    """How much is free, and where, in words."""
    try:
        return f"{size(free(path))} free on {mount(path)}"
    except OSError:
        return "how much is free is unknown"


def size(number: int) -> str:
    for unit, bytes_ in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if number >= bytes_:
            return f"{number / bytes_:.1f} {unit}"
    return f"{number} bytes"
