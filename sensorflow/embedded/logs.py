"""Opens and rotates the logs of the processes that `sensorflow up` runs.

Each process appends directly to its log file. If the supervisor is suspended or killed, no process is
blocked and no line is lost. But a log file cannot be renamed for rotation, because the process would
continue to write to the renamed file. And if the file were copied and then truncated, lines that were
written in between would be lost. Therefore, the head of the file is copied, and the kernel then removes the
head while the process appends (FALLOC_FL_COLLAPSE_RANGE, which ext4 and xfs support). On other file
systems, the file is copied and truncated, and a line that is written at this moment may be lost.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from sensorflow.embedded.log_target import LogTarget

if TYPE_CHECKING:
    from sensorflow.settings import Settings

__all__ = ["LogTarget", "Rotation", "opened", "rotate"]

CHECK_INTERVAL_SECONDS = 2.0
"""Seconds between checks of the sizes of the logs."""
JOURNAL = "/run/systemd/journal/stdout"
_COLLAPSE = 0x08
_LIBC = ctypes.CDLL(None, use_errno=True)
_BLOCK = 1 << 20


@contextmanager
def opened(where: LogTarget, path: Path) -> Iterator[int]:
    """Provide a file descriptor to which a process writes its log. If the log file or the journal cannot be
    opened, this is a descriptor of /dev/null, so that the process runs without a log. path: the log
    file."""
    if where is LogTarget.STDOUT:
        yield sys.stdout.fileno()
        return
    target: IO[bytes] | socket.socket
    try:
        target = _journal(path.stem) if where is LogTarget.JOURNAL else _file(path)
    except OSError:
        target = Path(os.devnull).open("ab")  # noqa: SIM115
    with target:
        yield target.fileno()


def _file(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab")


def _journal(name: str) -> socket.socket:
    """Open a stream to the journal, as sd_journal_stream_fd(3) does. name: the identifier of all lines.
    Their priority is 6 (info)."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(JOURNAL)
        sock.sendall(f"{name}\n\n6\n0\n0\n0\n0\n".encode())
    except OSError:
        sock.close()
        raise
    return sock


class Rotation:
    """Rotates the logs in a folder according to the settings: a log larger than `log_size` bytes is
    rotated, and `log_files` rotated files of each log are kept."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.settings = settings
        self._folder = folder
        self._next = 0.0

    def turn(self) -> None:
        """Rotate the logs that are too large, if the last check was at least `CHECK_INTERVAL_SECONDS`
        seconds ago. Must be called often. Raises no OSError."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + CHECK_INTERVAL_SECONDS
        with suppress(OSError):
            for path in self._folder.glob("*.log"):
                with suppress(OSError):  # for example a full disk; retried later
                    rotate(path, int(self.settings.log_size), self.settings.log_files)


def rotate(path: Path, limit: int, files: int) -> bool:
    """If a log is larger than `limit` bytes, move its content to `<name>.1`. Before, `<name>.1` is renamed
    to `<name>.2`, and so on; at most `files` rotated files remain. Returns whether the log was rotated.

    A line may begin in one file and end in the next. To read the log, concatenate the files from the oldest
    to the newest.
    """
    if path.stat().st_size <= limit:
        return False
    new = path.with_name(f"{path.name}.new")
    with path.open("r+b") as log:
        block = os.fstatvfs(log.fileno()).f_frsize
        head = (os.fstat(log.fileno()).st_size - 1) // block * block  # always less than the file
        try:
            with new.open("wb") as copy:
                _copy(log, copy, head)
        except OSError:
            new.unlink(missing_ok=True)
            raise
        _shift(path, files)
        new.replace(_numbered(path, 1))
        if not _collapsed(log.fileno(), head):
            with _numbered(path, 1).open("ab") as copy:
                _copy(log, copy, None)
                log.truncate(0)
    return True


def _copy(source: Any, target: Any, length: int | None) -> None:
    """Copy `length` bytes; None copies all bytes to the end of the file, including those that are appended
    during the copy."""
    while length is None or length > 0:
        found = source.read(_BLOCK if length is None else min(_BLOCK, length))
        if not found:
            break
        target.write(found)
        length = None if length is None else length - len(found)
    target.flush()


def _shift(path: Path, files: int) -> None:
    for number in range(files - 1, 0, -1):
        with suppress(FileNotFoundError):
            _numbered(path, number).replace(_numbered(path, number + 1))
    for number, old in _rotated(path):
        if number > files:
            old.unlink()


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def older(path: Path) -> list[Path]:
    """Return the paths of all files of a log, from the oldest rotated file to the current file."""
    return [*(old for _, old in sorted(_rotated(path), reverse=True)), path]


def _rotated(path: Path) -> list[tuple[int, Path]]:
    found = path.parent.glob(f"{path.name}.*")
    named = [(old.name.removeprefix(f"{path.name}."), old) for old in found]
    return [(int(number), old) for number, old in named if number.isdigit()]


def _collapsed(descriptor: int, length: int) -> bool:
    """Remove the first `length` bytes of a file, while processes append to it. Returns False if the file
    system does not support this."""
    call = _LIBC.fallocate
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return bool(call(descriptor, _COLLAPSE, 0, length) == 0)
