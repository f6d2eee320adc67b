"""What a daemon asks of gates while files are taken in."""

from __future__ import annotations

from pathlib import Path

from gated import Drop

from sensorflow.adapters.feeds.gates import Admitted
from sensorflow.adapters.feeds.gating import Gating

JSON = {"manifest": "*.manifest.json"}


def test_files_are_taken_in_while_others_of_their_gate_are_looked_for(tmp_path: Path) -> None:
    drop = Drop(tmp_path / "drop", JSON)
    gating = Gating([drop.folder], drop.ledger)
    for name in ("a.csv", "b.csv", "c.csv"):
        drop.put(name, b"1")
        gating.admit(drop.folder, name.encode(), drop.folder.stat(name.encode()))
    drop.put("x.manifest.json", b'["a.csv", "b.csv", "c.csv"]')
    found = gating.heard(drop.folder, b"x.manifest.json")
    assert next(found) == (b"a.csv", True)
    admitted = gating.admit(drop.folder, b"b.csv", drop.folder.stat(b"b.csv"))
    assert isinstance(admitted, Admitted)
    assert list(found) == [(b"c.csv", True)]
