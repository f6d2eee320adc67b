"""The ledger: heartbeats of processes."""

from __future__ import annotations

import json

from sensorflow.adapters.postgres.queries import run
from sensorflow.adapters.postgres.transactions import Transactions
from sensorflow.core.heartbeat import FORGOTTEN, Pulse


class Heartbeats(Transactions):
    """See `ports.heartbeats.Heartbeats`."""

    def beat(self, pulse: Pulse) -> None:
        facts = {**vars(pulse), "role": str(pulse.role), "state": json.dumps(pulse.state)}
        with self._statement() as c:
            run(c, "beat", **facts, forgotten=FORGOTTEN)

    def end_beats(self, process: str) -> None:
        with self._statement() as c:
            run(c, "end_beats", process=process)
