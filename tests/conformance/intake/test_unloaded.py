"""What `ports.intake.Intake.unloaded` says of files that still need room on a disk."""

from __future__ import annotations

from samples import add, batch, claim, load

from sensorflow.core.disk_room import Unloaded
from sensorflow.ports.ledger import Ledger


def test_landed_bytes_count_until_they_are_loaded(ledger: Ledger) -> None:
    """Each file of the samples has 100 bytes; three readings of it are loaded."""
    ids = [add(ledger, b"%d.csv" % n, n) for n in range(1, 4)]
    ledger.mark_sent(ledger.pending(1, 10))
    assert ledger.unloaded() == [Unloaded("plant", 300, None)]
    claimed = claim(ledger, ids[0])
    assert ledger.unloaded() == [Unloaded("plant", 300, None)]
    load(ledger, claimed, batch(3))
    assert ledger.unloaded() == [Unloaded("plant", 200, 0.03)]
    for nth, file_id in enumerate(ids[1:]):
        load(ledger, claim(ledger, file_id), batch(3, 10 + 3 * nth))
    assert ledger.unloaded() == [Unloaded("plant", 0, 0.03)]
