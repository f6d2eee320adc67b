"""A lake that refuses a location of another project; see `ports.layers.Layers`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pyarrow as pa

from sensorflow.core.partitions import Layer, LayerFile
from sensorflow.flow.location_owner import LocationOwner
from sensorflow.ports.layers import Layers, LayerWriter, Stored


class OwnedLayers:
    """The lake at a location that belongs to the own project. All methods also raise as those of
    `LocationOwner`."""

    def __init__(self, lake: Layers, owner: LocationOwner) -> None:
        self._lake, self._owner = lake, owner

    @contextmanager
    def batch(self) -> Iterator[OwnedLayers]:
        with self._lake.batch() as lake:
            yield OwnedLayers(lake, self._owner)

    @contextmanager
    def writer(self, layer: Layer, file: LayerFile, schema: pa.Schema) -> Iterator[LayerWriter]:
        self._owner.claim()
        with self._lake.writer(layer, file, schema) as writer:
            yield writer

    def read(self, layer: Layer, file: LayerFile) -> Iterator[pa.RecordBatch]:
        self._owner.require()
        yield from self._lake.read(layer, file)

    def count(self, layer: Layer, file: LayerFile) -> int | None:
        self._owner.require()
        return self._lake.count(layer, file)

    def delete(self, layer: Layer, file: LayerFile) -> None:
        self._owner.claim_if_used()
        self._lake.delete(layer, file)

    def discard(self, stored: Stored) -> None:
        self._owner.claim_if_used()
        self._lake.discard(stored)

    def place(self, layer: Layer, file: LayerFile) -> str:
        return self._lake.place(layer, file)

    def stored(self) -> Iterator[Stored | str]:
        self._owner.require()
        yield from self._lake.stored()

    def stored_at(self, place: str) -> Stored | None:
        return self._lake.stored_at(place)

    def created_at(self, layer: Layer) -> datetime | None:
        self._owner.require()
        return self._lake.created_at(layer)

    def list_unfinished(self, older_than_seconds: float) -> list[str]:
        self._owner.require()
        return self._lake.list_unfinished(older_than_seconds)

    def remove_unfinished(self, older_than_seconds: float) -> int:
        self._owner.claim_if_used()
        return self._lake.remove_unfinished(older_than_seconds)
