"""The port for the layers of the lake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from sensorflow.core.partitions import Layer, LayerFile

if TYPE_CHECKING:  # the daemon imports no Arrow
    import pyarrow as pa


class Unreadable(Exception):
    """A file of the lake exists but cannot be read, because it is truncated or was changed."""


class LayerWriter(Protocol):
    def write(self, batch: pa.RecordBatch) -> None: ...


@dataclass(frozen=True, slots=True)
class Stored:
    """A file in the lake. Its layer and its file of the ledger are derived from its path.

    place: its location in the store's notation. Equals `Layers.place` unless the file is misplaced.
    """

    layer: Layer
    file_id: int
    version: int
    place: str


class Layers(Protocol):
    """Stores the rows of each file of the ledger in each layer. Methods raise Transient STORAGE.

    Safe to use from several threads.
    """

    def writer(
        self, layer: Layer, file: LayerFile, schema: pa.Schema
    ) -> AbstractContextManager[LayerWriter]:
        """Returns a context manager that writes a file's rows of a layer. The rows appear, complete and
        durable, when the context exits; none appear if it raises. Replaces rows that were stored before."""
        ...

    def batch(self) -> AbstractContextManager[Layers]:
        """Returns a context manager for a batch of writes. All rows appear, durably, when the context of
        the batch exits; none appear if it raises. Use the batch from one thread only."""
        ...

    def read(self, layer: Layer, file: LayerFile) -> Iterator[pa.RecordBatch]:
        """Yield the batches of a file's rows in the order in which they were written.

        Raises Transient STORAGE; its cause is FileNotFoundError if the layer has no rows of the file.
        """
        ...

    def count(self, layer: Layer, file: LayerFile) -> int | None:
        """Returns the number of rows according to the stored file, or None if there is no stored file.

        Raises Unreadable if the stored file is damaged or incomplete, and Transient STORAGE if the lake is
        unavailable.
        """
        ...

    def delete(self, layer: Layer, file: LayerFile) -> None:
        """Delete a file's rows of a layer. Idempotent."""
        ...

    def place(self, layer: Layer, file: LayerFile) -> str:
        """Returns the location at which a file's rows of a layer should be stored, in printable form."""
        ...

    def stored(self) -> Iterator[Stored | str]:
        """Yield every complete file in the lake, in arbitrary order. For a file that is not from
        sensorflow, yields its printable name instead. Raises Transient STORAGE if the lake is
        unavailable."""
        ...

    def stored_at(self, place: str) -> Stored | None:
        """Returns the file that a location refers to, whether or not it exists. Returns None if the
        location is not one of a file of this project."""
        ...

    def discard(self, stored: Stored) -> None:
        """Delete a stored file, even if it is misplaced. Idempotent."""
        ...

    def created_at(self, layer: Layer) -> datetime | None:
        """As `ObjectStore.created_at`, for one layer."""
        ...

    def list_unfinished(self, older_than_seconds: float) -> list[str]:
        """Returns the incomplete files of writers that were killed more than `older_than_seconds` seconds
        ago. Incomplete files are never read."""
        ...

    def remove_unfinished(self, older_than_seconds: float) -> int:
        """Remove the files that `list_unfinished` returns. Returns the number of removed files. A writer
        that is still running then fails."""
        ...
