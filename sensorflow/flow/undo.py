"""Remove a loaded file's readings from the database and from silver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sensorflow.errors import Transient
from sensorflow.flow.garbage import collect_garbage
from sensorflow.flow.landing import Landing
from sensorflow.ports.layers import Layers
from sensorflow.ports.maintenance import Maintenance


class UndoneFile(NamedTuple):
    """rows: the number of readings that were removed. delay: the reason why the file's silver could not be
    removed yet, or None."""

    rows: int
    delay: Transient | None


def undo(
    ledger: Maintenance,
    lake: Layers,
    landing: Landing,
    file_id: int,
    reason: str,
    also_undone: Sequence[int] = (),
) -> UndoneFile | None:
    """Remove a file's readings. Returns None if the file is not loaded. also_undone: see `also_undone` of
    `Maintenance.undo`.

    First, one transaction removes the rows from the database and changes the file's state. Afterwards
    silver is removed; after a crash, or if the lake is unavailable, the reconciler removes it. The landed
    bytes and bronze stay, so a replay reverses the undo.
    """
    done = ledger.undo(file_id, reason, also_undone)
    if done is None:
        return None
    try:
        collect_garbage(ledger, lake, landing)
    except Transient as error:
        return UndoneFile(done.rows, error)
    return UndoneFile(done.rows, None)
