"""The objects of a store whose names begin with a prefix, as a store of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import BinaryIO

from sensorflow.ports.objects import Name, Object, ObjectStore, Puts, Reader


class PrefixedObjects:
    """See `ports.objects.ObjectStore`. objects: the store that contains the objects. prefix: the beginning
    of their names there, which ends with "/"."""

    def __init__(self, objects: ObjectStore, prefix: str) -> None:
        self.name = objects.name
        self._objects, self._prefix = objects, prefix

    def put(self, name: Name, source: Reader) -> str:
        return _PrefixedPuts(self._objects, self._prefix).put(name, source)

    def create(self, name: str, data: bytes) -> bool:
        return self._objects.create(self._prefix + name, data)

    @contextmanager
    def batch(self) -> Iterator[Puts]:
        with self._objects.batch() as puts:
            yield _PrefixedPuts(puts, self._prefix)

    def open(self, name: str) -> BinaryIO:
        return self._objects.open(self._prefix + name)

    def head(self, name: str) -> Object | None:
        found = self._objects.head(self._prefix + name)
        return None if found is None else replace(found, name=name)

    def list(self, prefix: str = "") -> Iterator[Object]:
        for found in self._objects.list(self._prefix + prefix):
            yield replace(found, name=found.name.removeprefix(self._prefix))

    def copy(self, name: str, target: str) -> None:
        self._objects.copy(self._prefix + name, self._prefix + target)

    def delete(self, name: str) -> None:
        self._objects.delete(self._prefix + name)

    def created_at(self) -> datetime | None:
        return self._objects.created_at()

    def list_unfinished(self, older_than_seconds: float) -> Sequence[str]:
        found = self._objects.list_unfinished(older_than_seconds)
        return [n.removeprefix(self._prefix) for n in found if n.startswith(self._prefix)]

    def remove_unfinished(self, older_than_seconds: float) -> int:
        """Remove the incomplete objects of the whole store, because a store cannot remove some of them.
        Returns the number of removed objects."""
        return self._objects.remove_unfinished(older_than_seconds)


class _PrefixedPuts:
    def __init__(self, puts: Puts, prefix: str) -> None:
        self._puts, self._prefix = puts, prefix

    def put(self, name: Name, source: Reader) -> str:
        prefix = self._prefix
        full: Name = prefix + name if isinstance(name, str) else lambda: prefix + name()
        return self._puts.put(full, source).removeprefix(prefix)
