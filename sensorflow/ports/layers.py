"""The layers of the lake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from sensorflow.core.partitions import Layer

if TYPE_CHECKING:  # the daemon knows no Arrow
    import pyarrow as pa


class Unreadable(Exception):
    """A file of the lake is there and cannot be read: cut short, or changed."""


class LayerWriter(Protocol):
    def write(self, batch: pa.RecordBatch) -> None: ...


class Lake(Protocol):
    """Parquet files under paths made by ``core.partitions``. Raises Transient STORAGE."""

    def writer(self, path: str, schema: pa.Schema) -> AbstractContextManager[LayerWriter]:
        """Write one file; it appears whole and synced when the context ends, or not at all.

        A file of that path is replaced.
        """
        ...

    def together(self) -> AbstractContextManager[None]:
        """Files that are written meanwhile appear, synced, when this context ends, all at once."""
        ...

    def read(self, path: str) -> Iterator[pa.RecordBatch]:
        """The batches of one file. Raises Transient STORAGE when there is none."""
        ...

    def remove(self, path: str) -> None:
        """Remove one file; nothing happens when there is none."""
        ...

    def paths(self) -> Iterator[str]:
        """The path of every whole file, in no order. Raises when the lake itself is not there."""
        ...

    def rows(self, path: str) -> int | None:
        """How many rows one file says it has; None when there is none.

        Raises Unreadable when it is there and is not a file that a writer finished.
        """
        ...

    def began(self, layer: Layer) -> datetime | None:
        """As `Landing.began`, of a layer's folder."""
        ...

    def unfinished(self, older: float) -> list[str]:
        """What writers left that were killed more than `older` seconds ago: it may be removed."""
        ...
