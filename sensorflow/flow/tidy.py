"""Make the disk agree with the ledger: remove what a finished file's state no longer wants.

Silver of what was superseded or undone, layers that have expired, landed bytes that nobody needs. The
ledger says so first, in the transaction that makes it true; whoever is killed before the removal leaves it
to the sweeper.
"""

from __future__ import annotations

from sensorflow.core.partitions import Layer, layer_path
from sensorflow.core.states import State
from sensorflow.ports import Book, Lake, Landing, Ledger, Leftover


def tidy(ledger: Ledger, lake: Lake, landing: Landing) -> int:
    """Returns how many files were seen to. Raises Transient STORAGE."""

    def remove(left: Leftover) -> None:
        for layer in unwanted(left):
            lake.remove(path_of(layer, left))
        if left.landing is not None:
            landing.remove(left.landing)

    return ledger.tidy(remove)


def unwanted(left: Leftover | Book) -> list[Layer]:
    """The layers that a finished file must not have."""
    gone = {layer for layer in Layer if layer in left.expired}
    if left.state is not State.LOADED:
        gone.add(Layer.SILVER)
    return sorted(gone)


def path_of(layer: Layer, left: Leftover) -> str:
    return layer_path(
        layer, left.source, left.sensor_type, left.received_at, left.file_id, left.version
    )
