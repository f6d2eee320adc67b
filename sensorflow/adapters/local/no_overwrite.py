"""Puts an open file into a folder without ever overwriting a file."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import BinaryIO

from sensorflow.adapters.local.places import ROOT
from sensorflow.adapters.local.writing import UNFINISHED, sync, temporary
from sensorflow.errors import Code, Transient


def add_file(stream: BinaryIO, folder: Path, name: bytes) -> None:
    """Put an open file into `folder` without ever overwriting a file. If the name is in use, a number is
    added.

    The open file is used, even if another file now has the open file's name. Within a file system the file
    is linked, which is atomic. Across file systems the file is copied and synced. The caller must sync the
    folder. A name that looks like a temporary name gets the prefix `_`; otherwise garbage collection would
    remove the file.
    """
    if UNFINISHED.fullmatch(os.fsdecode(name)):
        name = b"_" + name
    source, descriptor = f"/proc/self/fd/{stream.fileno()}", stream.fileno()
    for number in range(1, 1_000_000):
        target = folder / os.fsdecode(_numbered(name, number))
        try:
            # with a descriptor, Python calls linkat, which follows the link in /proc to the open file
            os.link(source, target, src_dir_fd=descriptor, follow_symlinks=True)
        except FileExistsError:
            continue
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            if not _copy_new(stream, target):
                continue
        return
    raise Transient(Code.STORAGE, f"too many files named {name!r} in {folder}")


# ENOENT: the open file no longer has a name
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOENT)


def _numbered(name: bytes, number: int) -> bytes:
    """Return the name with a number, for example a~2.csv for a.csv and 2. The result has at most 255 bytes,
    the limit of file systems."""
    if number == 1:
        return name
    stem, dot, suffix = name.partition(b".")
    if len(suffix) > 32:
        stem, dot, suffix = name, b"", b""
    tail = b"~%d" % number + dot + suffix
    return stem[: 255 - len(tail)] + tail


def _copy_new(stream: BinaryIO, target: Path) -> bool:
    """Copy a file atomically: the target is either complete or absent. If the process is killed, garbage
    collection removes the incomplete copy. Returns False if the target's name is in use."""
    stream.seek(0)
    with temporary(target.parent) as (new, path):
        while block := stream.read(1 << 20):
            new.write(block)
        sync(new)
        return name_new(path, target)


def name_new(path: Path, target: Path) -> bool:
    """Give a synced temporary file the name `target`, unless this name is in use. Returns whether it was
    given. Afterwards, the name `path` may still exist. The caller must sync the folder."""
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
    """Rename a file on a file system without hard links, unless the target exists. A lock prevents other
    sensorflow processes from renaming files in the folder at the same time."""
    folder = os.open(target.parent, ROOT)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        if os.path.lexists(target):
            return False
        path.replace(target)
    finally:
        os.close(folder)
    return True
