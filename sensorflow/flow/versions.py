"""Finds the facts about previous versions of a file that a load needs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from sensorflow.core.history import COMPARED_READINGS, remarks
from sensorflow.core.partitions import Layer
from sensorflow.errors import Transient
from sensorflow.flow.file_task import FileTask
from sensorflow.ports.files import FileView
from sensorflow.ports.intake import OnChange
from sensorflow.ports.loading import UnloadedVersion

BLOCK_BYTES = 1 << 20


class PreviousVersions(NamedTuple):
    """The facts about previous versions of a file that a load needs.

    covered: ids of versions that were never loaded and whose bytes are a prefix of this version's bytes.
    head: the first readings of the last loaded version; None if they are not needed.
    """

    covered: tuple[int, ...] = ()
    head: pa.RecordBatch | None = None


NO_PREVIOUS_VERSIONS = PreviousVersions()


def previous_versions(file_task: FileTask) -> PreviousVersions:
    """Returns the facts about previous versions that the load of a file with `on_change = "merge"` needs.
    The result is empty for other files, and for parts of growing files, because a part never replaces
    readings of earlier parts."""
    merged = OnChange(file_task.source.on_change) is OnChange.MERGE and file_task.claim.part is None
    if file_task.claim.version == 1 or file_task.claim.has_loaded_rows or not merged:
        return NO_PREVIOUS_VERSIONS
    older = file_task.services.ledger.older_versions(file_task.claim)
    return PreviousVersions(_covered(file_task, older.unloaded), _head(file_task, older.loaded))


def remarks_of(head: pa.RecordBatch | None, silver: pa.RecordBatch | None) -> str:
    """Returns remarks about the changes between two versions, see `core.history.remarks`. Returns "" if a
    version has no readings to compare."""
    if head is None or silver is None or not len(head) or not len(silver):
        return ""
    return remarks(head, silver)


def _covered(file_task: FileTask, unloaded: tuple[UnloadedVersion, ...]) -> tuple[int, ...]:
    if not unloaded:
        return ()
    with file_task.services.landing.open(file_task.claim.landing) as stream:
        prefixes = _prefixes(stream, {old.size for old in unloaded})
    return tuple(old.file_id for old in unloaded if prefixes[old.size] == old.sha256)


def _prefixes(stream: BinaryIO, sizes: Iterable[int]) -> dict[int, bytes]:
    """Returns, for each size in bytes, the SHA-256 of the prefix of the stream that has this size."""
    digest, done, found = hashlib.sha256(), 0, {}
    for size in sorted(sizes):
        while done < size and (block := stream.read(min(BLOCK_BYTES, size - done))):
            digest.update(block)
            done += len(block)
        found[size] = digest.digest() if done == size else b""
    return found


def _head(file_task: FileTask, old: FileView | None) -> pa.RecordBatch | None:
    if old is None:
        return None
    with suppress(Transient):  # it has expired, or is being rewritten
        for batch in file_task.services.lake.read(Layer.SILVER, old.layer_file):
            return batch.slice(0, COMPARED_READINGS)
    return None
