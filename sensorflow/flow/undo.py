"""Take a loaded file's readings out again: of the database, and of silver."""

from __future__ import annotations

from collections.abc import Sequence

from sensorflow.flow.landing import Landing
from sensorflow.flow.tidy import tidy
from sensorflow.ports.layers import Layers
from sensorflow.ports.maintenance import Maintenance


def undo(
    ledger: Maintenance,
    lake: Layers,
    landing: Landing,
    file_id: int,
    why: str,
    along: Sequence[int] = (),
) -> int | None:
    """Returns how many readings went; None when the file is not loaded. along: see `Maintenance.undo`.

    The database first, rows and state in one transaction; silver follows, by the sweeper if need be.
    The landed bytes and bronze stay: `replay` reverses it.
    """
    done = ledger.undo(file_id, why, along)
    if done is None:
        return None
    tidy(ledger, lake, landing)
    return done.rows
