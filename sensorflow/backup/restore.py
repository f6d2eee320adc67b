"""Restores a backup into an empty project.

All files are first copied to `data/.restoring`. Then the database is filled in one transaction. After
that, the copied folders are moved to their final places in `data`. While `data/.restoring` exists, no other
command uses the project. After an interruption, the same command repeats or finishes the restore.

Files of an area that is not in the data folder are stored in it at once, because nothing refers to them
until the database is filled. The area must have been empty when the restore began: `data/.restoring/areas`
records this.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sensorflow import stores
from sensorflow.adapters.local.places import created_at, sync_folder
from sensorflow.backup import folder as folders
from sensorflow.backup.copies import LANDING
from sensorflow.backup.folder import Backup
from sensorflow.disk import free, room, size
from sensorflow.errors import Code, SensorflowError, UsageError
from sensorflow.flow.hashed import Damaged, VerifyingReader
from sensorflow.flow.in_flight import in_flight
from sensorflow.flow.storage_migration import set_created_at
from sensorflow.ports.objects import BEGAN, MARKERS
from sensorflow.ports.project import Project
from sensorflow.settings import RESTORING
from sensorflow.settings.storage import AREAS, ZONES, display_url, zone_of

if TYPE_CHECKING:
    from sensorflow.adapters.postgres.dump import Tools
    from sensorflow.flow.location_owner import LocationOwner
    from sensorflow.settings import Settings

BEGUN_AREAS = "areas"
THREADS = 4
"""Number of files that are copied at the same time. An upload of a large file needs 40 MiB of memory."""
FILLING, PLACING = "filling the database", "placing the files"
STEP = "step"


class Restore:
    """A restore of one backup. Its methods are the steps of the restore and must be called in this order:
    `require`, `require_database`, `begin`, `copy`, `fill`, `place`.

    settings: the settings of the target project. progress: called with the name of the current step, and
    the number of bytes that were copied since the last call.
    """

    def __init__(
        self, backup: Backup, settings: Settings, progress: Callable[[str, int], object]
    ) -> None:
        self._backup, self._settings, self._progress = backup, settings, progress
        self._data = settings.data_folder
        self._staging = self._data / RESTORING
        self._own = Project(backup.manifest.project_id, has_files=True)
        self._outside = {
            area: stores.area(settings, area)
            for area in AREAS
            if area_location(settings, area) != os.path.normpath(self._data / area)
        }

    def _owners(self, outside: bool) -> Iterator[LocationOwner]:
        """Yield the owner of each zone that is, or is not, outside the data folder."""
        zones = {zone_of(area) for area in self._outside}
        for zone in ZONES:
            if (zone in zones) == outside:
                yield stores.location_owner(self._settings, zone, lambda: self._own)

    def require(self) -> None:
        """Check that the backup can be restored into the target project. Changes nothing. Raises
        UsageError if this version of sensorflow cannot read the backup, if the data folder of the project
        is not empty, or if the disk has not enough space."""
        require_readable(self._backup)
        if self._settings.storage.previous is not None:
            raise UsageError("a restore writes to one location: remove storage.previous first")
        if self.step == PLACING:
            return
        for store in (*AREAS, "archive"):
            if store not in self._outside:
                self._require_empty(store)
        self._require_no_objects()
        self._require_no_owner()
        wanted = self._backup.manifest.bytes
        if LANDING not in self._outside and free(self._data) < wanted:
            raise UsageError(
                f"{self._data}: {room(self._data)}; the backup needs at least {size(wanted)}"
            )

    def _require_empty(self, store: str) -> None:
        if (self._data / store).is_symlink():
            raise UsageError(f"{self._data / store} is a symbolic link: remove it, then restore")
        if (existing := _first(self._data / store)) is not None:
            raise UsageError(
                f"{self._data} contains data ({existing.relative_to(self._data)}), and a restore never "
                "overwrites data: move this folder to another place, or restore into another project with "
                "--to FOLDER"
            )

    def _require_no_objects(self) -> None:
        begun = self._begun_areas()
        for area, objects in self._outside.items():
            if self._mark(area) in begun:
                continue
            if (first := next(objects.list(), None)) is not None:
                place = display_url(area_location(self._settings, area))
                raise UsageError(
                    f"{place} contains objects ({first.name}), and a restore never overwrites data: "
                    "write a sensorflow.toml with an empty location in [storage] to "
                    f"{self._settings.home}, then restore"
                )

    def _require_no_owner(self) -> None:
        for one in self._owners(outside=True):
            if (owner := one.owner()) not in (None, self._own.id):
                raise UsageError(
                    f"{one.location} belongs to another project (id {owner}): write a sensorflow.toml with "
                    f"another location in [storage] to {self._settings.home}, then restore",
                    Code.NOT_OWNED,
                )

    def _mark(self, area: str) -> str:
        """Return the line that says that a restore of this backup into the area has begun."""
        place = display_url(area_location(self._settings, area))
        return f"{area} {self._backup.manifest.sums} {place}"

    def _begun_areas(self) -> list[str]:
        """Return the mark of each area outside the data folder that was empty when an interrupted restore
        began."""
        try:
            return (self._staging / BEGUN_AREAS).read_text("utf-8").splitlines()
        except OSError:
            return []

    @property
    def step(self) -> str | None:
        """The step at which an earlier restore into this project was interrupted: `FILLING`, `PLACING`, or
        "" for a step before these. None if no restore was interrupted."""
        try:
            return (self._staging / STEP).read_text("utf-8").partition("\n")[0]
        except OSError:
            return "" if self._staging.is_dir() else None

    def require_database(self, url: str, own: bool) -> None:
        """Raises UsageError if the database is not empty. own: whether the database is the embedded one.
        The embedded database may contain empty tables, or the tables of an interrupted restore, because
        `fill` can remove them."""
        from sensorflow.adapters.postgres import dump

        tables, used = dump.contents(url)
        if not tables or self.step == PLACING or (own and (not used or self.step == FILLING)):
            return
        if own:
            raise UsageError(
                f"the database of this project ({self._settings.home}) contains files, and a restore "
                "never overwrites data: restore into another project with --to FOLDER, or first remove all "
                "data of this project with `sensorflow up --reset`"
            )
        raise UsageError(
            f"the database is not empty (it has the tables {', '.join(tables[:3])}), and a restore never "
            "overwrites data: create an empty database, and set database_url to it"
        )

    def begin(self) -> None:
        """Create the folder `data/.restoring` for the copies. If it contains copies of an interrupted
        restore, remove them, but not the file that records the step."""
        if self.step == PLACING:
            return
        self._staging.mkdir(parents=True, exist_ok=True)
        for path in self._staging.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name not in (STEP, BEGUN_AREAS):
                path.unlink()
        for one in self._owners(outside=True) if self._own.id else ():
            one.claim()
        lines = "".join(f"{self._mark(area)}\n" for area in self._outside)
        (self._staging / BEGUN_AREAS).write_text(lines, "utf-8")
        sync_folder(self._staging)

    def copy(self) -> None:
        """Copy the files of the backup to `data/.restoring` or into their areas, and verify their
        checksums. Raises UsageError as soon as a file is missing or has changed."""
        if self.step == PLACING:
            return
        for size_bytes in in_flight(self._copy, self._files(), THREADS):
            self._progress("files", size_bytes)

    def _files(self) -> Iterator[tuple[str, str, str]]:
        """Yield the area, the name in it, and the SHA-256 of each stored file of the backup."""
        for relative, digest in folders.sums(self._backup.path):
            area, _, name = relative.removeprefix(f"{folders.DATA}/").partition("/")
            is_stored = relative.startswith(f"{folders.DATA}/") and area in AREAS
            if is_stored and (name != BEGAN or area not in self._outside):
                yield area, name, digest

    def _copy(self, file: tuple[str, str, str]) -> int:
        """Copy a file; see `_files`. Returns its number of bytes. Called in several threads."""
        area, name, digest = file
        source = self._backup.path / folders.DATA / area / name
        try:
            with folders.opened(self._backup.path, source) as stream:
                stat = os.fstat(stream.fileno())
                reader = VerifyingReader(stream, digest, stat.st_size)
                if area in self._outside:
                    self._outside[area].put(_object_name(name), reader)
                    return reader.count
                target = self._staging / area / name
                _make(target.parent)
                with target.open("xb") as copy:
                    while block := reader.read(folders.BLOCK):
                        copy.write(block)
        except FileNotFoundError as error:
            raise UsageError(f"{source}: missing; nothing was restored") from error
        except Damaged as error:
            raise UsageError(
                f"{source}: changed since the backup was made; nothing was restored"
            ) from error
        os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        return reader.count

    def fill(self, url: str, tools: Tools, own: bool) -> None:
        """Fill the database from the dump in the backup, and upgrade its schema. own: see
        `require_database`. Raises UsageError if the database is not empty or the dump cannot be
        restored."""
        from sensorflow.adapters.postgres import backup_snapshot, dump, migrate

        if self.step == PLACING:
            return
        self._progress("database", 0)
        self.require_database(url, own)
        if own and dump.contents(url)[0]:  # empty tables, or the remains of an interrupted restore
            dump.recreate(url)
        self._note(FILLING)
        try:
            dump.restore(tools, url, self._backup.path / folders.DUMP)
        except UsageError:  # nothing was committed
            (self._staging / STEP).unlink()
            raise
        migrate.upgrade(url)
        manifest = self._backup.manifest
        backup_snapshot.resume(url, {int(i): profile for i, profile in manifest.replays.items()})
        os.sync()
        self._note(PLACING)

    def place(self, url: str) -> None:
        """Move each copied folder to its final place in `data` by a rename, and remove
        `data/.restoring`. url: the URL of the restored database. Its project becomes the owner of the
        data."""
        from sensorflow.adapters.postgres.project import project

        self._own = project(url)
        for one in self._owners(outside=True):
            one.claim()
        self._keep_creation_times()
        for store in AREAS:
            staged = self._staging / store
            if staged.is_dir():
                if (self._data / store).is_dir():
                    self._require_empty(store)
                    shutil.rmtree(self._data / store)
                staged.rename(self._data / store)
        for one in self._owners(outside=False):
            one.replace()  # the data folder was empty, so it belonged to nobody
        done = self._staging.with_name(
            f"{RESTORING}-done"
        )  # after the rename, the restore counts as finished
        shutil.rmtree(done, ignore_errors=True)
        self._staging.rename(done)
        sync_folder(self._data)
        shutil.rmtree(done)

    def _keep_creation_times(self) -> None:
        """Record in the areas outside of the data folder when the areas of the backup were created."""
        created = {area: created_at(self._backup.path / folders.DATA / area) for area in AREAS}
        for objects, areas in stores.stores_of(self._settings, self._outside):
            times = [at for area in areas if (at := created[area]) is not None]
            set_created_at(objects, min(times) if len(times) == len(areas) else None)

    def abandon(self) -> None:
        """Undo a restore that has failed: remove the copies, if the restore has not begun to fill the
        database. If an area is unavailable, its objects stay, and the same command continues the
        restore."""
        if self.step != "":
            return
        with suppress(SensorflowError):
            for area, name, _ in self._files():
                if area in self._outside:
                    self._outside[area].delete(_object_name(name))
            for one in self._owners(outside=True):
                one.remove()
            shutil.rmtree(self._staging)

    def _note(self, step: str) -> None:
        path = self._staging / STEP
        path.write_text(f"{step}\n{self._backup.path}\n", "utf-8")


def require_readable(backup: Backup) -> None:
    """Raises UsageError if this version of sensorflow does not know the database schema of the backup."""
    from sensorflow.adapters.postgres import migrate

    manifest = backup.manifest
    if not migrate.is_known(manifest.revision):
        raise UsageError(
            f"{backup.path}: the backup was made by sensorflow {manifest.version} with the database schema "
            f"{manifest.revision}, but this version only knows schemas up to {migrate.head()}: upgrade "
            "sensorflow, then restore"
        )


def _first(folder: Path) -> Path | None:
    """Return the path of any file in the folder or its subfolders, or None if there is none. The
    files that describe the folder, such as `.began`, do not count."""
    for path, _, names in os.walk(folder):
        if found := [name for name in names if name not in MARKERS]:
            return Path(path) / found[0]
    return None


def area_location(settings: Settings, area: str) -> str:
    """Return the location of an area; see `Settings.zone_location`."""
    location = settings.zone_location(zone_of(area))
    return location if area in ZONES else f"{location}/{area}"


def _object_name(relative: str) -> str:
    """Return the name of the object that the path in a backup represents."""
    return os.fsencode(relative).decode("utf-8", "surrogateescape")


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
