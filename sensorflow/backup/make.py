"""Makes a backup while the system runs.

First, locks in the database prevent workers from removing or replacing files on disk to which the ledger
refers. Then a snapshot of the database is taken. All files to which the snapshot refers are copied, and
pg_dump dumps the snapshot. The manifest is written last.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sensorflow import __version__, bootstrap
from sensorflow.adapters.local.places import BEGAN, sync_folder
from sensorflow.backup import folder as folders
from sensorflow.backup.copies import LANDING, Copier, CopyTotals
from sensorflow.core.partitions import Layer, LayerFile
from sensorflow.errors import UsageError

if TYPE_CHECKING:
    from sensorflow.adapters.postgres.backup_snapshot import BackupSnapshot, FileToBackUp
    from sensorflow.adapters.postgres.dump import Tools
    from sensorflow.backup.folder import Backup
    from sensorflow.settings import Settings

STORES = (LANDING, *Layer, "quarantine")
LAST = ".backup.json"
"""Name of a file in the data folder. The file contains the time and the path of the last backup."""


@dataclass(frozen=True)
class BackupResult:
    """The result of `make`: a new backup and its totals. removed: names of the older backups that were
    removed. same_disk: whether the backup is on the same disk as the data folder. notes: messages for the
    user."""

    backup: Backup
    totals: CopyTotals
    removed: list[str]
    same_disk: bool = False
    notes: list[str] = field(default_factory=list)


Progress = Callable[[str, int, int], object]
"""A function that is called with the name of the current step, the number of the ledger's files that are
done, and the number of all files in the ledger."""


def require_in_data(settings: Settings) -> None:
    """Raises UsageError if the landing zone or the quarantine is outside the data folder, because backup
    and restore support only the data folder."""
    if (zone := settings.storage.elsewhere()) is not None:
        raise UsageError(
            f"{zone} is not in the data folder, and backup and restore support only that folder: first "
            "back up the database with pg_dump, then each store with its own tool"
        )


def require_outside(settings: Settings, target: Path) -> None:
    """Raises UsageError if `target`, the folder of the backups, is in the data folder or in a drop
    folder."""
    require_in_data(settings)
    resolved = target.resolve()
    folders_ = {f"sources.{n}": settings.path(s.path) for n, s in settings.folders.items()}
    for name, folder in {"data": settings.data_folder, **folders_}.items():
        if resolved.is_relative_to(folder.resolve()):
            raise UsageError(
                f"{target} is inside of the folder of {name} ({folder}): choose another folder, "
                "preferably on another disk"
            )


def make(
    settings: Settings,
    url: str,
    tools: Tools,
    target: Path,
    project: dict[str, Path],
    progress: Progress,
    keep: int | None = None,
) -> BackupResult:
    """Make a backup in a new folder below `target`.

    url: the URL of the database. tools: the programs pg_dump and pg_restore. project: path in the
    project's folder -> file, for each file of the project. progress: called during the backup. keep: number
    of backups to keep, including the new one; None to keep all. Raises UsageError if the backup cannot be
    made, and Transient DATABASE if the database is unavailable.
    """
    from sensorflow.adapters.postgres.backup_snapshot import backup_snapshot

    require_outside(settings, target)
    with _writing(target):
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        with folders.locked(target), backup_snapshot(url) as now:
            done = _Making(settings, url, tools, target, project, progress).run(now)
            done.removed.extend(_pruned(target, keep, done.notes))
        data = settings.data_folder
        same = data.exists() and target.stat().st_dev == data.stat().st_dev
    return replace(done, same_disk=same)


def _pruned(target: Path, keep: int | None, notes: list[str]) -> list[str]:
    """Remove the oldest backups in `target` and return their names. If this fails, a message is added to
    `notes` and no error is raised, because the new backup is complete."""
    try:
        return folders.prune(target, keep) if keep else []
    except OSError as error:
        notes.append(f"an older backup could not be removed: {error}")
        return []


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Convert an OSError in a `with` statement, for example because the disk is full, to a UsageError. Its
    message says that the next backup reuses the copied files."""
    try:
        yield
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UsageError(
            f"no backup was made in {target}: {reason}{place}; "
            "fix the cause, then run the command again, which reuses the copied files"
        ) from error


class _Making:
    """Makes one backup. For the arguments, see `make`."""

    def __init__(
        self,
        settings: Settings,
        url: str,
        tools: Tools,
        target: Path,
        project: dict[str, Path],
        progress: Progress,
    ) -> None:
        self._settings, self._url, self._tools = settings, url, tools
        self._target, self._project, self._progress = target, project, progress
        self._lake = bootstrap.lake(settings)

    def run(self, now: BackupSnapshot) -> BackupResult:
        final = self._target / folders.name_at(now.taken_at)
        if final.exists():
            raise UsageError(f"{final} already exists: wait a second, then run the command again")
        known, leftovers = folders.backups(self._target), folders.garbage(self._target)
        work = folders.unfinished(self._target, final.name)
        data = self._settings.data_folder
        with folders.open_new(work / folders.SUMS) as sums:
            before = next(filter(folders.intact, reversed(known)), None)
            copier = Copier(work, data, before, leftovers, sums)
            self._copy(now, copier)
            # a file that was replayed after the snapshot may have been copied before or after its replay
            replays = now.replayed_since()
            self._progress("database", now.files_count, now.files_count)
            self._dump(now, work)
            copier.add_written(folders.DUMP)
        self._finish(now, work, copier.totals, dict(replays))
        work.rename(final)
        sync_folder(self._target)
        for path in leftovers:
            folders.remove(path)
        damaged = known[known.index(before) + 1 :] if before else known
        notes = [f"{path} is damaged; the new backup has no hard links to it" for path in damaged]
        return BackupResult(folders.read(final), copier.totals, [], notes=notes)

    def _copy(self, now: BackupSnapshot, copier: Copier) -> None:
        for relative, path in self._project.items():
            copier.copy_file(path, f"{folders.PROJECT}/{relative}")
        for store in STORES:
            began = self._settings.data_folder / store / BEGAN
            if began.is_file():
                copier.copy_file(began, f"{folders.DATA}/{store}/{BEGAN}")
        for number, file in enumerate(now.files(), 1):
            self._progress("files", number, now.files_count)
            self._file(file, copier)

    def _file(self, file: FileToBackUp, copier: Copier) -> None:
        if LANDING not in file.expired:
            copier.landed(file.landing, file.size)
        for layer in Layer:
            if layer not in file.expired:
                place = self._lake.place(layer, LayerFile.of(file))
                copier.other(file.file_id, layer, place.removeprefix(f"{layer}/"))
        for number in range(1, file.quarantines + 1):
            self._quarantined(
                file, f"{file.source}/{file.file_id}-v{file.version}-{number}", copier
            )

    def _quarantined(self, file: FileToBackUp, location: str, copier: Copier) -> None:
        root = self._settings.data_folder / "quarantine"
        for path, _, names in os.walk(root / location):
            for name in sorted(names):
                relative = str((Path(path) / name).relative_to(root))
                copier.other(file.file_id, "quarantine", relative)

    def _dump(self, now: BackupSnapshot, work: Path) -> None:
        from sensorflow.adapters.postgres import dump

        dump.dump(self._tools, self._url, now.name, work / folders.DUMP)

    def _finish(
        self, now: BackupSnapshot, work: Path, totals: CopyTotals, replays: dict[int, str | None]
    ) -> None:
        from sensorflow.adapters.postgres import dump

        manifest = folders.Manifest(
            format=folders.FORMAT,
            version=__version__,
            revision=now.revision,
            at=now.taken_at.isoformat(),
            project=str(self._settings.home),
            ledger_files=now.files_count,
            readings=now.rows,
            states=now.states,
            files=totals.files,
            bytes=totals.bytes,
            sums=folders.digest_of(work / folders.SUMS),
            server=dump.server_major(self._url),
            dumped_by=self._tools.major,
            missing=totals.missing,
            replays={str(i): profile for i, profile in replays.items()},
        )
        folders.write_manifest(work, manifest)
        os.sync()  # sync everything before the backup counts as complete
