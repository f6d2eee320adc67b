"""The logs of the programs that `sensorflow up` runs. They go to files of limited size, to the stdout of
`sensorflow up`, or to the journal.

Each program appends to its log file directly, so a suspended or killed supervisor blocks no program and
loses no line. Therefore rotation cannot rename a log file, because the program would continue to write to
the renamed file. It cannot copy and truncate the file either, because lines written in between would be
lost. Instead, the head of the file is copied, and the kernel then removes the head while the program
appends (FALLOC_FL_COLLAPSE_RANGE; ext4, xfs). On other file systems the file is copied and truncated, and a
line written at that moment may be lost.
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

EVERY = 2.0
"""Seconds between checks."""
JOURNAL = "/run/systemd/journal/stdout"
_COLLAPSE = 0x08
_LIBC = ctypes.CDLL(None, use_errno=True)
_BLOCK = 1 << 20


@contextmanager
def opened(where: LogTarget, path: Path) -> Iterator[int]:
    """Provide a descriptor for a program's stdout and stderr. If the log file or the journal cannot be
    opened, the descriptor is /dev/null and the program runs without a log."""
    if where is LogTarget.STDOUT:
        yield sys.stdout.fileno()
        return
    made: IO[bytes] | socket.socket
    try:
        made = _journal(path.stem) if where is LogTarget.JOURNAL else _file(path)
    except OSError:
        made = Path(os.devnull).open("ab")  # noqa: SIM115
    with made:
        yield made.fileno()


def _file(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab")


def _journal(name: str) -> socket.socket:
    """Open a stream to the journal as sd_journal_stream_fd(3) does: with an identifier, no unit, priority
    6, and no forwarding."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.connect(JOURNAL)
        made.sendall(f"{name}\n\n6\n0\n0\n0\n0\n".encode())
    except OSError:
        made.close()
        raise
    return made


class Rotation:
    """Rotates the logs of a folder: limits each log to `log_size` bytes, and keeps `log_files` older files
    of each."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.settings = settings
        self._folder = folder
        self._next = 0.0

    def turn(self) -> None:
        """Rotate the logs if the last check is long enough ago. Call this often. Raises no exceptions."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY
        with suppress(OSError):
            for path in self._folder.glob("*.log"):
                with suppress(OSError):  # for example a full disk; retried later
                    rotate(path, int(self.settings.log_size), self.settings.log_files)


def rotate(path: Path, limit: int, files: int) -> bool:
    """Move the content of a log larger than `limit` bytes to `<name>.1`, that of `<name>.1` to `<name>.2`,
    and so on.

    Read from the oldest to the newest, the files form one continuous text: a line may begin in one file and
    end in the next.
    """
    if path.stat().st_size <= limit:
        return False
    new = path.with_name(f"{path.name}.new")
    with path.open("r+b") as log:
        block = os.fstatvfs(log.fileno()).f_frsize
        head = (os.fstat(log.fileno()).st_size - 1) // block * block  # never the whole file
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
    """Copy `length` bytes, or all bytes up to the present end of the file, which may grow at the same
    time."""
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
    """Return the files of a log, oldest first; the current log file is the last one."""
    return [*(old for _, old in sorted(_rotated(path), reverse=True)), path]


def _rotated(path: Path) -> list[tuple[int, Path]]:
    found = path.parent.glob(f"{path.name}.*")
    named = [(old.name.removeprefix(f"{path.name}."), old) for old in found]
    return [(int(number), old) for number, old in named if number.isdigit()]


def _collapsed(descriptor: int, length: int) -> bool:
    """Remove `length` bytes at the head of the file while programs append to it. Returns False if the file
    system cannot do this."""
    call = _LIBC.fallocate
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return bool(call(descriptor, _COLLAPSE, 0, length) == 0)
