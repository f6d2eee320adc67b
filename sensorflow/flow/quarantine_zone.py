"""The quarantine zone: files that cannot be loaded, stored for inspection, each with a manifest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, BinaryIO

from sensorflow import failpoints
from sensorflow.errors import Code, Transient
from sensorflow.escaping import to_json
from sensorflow.ports.objects import Object, ObjectStore

FILES = "*/*/file"
"""Pattern of the folders that contain the quarantined files under their senders' names."""


class QuarantineZone:
    """The quarantined files and their manifests. A file is an object named
    ``<source>/<id>-v<version>-<n>/file/<name>``, with the sender's file name. Its manifest is stored next
    to ``file/``. Methods raise Transient STORAGE if the store is full or unavailable."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def put(self, folder: str, name: bytes, stream: BinaryIO, manifest: dict[str, Any]) -> str:
        """Store the file, then its manifest. Returns their location. Never overwrites a manifest.

        folder: unique to the file's version and attempt. After a crash, a second call with the same folder
        completes the first call.
        """
        text = name.decode("utf-8", "surrogateescape")
        self._objects.put(f"{folder}/file/{text}", stream)
        failpoints.hit(failpoints.Failpoint.QUARANTINE_COPIED)
        self._objects.create(_manifest(folder), to_json(manifest, indent=2).encode())
        return folder

    def manifest(self, location: str) -> dict[str, Any]:
        """Returns a manifest. Raises ValueError if it is invalid, and Transient STORAGE if it cannot be
        read. The cause of Transient STORAGE is FileNotFoundError if the manifest does not exist."""
        try:
            with self._objects.open(_manifest(location)) as stream:
                text = stream.read().decode("utf-8")
        except OSError as error:  # while the manifest is read
            raise Transient(Code.STORAGE, f"{_manifest(location)}: {error.strerror}") from error
        found = json.loads(text)
        assert isinstance(found, dict)
        return found

    def size(self, location: str) -> int | None:
        """Returns the size of a quarantined file in bytes, or None if it does not exist. Raises Transient
        STORAGE if the zone is unavailable."""
        original = self._original(location)
        if original is None:
            self._objects.head(_manifest(location))  # raises if the whole zone is missing
        return None if original is None else original.size

    def open(self, location: str) -> BinaryIO:
        """Open a quarantined file. Raises Transient STORAGE if it does not exist."""
        original = self._original(location)
        if original is None:
            raise Transient(Code.STORAGE, f"no quarantined file at {location!r}")
        return self._objects.open(original.name)

    def _original(self, location: str) -> Object | None:
        originals = list(self._objects.list(f"{location}/file/"))
        return originals[0] if len(originals) == 1 else None

    def created_at(self) -> datetime | None:
        """See `ObjectStore.created_at`."""
        return self._objects.created_at()

    def list_unfinished(self, older_than_seconds: float) -> Sequence[str]:
        """See `ObjectStore.list_unfinished`."""
        return self._objects.list_unfinished(older_than_seconds)

    def remove_unfinished(self, older_than_seconds: float) -> int:
        """See `ObjectStore.remove_unfinished`."""
        return self._objects.remove_unfinished(older_than_seconds)


def _manifest(location: str) -> str:
    return f"{location}/manifest.json"
