"""Gates: what senders said of files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager

import sqlalchemy as sa

from sensorflow.adapters.postgres.queries import run
from sensorflow.core.arrival import Arrival
from sensorflow.core.gates.announced import Announced
from sensorflow.ports.intake import Registration


class Gates:
    """See `ports.ledger.Ledger`; of its methods those that gates alone need."""

    def _statement(self) -> AbstractContextManager[sa.Connection]:
        raise NotImplementedError

    def announced(self, file_id: int) -> list[Announced]:
        with self._statement() as c:
            return [Announced.of_json(row.what) for row in run(c, "announced", id=file_id)]

    def announced_by(self, source: str, gate: bytes, mark: str) -> frozenset[bytes]:
        with self._statement() as c:
            rows = run(c, "announced_by", source=source, gate=gate, mark=mark).all()
        return frozenset(bytes(row.key) for row in rows)


def announce(c: sa.Connection, arrivals: Sequence[Arrival], done: Sequence[Registration]) -> None:
    """Write down what gates say of files that were registered in this transaction."""
    for arrival, entered in zip(arrivals, done, strict=True):
        if (said := arrival.announcement) is None:
            continue
        what = json.dumps(said.what.as_json(), sort_keys=True)
        place = {"source": arrival.source, "gate": said.gate, "mark": said.mark}
        run(c, "announce", **place, key=arrival.key, id=entered.file_id, what=what)
