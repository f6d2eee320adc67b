"""A folder of backups: names, manifests, and integrity."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import itertools
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sensorflow.errors import UsageError

FORMAT = 1
MANIFEST, SUMS, DUMP, DATA, PROJECT = (
    "manifest.json",
    "SHA256SUMS",
    "database.dump",
    "data",
    "project",
)
NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ")
UNFINISHED, REMOVING = ".unfinished-", ".removing-"
BLOCK = 1 << 20


@dataclass(frozen=True)
class Manifest:
    """at: the moment of the backup's snapshot. states: state -> files. bytes: of all files, including
    shared ones. sums: SHA-256 of SHA256SUMS. server, dumped_by: major versions of the server and of
    pg_dump. replays: see `BackupSnapshot.replayed_since`."""

    format: int
    version: str
    revision: str
    at: str
    project: str
    ledger_files: int
    readings: int
    states: dict[str, int]
    files: int
    bytes: int
    sums: str
    server: int
    dumped_by: int
    missing: list[str] = field(default_factory=list)
    replays: dict[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Backup:
    """A complete backup."""

    path: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        return self.path.name


def name_at(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")


def backups(folder: Path) -> list[Path]:
    """Return the complete backups, oldest first. Folders of other origin may have similar names."""
    if not folder.is_dir():
        return []
    named = (p for p in folder.iterdir() if NAME.fullmatch(p.name) and not p.is_symlink())
    return sorted(p for p in named if (p / MANIFEST).is_file())


def unfinished(folder: Path, name: str) -> Path:
    """Return a new folder for an unfinished backup. A killed backup may have started in the same second."""
    for number in itertools.count():
        made = folder / f"{UNFINISHED}{name}{f'-{number}' if number else ''}"
        with suppress(FileExistsError):
            made.mkdir(mode=0o700)
            return made
    raise AssertionError("numbers do not end")


def garbage(folder: Path) -> list[Path]:
    """Return what killed backups left behind."""
    found = (p for p in folder.iterdir() if p.name.startswith((UNFINISHED, REMOVING)))
    return sorted(p for p in found if p.is_dir() and not p.is_symlink())


def chosen(path: Path) -> Backup:
    """Return the backup at a path, or the newest backup in a folder. Raises UsageError."""
    if (path / MANIFEST).is_file():
        return read(path)
    found = backups(path)
    if not found:
        raise UsageError(
            f"{path}: {_nothing(path)}; give the folder that `sensorflow backup` wrote"
        )
    return read(found[-1])


def _nothing(path: Path) -> str:
    if not path.is_dir():
        return "no such folder"
    if path.name.startswith(UNFINISHED) or garbage(path):
        return "the only backup here was interrupted, and nothing can be restored from it"
    return "no backup here"


def read(path: Path) -> Backup:
    """Read a backup's manifest. Raises UsageError if it is damaged or of a newer version."""
    try:
        given = json.loads((path / MANIFEST).read_text("utf-8"))
        number = int(given["format"])
    except OSError as error:
        raise UsageError(f"{path / MANIFEST}: cannot read the file: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path / MANIFEST}: damaged; use another backup") from error
    if number > FORMAT:
        made = str(given.get("version", "a newer version"))
        raise UsageError(
            f"{path}: made by sensorflow {made}, which this version cannot read: upgrade it"
        )
    try:
        return Backup(path, Manifest(**given))
    except TypeError as error:
        raise UsageError(f"{path / MANIFEST}: damaged; use another backup") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    text = json.dumps(asdict(manifest), indent=2) + "\n"
    with open_new(folder / MANIFEST) as stream:
        stream.write(text.encode())


def open_new(path: Path) -> Any:
    """Open a file for writing that nobody else can read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb", BLOCK)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder of backups: only one process writes to it at a time. Raises UsageError."""
    with (folder / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"another backup is being written to {folder}; wait for it to finish"
            ) from None
        yield


def remove(path: Path) -> None:
    """Remove a backup. It is renamed first, so that nobody mistakes a half-removed backup for a complete
    one."""
    if not path.name.startswith((UNFINISHED, REMOVING)):
        path = path.rename(path.with_name(REMOVING + path.name))
    shutil.rmtree(path)


def sum_line(digest: str, relative: str) -> bytes:
    """Return a line in the format of sha256sum."""
    name = os.fsencode(relative)
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    return (b"\\" if escaped != name else b"") + digest.encode() + b"  " + escaped + b"\n"


def sums(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (path, SHA-256) of a backup's files, in the order in which they were copied. Raises
    UsageError."""
    with (path / SUMS).open("rb") as lines:
        for number, line in enumerate(lines, 1):
            found = re.fullmatch(rb"(\\?)([0-9a-f]{64})  ([^\n]+)\n", line)
            if found is None:
                raise UsageError(f"{path / SUMS}: line {number} is damaged; use another backup")
            name = found[3]
            if found[1]:
                name = re.sub(rb"\\(.)", lambda m: _UNESCAPED.get(m[1], m[1]), name)
            if any(part in (b"", b".", b"..") for part in name.split(b"/")):
                raise UsageError(
                    f"{path / SUMS}: line {number} points outside of the backup; use another backup"
                )
            yield os.fsdecode(name), found[2].decode()


_UNESCAPED = {b"n": b"\n", b"r": b"\r"}


def opened(backup: Path, path: Path) -> Any:
    """Open a file of a backup for reading. Raises OSError ELOOP for a symbolic link in its path: backups
    contain none."""
    for part in (path, *path.parents):
        if part == backup:
            break
        if part.is_symlink():
            raise OSError(errno.ELOOP, "a symbolic link", str(part))
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")


def intact(path: Path) -> bool:
    """Whether a backup's list of files is the one that it was created with."""
    try:
        return digest_of(path / SUMS) == read(path).manifest.sums
    except (UsageError, OSError):
        return False


def digest_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def verify(backup: Backup, progress: Callable[[int], object] = lambda _: None) -> Iterator[str]:
    """Yield the faults of a backup, one line per file. progress: called with the bytes read of each
    file."""
    if not (backup.path / SUMS).is_file():
        yield f"{SUMS}: missing"
        return
    if digest_of(backup.path / SUMS) != backup.manifest.sums:
        yield f"{SUMS}: changed"
        return
    for relative, digest in sums(backup.path):
        path = backup.path / relative
        try:
            with opened(backup.path, path) as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
            progress(path.stat().st_size)
        except OSError as error:
            gone = isinstance(error, FileNotFoundError)
            yield f"{relative}: {'missing' if gone else error.strerror}"
            continue
        if found != digest:
            yield f"{relative}: changed"


def unshare(backup: Backup, damaged: Iterable[str]) -> None:
    """Ensure that no later backup shares a damaged file: its modification time is changed."""
    for text in damaged:
        with suppress(OSError):
            os.utime(backup.path / text.rpartition(": ")[0], (0, 0), follow_symlinks=False)


def prune(folder: Path, keep: int) -> list[str]:
    """Remove the oldest backups, so that `keep` remain. Returns the names of the removed ones."""
    old = backups(folder)[:-keep]
    for path in old:
        remove(path)
    return [path.name for path in old]


def total(paths: Iterable[Path]) -> int:
    return sum(path.lstat().st_size for path in paths)
