"""Gates: what senders said of files, in memory."""

from __future__ import annotations

import threading

from sensorflow.core.gates.announced import Announced, Announcement


class Gates:
    """See `ports.ledger.Ledger`; of its methods those that gates alone need."""

    _lock: threading.RLock
    _announced: dict[tuple[str, bytes, str, bytes], tuple[int, Announced]]

    def announced(self, file_id: int) -> list[Announced]:
        with self._lock:
            return [
                what for number, what in reversed(self._announced.values()) if number == file_id
            ]

    def announced_by(self, source: str, gate: bytes, mark: str) -> frozenset[bytes]:
        with self._lock:
            return frozenset(k[3] for k in self._announced if k[:3] == (source, gate, mark))

    def _announce(self, file_id: int, source: str, key: bytes, said: Announcement) -> None:
        place = (source, said.gate, said.mark, key)
        self._announced.pop(place, None)  # the newest is the last
        self._announced[place] = (file_id, said.what)
