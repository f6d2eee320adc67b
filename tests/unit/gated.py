"""A drop folder with gates, for tests."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from samples import NOW

from sensorflow.adapters.feeds.folder.drop import DropFolder
from sensorflow.adapters.feeds.folder.gates import AdmittedFile, Gates, WithheldFile, make_gates
from sensorflow.core.arrival import Arrival, Landed
from sensorflow.core.gates.announced import Announced, Announcement
from sensorflow.core.stability import Stat
from sensorflow.ports.intake import OnChange
from sensorflow.settings import FolderSource
from sensorflow.testing.ledger import MemoryLedger


class Drop:
    """A drop folder with gates, and what is registered of it by hand."""

    def __init__(self, root: Path, gate: object, **rules: object) -> None:
        root.mkdir()
        table = {"path": "drop", "profile": "long", "stability_window": 0, "gate": gate, **rules}
        self.folder = DropFolder("plant", root, FolderSource.model_validate(table), root.parent)
        self.ledger = MemoryLedger()
        self.gates = self.start()

    def start(self) -> Gates:
        """As a daemon that was started again."""
        gates = make_gates(self.folder, self.ledger)
        assert gates is not None
        self.gates = gates
        return gates

    def put(self, name: str, content: bytes = b"", at: float | None = None) -> None:
        path = self.folder.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        if at is not None:
            os.utime(path, (at, at))

    def ask(self, name: str) -> AdmittedFile | str:
        """Admitted, or why not."""
        self.gates.reload()
        key = name.encode()
        found = self.gates.admit(key, self.folder.stat(key))
        return found.reason if isinstance(found, WithheldFile) else found

    def announcement_of(self, name: str) -> Announced:
        found = self.ask(name)
        assert isinstance(found, AdmittedFile)
        assert found.announcement is not None
        return found.announcement.announced

    def take(self, name: str) -> list[bytes]:
        """Register a file that is admitted; returns the gates that are spent."""
        found = self.ask(name)
        assert isinstance(found, AdmittedFile), found
        return [gate for gate, _ in self.enter(name)]

    def enter(self, name: str) -> list[tuple[bytes, Stat]]:
        """Register a file that was admitted; returns the gates that are spent, with their states."""
        self.register(name.encode(), self.gates.renew(name.encode()))
        return self.gates.unneeded([name.encode()])

    def register(self, key: bytes, announcement: Announcement | None) -> None:
        data = (self.folder.root / os.fsdecode(key)).read_bytes()
        digest = hashlib.sha256(data).digest()
        landed = Landed(digest.hex(), digest, hashlib.md5(data).digest(), len(data))
        mark = self.folder.stat(key).fingerprint
        arrival = Arrival(
            "plant", key, landed, 0, mark, "long", NOW, NOW, announcement=announcement
        )
        self.ledger.register(arrival, OnChange.MERGE, False)
