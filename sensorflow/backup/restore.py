"""Restores a backup into an empty project.

All files are first copied to `data/.restoring`. Then the database is filled in one transaction. After
that, the copied folders are moved to their final places in `data`. While `data/.restoring` exists, no other
command uses the project. After an interruption, the same command repeats or finishes the restore.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sensorflow.adapters.local.places import BEGAN, sync_folder
from sensorflow.backup import folder as folders
from sensorflow.backup.folder import Backup
from sensorflow.backup.make import STORES, require_in_data
from sensorflow.disk import free, room, size
from sensorflow.errors import UsageError
from sensorflow.settings import RESTORING

if TYPE_CHECKING:
    from sensorflow.adapters.postgres.dump import Tools
    from sensorflow.settings import Settings

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

    def require(self) -> None:
        """Check that the backup can be restored into the target project. Changes nothing. Raises
        UsageError if this version of sensorflow cannot read the backup, if the data folder of the project
        is not empty, or if the disk has not enough space."""
        require_in_data(self._settings)
        require_readable(self._backup)
        if self.step == PLACING:
            return
        for store in (*STORES, "archive"):
            self._require_empty(store)
        wanted = self._backup.manifest.bytes
        if free(self._data) < wanted:
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
            elif path.name != STEP:
                path.unlink()

    def copy(self) -> None:
        """Copy the files of the backup to `data/.restoring`, and verify their checksums. Raises UsageError
        as soon as a file is missing or has changed."""
        if self.step == PLACING:
            return
        for relative, digest in folders.sums(self._backup.path):
            store, _, name = relative.removeprefix(f"{folders.DATA}/").partition("/")
            if relative.startswith(f"{folders.DATA}/") and store in STORES:
                self._copy(self._backup.path / relative, self._staging / store / name, digest)

    def _copy(self, source: Path, target: Path, digest: str) -> None:
        found = hashlib.sha256()
        try:
            with folders.opened(self._backup.path, source) as stream:
                _make(target.parent)
                with target.open("xb") as copy:
                    while block := stream.read(folders.BLOCK):
                        found.update(block)
                        copy.write(block)
                        self._progress("files", len(block))
                    stat = os.fstat(stream.fileno())
        except FileNotFoundError as error:
            raise UsageError(f"{source}: missing; nothing was restored") from error
        if found.hexdigest() != digest:
            raise UsageError(f"{source}: changed since the backup was made; nothing was restored")
        os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns))

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

    def place(self) -> None:
        """Move each copied folder to its final place in `data` by a rename, and remove
        `data/.restoring`."""
        for store in STORES:
            staged = self._staging / store
            if staged.is_dir():
                if (self._data / store).is_dir():
                    self._require_empty(store)
                    shutil.rmtree(self._data / store)
                staged.rename(self._data / store)
        done = self._staging.with_name(
            f"{RESTORING}-done"
        )  # after the rename, the restore counts as finished
        shutil.rmtree(done, ignore_errors=True)
        self._staging.rename(done)
        sync_folder(self._data)
        shutil.rmtree(done)

    def abandon(self) -> None:
        """Undo a restore that has failed: remove the copies, if the restore has not begun to fill the
        database."""
        if self.step == "":
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
    """Return the path of any file in the folder or its subfolders, or None if there is none. The file
    `.began`, which contains the creation time of the folder, does not count."""
    for path, _, names in os.walk(folder):
        if found := [name for name in names if name != BEGAN]:
            return Path(path) / found[0]
    return None


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
