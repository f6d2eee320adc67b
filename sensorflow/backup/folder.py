"""Lists, reads, verifies and removes the backups in a folder."""

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
    """The description of a backup. It is stored in the backup's file manifest.json.

    format: version of this format. version: version of sensorflow that made the backup. revision: revision
    of the database schema. at: time of the database snapshot, in ISO 8601. project: folder of the project.
    ledger_files, readings: number of files in the ledger, and of readings in the database. states: number
    of files in each state. files, bytes: number and total size of all files in the backup, including hard
    links. sums: SHA-256 of the file SHA256SUMS. server, dumped_by: major versions of PostgreSQL and of
    pg_dump. missing: a message for each file that could not be copied. replays: the files to replay after
    a restore: id -> name of the profile for the replay, or None for the profile of the file's source; see
    `BackupSnapshot.replayed_since`. project_id: the id of the project; "" in backups of versions that had
    none.
    """

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
    project_id: str = ""


@dataclass(frozen=True)
class Backup:
    """A complete backup. path: its folder."""

    path: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        return self.path.name


def name_at(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")


def backups(folder: Path) -> list[Path]:
    """Return the folders of the complete backups in `folder`, oldest first. A folder is a complete backup
    if its name is a time (see `name_at`) and it contains a manifest."""
    if not folder.is_dir():
        return []
    named = (p for p in folder.iterdir() if NAME.fullmatch(p.name) and not p.is_symlink())
    return sorted(p for p in named if (p / MANIFEST).is_file())


def unfinished(folder: Path, name: str) -> Path:
    """Create a folder for a backup that is not complete yet, and return its path. name: the name of the
    complete backup. If the folder of another interrupted backup has the same name, a number is
    appended."""
    for number in itertools.count():
        candidate = folder / f"{UNFINISHED}{name}{f'-{number}' if number else ''}"
        with suppress(FileExistsError):
            candidate.mkdir(mode=0o700)
            return candidate
    raise AssertionError("not reached")


def garbage(folder: Path) -> list[Path]:
    """Return the folders, in `folder`, of backups whose creation or removal was interrupted."""
    found = (p for p in folder.iterdir() if p.name.startswith((UNFINISHED, REMOVING)))
    return sorted(p for p in found if p.is_dir() and not p.is_symlink())


def chosen(path: Path) -> Backup:
    """Return the backup in the folder `path`. If `path` is a folder of backups, return the newest one.
    Raises UsageError if there is no backup."""
    if (path / MANIFEST).is_file():
        return read(path)
    found = backups(path)
    if not found:
        raise UsageError(
            f"{path}: {_no_backup_message(path)}; give the folder that `sensorflow backup` wrote"
        )
    return read(found[-1])


def _no_backup_message(path: Path) -> str:
    if not path.is_dir():
        return "no such folder"
    if path.name.startswith(UNFINISHED) or garbage(path):
        return "the only backup here was interrupted, and nothing can be restored from it"
    return "no backup here"


def read(path: Path) -> Backup:
    """Read the manifest of the backup in the folder `path`. Raises UsageError if the manifest is damaged,
    or if a newer version of sensorflow has written it."""
    try:
        given = json.loads((path / MANIFEST).read_text("utf-8"))
        number = int(given["format"])
    except OSError as error:
        raise UsageError(f"{path / MANIFEST}: cannot read the file: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path / MANIFEST}: damaged; use another backup") from error
    if number > FORMAT:
        version = str(given.get("version", "a newer version"))
        raise UsageError(
            f"{path}: this version cannot read backups of sensorflow {version}; upgrade sensorflow"
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
    """Open a file for writing bytes. Create the file so that only the present user can read it; if it
    exists, empty it."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb", BLOCK)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder of backups in a `with` statement, so that only one process at a time writes to it.
    Raises UsageError if another process has locked the folder."""
    with (folder / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"another backup is being written to {folder}; wait for it to finish"
            ) from None
        yield


def remove(path: Path) -> None:
    """Remove a backup. path: its folder. The folder is renamed first, so that a partly removed backup is
    never taken for a complete one."""
    if not path.name.startswith((UNFINISHED, REMOVING)):
        path = path.rename(path.with_name(REMOVING + path.name))
    shutil.rmtree(path)


def sum_line(digest: str, relative: str) -> bytes:
    """Return the line of SHA256SUMS for a file, in the format of sha256sum."""
    name = os.fsencode(relative)
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    return (b"\\" if escaped != name else b"") + digest.encode() + b"  " + escaped + b"\n"


def sums(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (path in the backup, SHA-256) for each file of a backup, in the order in which the files were
    copied. Raises UsageError if SHA256SUMS is damaged."""
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
                    f"{path / SUMS}: line {number} has a path outside of the backup; use another backup"
                )
            yield os.fsdecode(name), found[2].decode()


_UNESCAPED = {b"n": b"\n", b"r": b"\r"}


def opened(backup: Path, path: Path) -> Any:
    """Open a file of a backup for reading bytes. backup: folder of the backup. path: path of the file.
    Raises OSError ELOOP if a part of the path below `backup` is a symbolic link, because backups contain no
    symbolic links."""
    for part in (path, *path.parents):
        if part == backup:
            break
        if part.is_symlink():
            raise OSError(errno.ELOOP, "a symbolic link", str(part))
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")


def intact(path: Path) -> bool:
    """Return whether the file SHA256SUMS of a backup is unchanged since the backup was made. The files
    that it lists are not checked."""
    try:
        return digest_of(path / SUMS) == read(path).manifest.sums
    except (UsageError, OSError):
        return False


def digest_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def verify(backup: Backup, progress: Callable[[int], object] = lambda _: None) -> Iterator[str]:
    """Verify the checksums of all files of a backup. Yields a line for each missing or changed file.
    progress: called after each file with its number of bytes."""
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
    """Change the modification times of damaged files in a backup. Later backups then copy these files
    again and do not link to the damaged copies. damaged: the lines that `verify` yields."""
    for text in damaged:
        with suppress(OSError):
            os.utime(backup.path / text.rpartition(": ")[0], (0, 0), follow_symlinks=False)


def prune(folder: Path, keep: int) -> list[str]:
    """Remove the oldest backups in `folder`, so that at most `keep` complete backups remain. Returns the
    names of the removed backups."""
    old = backups(folder)[:-keep]
    for path in old:
        remove(path)
    return [path.name for path in old]


def total(paths: Iterable[Path]) -> int:
    return sum(path.lstat().st_size for path in paths)
