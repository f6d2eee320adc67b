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
    """Raised if a file of the lake exists but cannot be read, because the file is truncated or was
    changed."""


class LayerWriter(Protocol):
    def write(self, batch: pa.RecordBatch) -> None: ...


@dataclass(frozen=True, slots=True)
class Stored:
    """A file in the lake. The layer, the file's id and its version are derived from the path.

    place: the location in the store's notation. It equals `Layers.place`, unless the file is misplaced.
    """

    layer: Layer
    file_id: int
    version: int
    place: str


class Layers(Protocol):
    """Stores rows in the layers of the lake, separately for each file of the ledger. Methods raise
    Transient STORAGE.

    Safe to use from several threads.
    """

    def writer(
        self, layer: Layer, file: LayerFile, schema: pa.Schema
    ) -> AbstractContextManager[LayerWriter]:
        """Returns a context manager that writes the rows of one file to one layer. When the context exits,
        all rows appear and are durable. If the context raises, no rows appear. Replaces the rows that the
        layer already contains for this file."""
        ...

    def batch(self) -> AbstractContextManager[Layers]:
        """Returns a context manager for a batch of writes. When the context exits, the rows of all writes
        appear and are durable. If the context raises, no rows appear. Use the batch from one thread
        only."""
        ...

    def read(self, layer: Layer, file: LayerFile) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a file in batches, in the order in which they were written.

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
        """Delete the rows of a file from a layer. Idempotent."""
        ...

    def place(self, layer: Layer, file: LayerFile) -> str:
        """Returns the location, in printable form, at which the rows of a file in a layer should be
        stored."""
        ...

    def stored(self) -> Iterator[Stored | str]:
        """Yield every complete file in the lake, in arbitrary order. If sensorflow did not write a file,
        yields the printable name of that file instead. Raises Transient STORAGE if the lake is
        unavailable."""
        ...

    def stored_at(self, place: str) -> Stored | None:
        """Returns the file to which a location refers, even if that file does not exist. Returns None if no
        file of this project can have this location."""
        ...

    def discard(self, stored: Stored) -> None:
        """Delete a stored file, even if it is misplaced. Idempotent."""
        ...

    def created_at(self, layer: Layer) -> datetime | None:
        """Returns the time at which a writer created the layer, or None if unknown."""
        ...

    def list_unfinished(self, older_than_seconds: float) -> list[str]:
        """Returns the names of incomplete files that are older than `older_than_seconds` seconds. A writer
        that was killed leaves such files. They are never read."""
        ...

    def remove_unfinished(self, older_than_seconds: float) -> int:
        """Remove the files that `list_unfinished` returns. Returns the number of removed files. If the
        writer of such a file is still running, it fails."""
        ...
