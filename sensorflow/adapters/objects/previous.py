"""An object store that is being moved: the objects are in the current store, or still in the previous one;
see `ports.objects.ObjectStore`.

An object in the current store hides the object of the same name in the previous store. New objects are
stored in the current store only, so that no object of the previous store ever changes. Deleting removes an
object from both stores, from the previous one first: after an interruption, an object that was replaced
cannot reappear in its former state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import BinaryIO

from sensorflow.adapters.objects.seen_names import SeenNames
from sensorflow.errors import Transient
from sensorflow.ports.objects import Name, Object, ObjectStore, Puts, Reader


class PreviousObjects:
    """Two object stores as one. current: the store to which objects are written. previous: the store from
    which the objects are being moved."""

    def __init__(self, current: ObjectStore, previous: ObjectStore) -> None:
        self.name = current.name
        self._current, self._previous = current, previous

    def put(self, name: Name, source: Reader) -> str:
        return self._current.put(name, source)

    def create(self, name: str, data: bytes) -> bool:
        return self._previous.head(name) is None and self._current.create(name, data)

    def batch(self) -> AbstractContextManager[Puts]:
        return self._current.batch()

    def open(self, name: str) -> BinaryIO:
        try:
            return self._current.open(name)
        except Transient as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
        return self._previous.open(name)

    def head(self, name: str) -> Object | None:
        found = self._current.head(name)
        return self._previous.head(name) if found is None else found

    def list(self, prefix: str = "") -> Iterator[Object]:
        """See `ObjectStore.list`. The previous store is listed last, so that an object that is copied
        meanwhile is not missed."""
        with SeenNames() as seen:
            for found in self._current.list(prefix):
                seen.add(found.name)
                yield found
            for found in self._previous.list(prefix):
                if found.name not in seen:
                    yield found

    def copy(self, name: str, target: str) -> None:
        if self._current.head(name) is not None:
            self._current.copy(name, target)
            return
        with self._previous.open(name) as source:
            self._current.put(target, source)

    def delete(self, name: str) -> None:
        self._previous.delete(name)
        self._current.delete(name)

    def created_at(self) -> datetime | None:
        """Return when the previous store was created, because its objects are older than the current
        store."""
        return self._previous.created_at()

    def list_unfinished(self, older_than_seconds: float) -> Sequence[str]:
        stores = (self._current, self._previous)
        return [name for store in stores for name in store.list_unfinished(older_than_seconds)]

    def remove_unfinished(self, older_than_seconds: float) -> int:
        stores = (self._current, self._previous)
        return sum(store.remove_unfinished(older_than_seconds) for store in stores)
