"""Remove a loaded file's readings from the database and from silver."""

from __future__ import annotations

from collections.abc import Sequence

from sensorflow.flow.garbage import collect_garbage
from sensorflow.flow.landing import Landing
from sensorflow.ports.layers import Layers
from sensorflow.ports.maintenance import Maintenance


def undo(
    ledger: Maintenance,
    lake: Layers,
    landing: Landing,
    file_id: int,
    reason: str,
    also_undone: Sequence[int] = (),
) -> int | None:
    """Remove a file's readings. Returns the number of removed readings, or None if the file is not loaded.
    also_undone: see `also_undone` of `Maintenance.undo`.

    First, one transaction removes the rows from the database and changes the file's state. Afterwards
    silver is removed; after a crash, the reconciler removes it. The landed bytes and bronze stay, so a
    replay reverses the undo.
    """
    done = ledger.undo(file_id, reason, also_undone)
    if done is None:
        return None
    collect_garbage(ledger, lake, landing)
    return done.rows
