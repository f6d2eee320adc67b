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
    """A file that exists in the lake. layer, file_id, version: what the path of the file says about its
    layer and about the ledger's file to which its rows belong.

    place: the location of the file in the store's notation. The file is misplaced if this is not the result
    of `Layers.place`.
    """

    layer: Layer
    file_id: int
    version: int
    place: str


class Layers(Protocol):
    """Stores rows in the layers of the lake, separately for each file of the ledger. Methods raise
    Transient STORAGE if the lake is unavailable.

    Safe to use from several threads.
    """

    def writer(
        self, layer: Layer, file: LayerFile, schema: pa.Schema
    ) -> AbstractContextManager[LayerWriter]:
        """Returns a context manager that writes the rows of one file to one layer. When the context exits,
        all rows appear and are durable, and they replace the rows that the layer contained for this file.
        If the context raises, the layer does not change."""
        ...

    def batch(self) -> AbstractContextManager[Layers]:
        """Returns a context manager for a batch of writes; it yields the `Layers` to write to. When the
        context exits, the rows of all writes appear and are durable. If the context raises, no rows appear.
        Use the batch from one thread only."""
        ...

    def read(self, layer: Layer, file: LayerFile) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a file in batches, in the order in which they were written.

        Raises Transient STORAGE. If the layer has no rows of the file, the cause of the error is a
        FileNotFoundError.
        """
        ...

    def count(self, layer: Layer, file: LayerFile) -> int | None:
        """Returns the number of rows that the layer contains for a file, or None if the layer contains no
        file for it.

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
        """Yield every complete file in the lake, in arbitrary order. For a file that sensorflow has not
        written, yield its printable name (a str) instead of a `Stored`. Raises Transient STORAGE if the
        lake is unavailable."""
        ...

    def stored_at(self, place: str) -> Stored | None:
        """Returns the file that has the location `place`, whether or not it exists. Returns None if no
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
        writer of such a file is still running, the write fails."""
        ...
