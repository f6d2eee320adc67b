"""Garbage collection: remove data of a finished file that its state no longer needs.

Garbage consists of silver of superseded or undone files, readings in silver that a newer version replaced,
expired layers, and landed bytes that no file needs. The transaction that turns data into garbage also
records this in the ledger. If a process is killed before the removal, the reconciler completes the removal.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from sensorflow.core.partitions import Layer, LayerFile
from sensorflow.core.states import State
from sensorflow.errors import Transient
from sensorflow.flow.landing import Landing
from sensorflow.flow.parallel import each
from sensorflow.ports.audit import FileRecord
from sensorflow.ports.layers import Layers, Unreadable
from sensorflow.ports.maintenance import Garbage, Maintenance

if TYPE_CHECKING:
    import pyarrow as pa


GROUP_SECONDS = 2.0
"""Seconds after which the removal of no further file of a group begins. Registrations may wait for the
group, and the database ends a transaction whose client is idle for a minute."""


def collect_garbage(ledger: Maintenance, lake: Layers, landing: Landing, limit: int = 100) -> int:
    """Remove the garbage of finished files, at most `limit` (see `Maintenance.collect_garbage`); in a
    bucket, of several files at a time. Returns the number of files whose garbage was removed.

    If the garbage of a file cannot be removed, that of others is removed nevertheless, and then the first
    error is raised. Raises Transient STORAGE.
    """
    errors: list[Transient] = []

    def remove(group: Sequence[Garbage]) -> list[int]:
        attempt = partial(_attempt, lake, landing, time.monotonic() + GROUP_SECONDS, errors)
        return [garbage.file_id for garbage, is_removed in each(attempt, group) if is_removed]

    done = ledger.collect_garbage(remove, limit)
    if errors:
        raise errors[0]
    return done


def _attempt(
    lake: Layers, landing: Landing, until: float, errors: list[Transient], garbage: Garbage
) -> bool:
    """Remove the garbage of a file, unless it is too late. Returns whether it was removed."""
    if time.monotonic() > until:
        return False
    try:
        _remove(lake, landing, garbage)
    except Transient as error:
        errors.append(error)
        return False
    return True


def _remove(lake: Layers, landing: Landing, garbage: Garbage) -> None:
    for layer in unwanted_layers(garbage):
        lake.delete(layer, LayerFile.of(garbage))
    if garbage.holds is not None:
        _rewrite(lake, garbage)
    if garbage.landing is not None:
        landing.remove(garbage.landing)


def _rewrite(lake: Layers, garbage: Garbage) -> None:
    """Reduce a file's silver to the rows that the database still contains. Unreadable silver is left for
    the audit to report."""
    file = LayerFile.of(garbage)
    if garbage.counts.served == 0:
        lake.delete(Layer.SILVER, file)
        return
    with suppress(Unreadable), closing(_served(lake, file, garbage)) as batches:
        first = next(batches, None)
        if first is not None:
            with lake.writer(Layer.SILVER, file, first.schema) as silver:
                for batch in chain([first], batches):
                    silver.write(batch)


def _served(
    lake: Layers, file: LayerFile, garbage: Garbage
) -> Generator[pa.RecordBatch, None, None]:
    assert garbage.holds is not None
    from sensorflow.core.keys import keys

    try:
        for batch in lake.read(Layer.SILVER, file):
            yield batch.filter(garbage.holds(batch["ts"], keys(batch, garbage.identity)))
    except Transient as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise Unreadable(lake.place(Layer.SILVER, file)) from error
        raise


def unwanted_layers(file: Garbage | FileRecord) -> list[Layer]:
    """Returns the layers that a finished file must not have."""
    gone = {layer for layer in Layer if layer in file.expired}
    if file.state is not State.LOADED:
        gone.add(Layer.SILVER)
    return sorted(gone)
