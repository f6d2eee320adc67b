"""The layers of the lake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from sensorflow.core.partitions import Layer, LayerFile

if TYPE_CHECKING:  # the daemon knows no Arrow
    import pyarrow as pa


class Unreadable(Exception):
    """A file of the lake is there and cannot be read: cut short, or changed."""


class LayerWriter(Protocol):
    def write(self, batch: pa.RecordBatch) -> None: ...


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that lies in the lake, as its place names it: of which layer and which file of the ledger.

    place: where, in words of the store; that of `Layers.place`, or another where it does not belong.
    """

    layer: Layer
    file_id: int
    version: int
    place: str


class Layers(Protocol):
    """Of each file of the ledger its part of each layer: a table of rows. Raises Transient STORAGE.

    Safe between threads.
    """

    def writer(
        self, layer: Layer, file: LayerFile, schema: pa.Schema
    ) -> AbstractContextManager[LayerWriter]:
        """Write a file's part of a layer; it appears, whole and durable, when the context ends, or not at
        all. What was there is replaced."""
        ...

    def batch(self) -> AbstractContextManager[Layers]:
        """These layers, but what is written to them appears, durable, when this context ends; nothing of
        it when the context raises. Not safe between threads."""
        ...

    def read(self, layer: Layer, file: LayerFile) -> Iterator[pa.RecordBatch]:
        """The batches of a file's part, in the order of writing.

        Raises Transient STORAGE, caused by FileNotFoundError, when there is none.
        """
        ...

    def count(self, layer: Layer, file: LayerFile) -> int | None:
        """How many rows a file's part says it has; None when there is none. Raises when the lake is away.

        Raises Unreadable when it is there and is not what a writer finished.
        """
        ...

    def delete(self, layer: Layer, file: LayerFile) -> None:
        """Idempotent."""
        ...

    def place(self, layer: Layer, file: LayerFile) -> str:
        """Where a file's part of a layer belongs, for people."""
        ...

    def stored(self) -> Iterator[Stored | str]:
        """Everything whole that lies in the lake, in arbitrary order; what is no file of ours as a text
        for people. Raises when the lake is away."""
        ...

    def stored_at(self, place: str) -> Stored | None:
        """What a place names, there or not; None for one that is no file of ours."""
        ...

    def discard(self, stored: Stored) -> None:
        """Remove what lies at a place, whether it belongs there or not. Idempotent."""
        ...

    def began(self, layer: Layer) -> datetime | None:
        """As `ObjectStore.began`, of a layer."""
        ...

    def unfinished(self, older: float) -> list[str]:
        """What writers left that were killed more than `older` seconds ago. None of it is read."""
        ...

    def collect(self, older: float) -> int:
        """Remove what `unfinished` finds; returns how many. A writer that is still at it fails."""
        ...
