"""The port for the layers of the lake."""

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
    """A file of the lake exists but cannot be read: it is truncated or was changed."""


class LayerWriter(Protocol):
    def write(self, batch: pa.RecordBatch) -> None: ...


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that exists in the lake, with the layer and the ledger's file that its path names.

    place: its location in the store's notation. Equal to `Layers.place` unless the file is misplaced.
    """

    layer: Layer
    file_id: int
    version: int
    place: str


class Layers(Protocol):
    """Stores, for each file of the ledger, its rows in each layer. Methods raise Transient STORAGE.

    Safe to use from several threads.
    """

    def writer(
        self, layer: Layer, file: LayerFile, schema: pa.Schema
    ) -> AbstractContextManager[LayerWriter]:
        """Returns a context manager that writes a file's rows of a layer. They appear, complete and
        durable, when the context exits, or not at all if it raises. Replaces what was there."""
        ...

    def batch(self) -> AbstractContextManager[Layers]:
        """Returns a context manager for a batch. What is written to it appears, durably, when this context
        exits; nothing if the context raises. The batch must be used from one thread."""
        ...

    def read(self, layer: Layer, file: LayerFile) -> Iterator[pa.RecordBatch]:
        """Yield the batches of a file's rows in the order in which they were written.

        Raises Transient STORAGE, with FileNotFoundError as the cause, if the layer has none.
        """
        ...

    def count(self, layer: Layer, file: LayerFile) -> int | None:
        """Returns the number of rows that the stored file declares, or None if it does not exist. Raises if
        the lake is unavailable.

        Raises Unreadable if it exists but is not what a writer completed.
        """
        ...

    def delete(self, layer: Layer, file: LayerFile) -> None:
        """Delete a file's rows of a layer. Idempotent."""
        ...

    def place(self, layer: Layer, file: LayerFile) -> str:
        """Returns where a file's rows of a layer belong, for people."""
        ...

    def stored(self) -> Iterator[Stored | str]:
        """Yield every complete file in the lake, in arbitrary order; for a foreign file, a text for people
        instead. Raises if the lake is unavailable."""
        ...

    def stored_at(self, place: str) -> Stored | None:
        """Returns what a location names, whether or not it exists; None if it names no file of this
        project."""
        ...

    def discard(self, stored: Stored) -> None:
        """Delete a stored file, whether or not it is misplaced. Idempotent."""
        ...

    def created_at(self, layer: Layer) -> datetime | None:
        """As `ObjectStore.created_at`, for one layer."""
        ...

    def list_unfinished(self, older_than_seconds: float) -> list[str]:
        """Returns what writers left that were killed more than `older_than_seconds` seconds ago. None of
        it is ever read."""
        ...

    def remove_unfinished(self, older_than_seconds: float) -> int:
        """Remove what `list_unfinished` returns; returns the number removed. A writer that is still running
        fails."""
        ...
