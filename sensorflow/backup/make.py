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

from sensorflow import __version__, bootstrap, stores
from sensorflow.adapters.local.places import sync_folder
from sensorflow.backup import folder as folders
from sensorflow.backup.copies import LANDING, Copier, CopyTotals
from sensorflow.core.partitions import Layer, LayerFile
from sensorflow.errors import Code, Transient, UsageError
from sensorflow.flow.parallel import each
from sensorflow.ports.objects import BEGAN, Object
from sensorflow.ports.project import Project
from sensorflow.settings.storage import AREAS, ZONES

if TYPE_CHECKING:
    from sensorflow.adapters.postgres.backup_snapshot import BackupSnapshot, FileToBackUp
    from sensorflow.adapters.postgres.dump import Tools
    from sensorflow.backup.folder import Backup
    from sensorflow.settings import Settings

QUARANTINE = "quarantine"
LAST = ".backup.json"
"""Name of a file in the data folder. The file contains the time and the path of the last backup."""


@dataclass(frozen=True)
class BackupResult:
    """The result of `make`: a new backup and its totals. removed: names of the older backups that were
    removed. same_disk: whether the backup is on the same disk as files that it contains. notes: messages
    for the user."""

    backup: Backup
    totals: CopyTotals
    removed: list[str]
    same_disk: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FoundObjects:
    """The objects that belong to a file of the ledger. landing: its landed bytes; None if they do not exist
    or have expired. others: the objects of the lake and the quarantine, each with its area."""

    file: FileToBackUp
    landing: Object | None
    others: list[tuple[str, Object]]


Progress = Callable[[str, int, int], object]
"""A function that is called with the name of the current step, the number of the ledger's files that are
done, and the number of all files in the ledger."""


def require_outside(settings: Settings, target: Path) -> None:
    """Raises UsageError if `target`, the folder of the backups, is in the data folder, in the folder of a
    zone, or in a drop folder."""
    resolved = target.resolve()
    used = {f"sources.{n}": settings.path(s.path) for n, s in settings.folders.items()}
    zones = {f"storage.{zone}": settings.zone_folder(zone) for zone in ZONES}
    used |= {name: folder for name, folder in zones.items() if folder is not None}
    for name, folder in {"data": settings.data_folder, **used}.items():
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
        device = target.stat().st_dev
        same = any(f.exists() and f.stat().st_dev == device for f in _contained(settings))
    return replace(done, same_disk=same)


def _contained(settings: Settings) -> Iterator[Path]:
    """Yield the folders on this host whose content a backup contains. Zones in a bucket are not on this
    host."""
    for zone in ZONES:
        if (folder := settings.zone_folder(zone)) is not None:
            yield folder
    if settings.database is None:
        yield settings.data_folder


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


def _project(url: str) -> Project | None:
    """Return the project of a database; None if its schema is older than the ids of projects."""
    from sensorflow.adapters.postgres.project import project

    try:
        return project(url)
    except Transient as error:
        if error.code is not Code.SCHEMA:
            raise
        return None


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
        own = _project(url)
        get_project = (lambda: own) if own is not None else None
        if get_project is not None:
            bootstrap.require_own_locations(settings, get_project)
        self._project_id = own.id if own is not None else ""
        self._lake = stores.lake(settings, get_project)
        self._areas = {name: stores.area(settings, name, get_project) for name in AREAS}
        self._is_on_disk = settings.zone_folder(LANDING) is not None

    def run(self, now: BackupSnapshot) -> BackupResult:
        final = self._target / folders.name_at(now.taken_at)
        if final.exists():
            raise UsageError(f"{final} already exists: wait a second, then run the command again")
        known, leftovers = folders.backups(self._target), folders.garbage(self._target)
        work = folders.unfinished(self._target, final.name)
        with folders.open_new(work / folders.SUMS) as sums:
            before = next(filter(folders.intact, reversed(known)), None)
            copier = Copier(work, self._areas, before, leftovers, sums)
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
        for area, objects in self._areas.items():
            if (at := objects.created_at()) is not None:
                text = f"{at.timestamp():.6f}\n"
                copier.add_text(text, f"{folders.DATA}/{area}/{BEGAN}")
        for number, (_, found) in enumerate(each(self._look_up, now.files()), 1):
            self._progress("files", number, now.files_count)
            self._file(found, copier)

    def _look_up(self, file: FileToBackUp) -> FoundObjects:
        """Find the objects that belong to a file. Called in several threads."""
        landing = None
        if LANDING not in file.expired:
            landing = self._areas[LANDING].head(file.landing)
        others: list[tuple[str, Object]] = []
        for layer in Layer:
            if layer not in file.expired:
                name = self._lake.place(layer, LayerFile.of(file)).removeprefix(f"{layer}/")
                if (found := self._areas[layer].head(name)) is not None:
                    others.append((layer, found))
        for number in range(1, file.quarantines + 1):
            location = f"{file.source}/{file.file_id}-v{file.version}-{number}/"
            listed = self._areas[QUARANTINE].list(location)
            others += ((QUARANTINE, found) for found in sorted(listed, key=lambda o: o.name))
        return FoundObjects(file, landing, others)

    def _file(self, found: FoundObjects, copier: Copier) -> None:
        file = found.file
        if LANDING not in file.expired:
            copier.landed(file.landing, file.size, found.landing, self._is_on_disk)
        for area, one in found.others:
            copier.other(file.file_id, area, one)

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
            project_id=self._project_id,
        )
        folders.write_manifest(work, manifest)
        os.sync()  # sync everything before the backup counts as complete
