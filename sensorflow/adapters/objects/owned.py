"""An object store that refuses a location of another project; see `ports.objects.ObjectStore`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import BinaryIO

from sensorflow.flow.location_owner import LocationOwner
from sensorflow.ports.objects import MARKERS, Name, Object, ObjectStore, Puts, Reader


class OwnedObjects:
    """The objects of a location that belongs to the own project. All methods also raise as those of
    `LocationOwner`."""

    def __init__(self, objects: ObjectStore, owner: LocationOwner) -> None:
        self.name = objects.name
        self._objects, self._owner = objects, owner

    def put(self, name: Name, source: Reader) -> str:
        self._owner.claim()
        return self._objects.put(name, source)

    def create(self, name: str, data: bytes) -> bool:
        self._owner.claim()
        return self._objects.create(name, data)

    @contextmanager
    def batch(self) -> Iterator[Puts]:
        with self._objects.batch() as puts:
            yield _OwnedPuts(puts, self._owner)

    def open(self, name: str) -> BinaryIO:
        self._owner.require()
        return self._objects.open(name)

    def head(self, name: str) -> Object | None:
        self._owner.require()
        return self._objects.head(name)

    def list(self, prefix: str = "") -> Iterator[Object]:
        self._owner.require()
        yield from (found for found in self._objects.list(prefix) if found.name not in MARKERS)

    def copy(self, name: str, target: str) -> None:
        self._owner.claim()
        self._objects.copy(name, target)

    def delete(self, name: str) -> None:
        self._owner.claim_if_used()
        self._objects.delete(name)

    def created_at(self) -> datetime | None:
        self._owner.require()
        return self._objects.created_at()

    def list_unfinished(self, older_than_seconds: float) -> Sequence[str]:
        self._owner.require()
        return self._objects.list_unfinished(older_than_seconds)

    def remove_unfinished(self, older_than_seconds: float) -> int:
        self._owner.claim_if_used()
        return self._objects.remove_unfinished(older_than_seconds)


class _OwnedPuts:
    def __init__(self, puts: Puts, owner: LocationOwner) -> None:
        self._puts, self._owner = puts, owner

    def put(self, name: Name, source: Reader) -> str:
        self._owner.claim()
        return self._puts.put(name, source)
