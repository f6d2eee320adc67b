"""Stores the heartbeats of processes in the ledger."""

from __future__ import annotations

import json

from sensorflow.adapters.postgres.queries import run
from sensorflow.adapters.postgres.transactions import Transactions
from sensorflow.core.heartbeat import FORGET_AFTER_SECONDS, LoopReport


class Heartbeats(Transactions):
    """Implements `ports.heartbeats.Heartbeats`."""

    def record_report(self, report: LoopReport) -> None:
        facts = {**vars(report), "role": str(report.role), "state": json.dumps(report.state)}
        with self._statement() as c:
            run(c, "beat", **facts, forgotten=FORGET_AFTER_SECONDS)

    def remove_reports(self, process: str) -> None:
        with self._statement() as c:
            run(c, "end_beats", process=process)
