"""A lake that is being moved: the rows of a file in a layer are in the current lake, or still in the
previous one; see `ports.layers.Layers`.

Rows in the current lake hide the rows of the same file and layer in the previous lake. As with
`adapters.objects.previous`, rows are written to the current lake only, and are deleted from the previous
lake first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime

import pyarrow as pa

from sensorflow.adapters.objects.seen_names import SeenNames
from sensorflow.core.partitions import Layer, LayerFile
from sensorflow.errors import Transient
from sensorflow.ports.layers import Layers, LayerWriter, Stored


class PreviousLayers:
    """Two lakes as one. current: the lake to which rows are written. previous: the lake from which the rows
    are being moved."""

    def __init__(self, current: Layers, previous: Layers) -> None:
        self._current, self._previous = current, previous

    @contextmanager
    def batch(self) -> Iterator[PreviousLayers]:
        with self._current.batch() as current:
            yield PreviousLayers(current, self._previous)

    def writer(
        self, layer: Layer, file: LayerFile, schema: pa.Schema
    ) -> AbstractContextManager[LayerWriter]:
        return self._current.writer(layer, file, schema)

    def read(self, layer: Layer, file: LayerFile) -> Iterator[pa.RecordBatch]:
        has_begun = False
        try:
            for batch in self._current.read(layer, file):
                has_begun = True
                yield batch
            return
        except Transient as error:
            if has_begun or not isinstance(error.__cause__, FileNotFoundError):
                raise
        yield from self._previous.read(layer, file)

    def count(self, layer: Layer, file: LayerFile) -> int | None:
        found = self._current.count(layer, file)
        return self._previous.count(layer, file) if found is None else found

    def delete(self, layer: Layer, file: LayerFile) -> None:
        self._previous.delete(layer, file)
        self._current.delete(layer, file)

    def discard(self, stored: Stored) -> None:
        self._previous.discard(stored)
        self._current.discard(stored)

    def place(self, layer: Layer, file: LayerFile) -> str:
        return self._current.place(layer, file)

    def stored(self) -> Iterator[Stored | str]:
        with SeenNames() as seen:
            for found in self._current.stored():
                seen.add(_place(found))
                yield found
            for found in self._previous.stored():
                if _place(found) not in seen:
                    yield found

    def stored_at(self, place: str) -> Stored | None:
        return self._current.stored_at(place)

    def created_at(self, layer: Layer) -> datetime | None:
        return self._previous.created_at(layer)

    def list_unfinished(self, older_than_seconds: float) -> list[str]:
        lakes = (self._current, self._previous)
        return [name for lake in lakes for name in lake.list_unfinished(older_than_seconds)]

    def remove_unfinished(self, older_than_seconds: float) -> int:
        lakes = (self._current, self._previous)
        return sum(lake.remove_unfinished(older_than_seconds) for lake in lakes)


def _place(found: Stored | str) -> str:
    return found if isinstance(found, str) else found.place
