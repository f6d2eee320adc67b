"""In-memory objects. As in a bucket, an object cannot be renamed."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import BinaryIO

from sensorflow.errors import Code, Transient
from sensorflow.ports.objects import MARKERS, Name, Object, Puts, Reader, rewinds


class MemoryObjects:
    """An in-memory object store (see `ports.objects.ObjectStore`). contents: name -> bytes. A test may
    change the contents to simulate damage."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.contents: dict[str, bytes] = {}
        self._written_at: dict[str, datetime] = {}
        self._creating = threading.Lock()

    def put(self, name: Name, source: Reader) -> str:
        with self.batch() as batch:
            return batch.put(name, source)

    def create(self, name: str, data: bytes) -> bool:
        with self._creating:
            if name in self.contents:
                return False
            self.put(name, io.BytesIO(data))
        return True

    @contextmanager
    def batch(self) -> Iterator[Puts]:
        batch = _Batch()
        yield batch
        self.contents.update(batch.contents)
        self._written_at.update(dict.fromkeys(batch.contents, datetime.now(UTC)))

    def open(self, name: str) -> BinaryIO:
        if name not in self.contents:
            raise Transient(Code.STORAGE, f"no object {name!r}") from FileNotFoundError(name)
        return io.BytesIO(self.contents[name])

    def head(self, name: str) -> Object | None:
        if name not in self.contents:
            return None
        return Object(name, len(self.contents[name]), self._written_at[name])

    def list(self, prefix: str = "") -> Iterator[Object]:
        for name in [
            name for name in self.contents if name.startswith(prefix) and name not in MARKERS
        ]:
            if (found := self.head(name)) is not None:
                yield found

    def copy(self, name: str, target: str) -> None:
        self.put(target, self.open(name))

    def delete(self, name: str) -> None:
        self.contents.pop(name, None)

    def created_at(self) -> datetime | None:
        return None

    def list_unfinished(self, older_than_seconds: float) -> Sequence[str]:
        return []

    def remove_unfinished(self, older_than_seconds: float) -> int:
        return 0


class _Batch:
    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def put(self, name: Name, source: Reader) -> str:
        data = source.read()
        final_name = name if isinstance(name, str) else name()
        if callable(name) and rewinds(source):
            source.seek(0)
            data = source.read()
            if name() != final_name:
                raise Transient(
                    Code.STORAGE, f"{final_name!r}: the second reading returned other bytes"
                )
        self.contents[final_name] = data
        return final_name
