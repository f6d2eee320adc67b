"""The project to which a location belongs.

The names of objects contain ids of the ledger. Two projects at one location would therefore replace and
remove each other's objects. The object `.project` at a location contains the id of the project that began
it. It is created conditionally, so of several projects exactly one owns a location.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Sequence

from sensorflow.errors import DO, Code, Transient
from sensorflow.ports.objects import OWNER, ObjectStore
from sensorflow.ports.project import GetProject, Project

AGAIN_SECONDS = 60.0
"""How long an owner is not asked for again. Then a running process notices that the location was claimed by
another project, or that its disk is not mounted any more."""


class LocationOwner:
    """Compares the owner of a location with the own project. After a success, the methods send no requests
    for `AGAIN_SECONDS`. All methods raise Transient STORAGE and DATABASE, and Transient NOT_OWNED if the
    location belongs to another project. A location without an owner is the own one unless it has objects
    while the own ledger has no files.

    objects: a store of the location, in which a missing folder is empty. location: for messages. folders:
    prefixes of the names of all objects that belong to the location. zone: the zone that is there; None if
    the location may be empty although the ledger has files, as the target of a move.
    """

    def __init__(
        self,
        objects: ObjectStore,
        get_project: GetProject,
        location: str,
        folders: Sequence[str] = ("",),
        zone: str | None = None,
    ) -> None:
        self.location = location
        self._objects, self._get_project, self._folders = objects, get_project, folders
        self._zone = zone
        self._read_at = self._written_at = -math.inf
        self._own_id: str | None = None  # known after the ledger was asked

    def owner(self) -> str | None:
        """Return the id of the project to which the location belongs; None if it belongs to none."""
        try:
            with self._objects.open(OWNER) as note:
                return note.read().decode("utf-8", "replace").strip()
        except Transient as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise

    def require(self) -> None:
        """Check that the location is the own one. Changes nothing."""
        if _is_old(self._read_at):
            if self._compare(self.owner()) is not None:
                self._written_at = time.monotonic()
            self._read_at = time.monotonic()

    def claim(self) -> None:
        """Check that the location is the own one, and record it if the location has no owner. Call this
        before objects are stored. Raises also as `require_objects`."""
        if _is_old(self._written_at):
            self._claim(self.owner())

    def claim_if_used(self) -> None:
        """Like `claim`, but do not record an owner if the location is empty. Call this before objects are
        removed: at a location that was emptied, a missing object is not removed."""
        if _is_old(self._written_at):
            owner = self.owner()
            if owner is not None or self._has_objects():
                self._claim(owner)
            else:
                self._require_objects(self._get_project())

    def require_objects(self) -> None:
        """Raise Transient STORAGE if the location has neither an owner nor objects, although the ledger has
        files with objects in this zone: what is stored there now would later be out of sight."""
        if self.owner() is None:
            self._require_objects(self._get_project())

    def _require_objects(self, project: Project) -> None:
        if self._zone in project.stored and not self._has_objects():
            raise Transient(
                Code.STORAGE,
                f"{self.location} is empty, but the ledger has files that are stored there",
                **{DO: EMPTIED},
            )

    def _claim(self, owner: str | None) -> None:
        if self._compare(owner) is None:
            project = self._get_project()
            self._require_objects(project)
            self._objects.create(OWNER, _content(project))
            # a server may ignore the condition: then the last writer is the owner
            self._require_owner(project, self.owner())
        self._read_at = self._written_at = time.monotonic()

    def replace(self) -> None:
        """Make the own project the owner, whoever owned the location."""
        self._objects.put(OWNER, io.BytesIO(_content(self._get_project())))

    def remove(self) -> None:
        """Remove the record of the owner."""
        self._objects.delete(OWNER)

    def _compare(self, owner: str | None) -> str | None:
        if owner is not None and owner == self._own_id:
            return owner
        project = self._get_project()
        self._own_id = project.id
        if owner is None and not project.has_files and self._has_objects():
            owner = self.owner()  # another process may have begun the location meanwhile
            if owner is None:
                raise Transient(
                    Code.NOT_OWNED,
                    f"{self.location} contains objects, but the ledger of this project (id {project.id}) "
                    "has no files",
                    **{DO: _remedy("sensorflow storage claim")},
                )
        if owner is not None:
            self._require_owner(project, owner)
        return owner

    def _require_owner(self, project: Project, owner: str | None) -> None:
        if owner != project.id:
            raise Transient(
                Code.NOT_OWNED,
                f"{self.location} belongs to the project with the id {owner}; the id of this project, "
                f"which is in its database, is {project.id}",
                **{DO: _remedy(f"sensorflow storage claim --from {owner}")},
            )

    def _has_objects(self) -> bool:
        return any(next(iter(self._objects.list(f)), None) is not None for f in self._folders)


EMPTIED = (
    "mount its disk, or correct [storage]; if the stored files are lost, restore a backup, or run "
    "`sensorflow storage claim` to begin with an empty location"
)


def _is_old(asked_at: float) -> bool:
    return time.monotonic() - asked_at > AGAIN_SECONDS


def _content(project: Project) -> bytes:
    return f"{project.id}\n".encode()


def _remedy(command: str) -> str:
    return (
        "set a location in [storage] that no other project uses, and restart; if the database was created "
        "again and the data there is not needed, remove the data; if the data belongs to this project, run "
        f"`{command}`; see docs/how-to/storage.md#one-project"
    )
