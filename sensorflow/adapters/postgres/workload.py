"""Measures the work of the fleet from the ledger."""

from __future__ import annotations

from sensorflow.adapters.postgres.queries import run
from sensorflow.adapters.postgres.transactions import Transactions
from sensorflow.core.scaling import Rate
from sensorflow.core.states import Stage
from sensorflow.ports.workload import MAX_FILES, OpenWork, Rates

EVENTS = 2_000
"""Number of the newest events that `Workload.rates` examines."""
PERIOD = 10.0
"""Maximum number of seconds before now in which `Workload.rates` counts arrivals."""


class Workload(Transactions):
    """Implements `ports.workload.Workload`."""

    def open_work(self, large_bytes: int) -> list[OpenWork]:
        with self._statement() as c:
            rows = run(c, "open_work", large_bytes=large_bytes, limit=MAX_FILES).all()
        return [OpenWork(r.source, r.large, Stage(r.stage), r.files, r.bytes, r.age) for r in rows]

    def rates(self) -> Rates:
        with self._statement() as c:
            rows = run(c, "rates", events=EVENTS, period=PERIOD).all()
        return Rates(
            {r.source: Rate(r.files, r.bytes, r.work) for r in rows if r.files},
            {r.source: (r.new_files, r.new_bytes) for r in rows if r.new_files},
            rows[0].seconds if rows else PERIOD,
        )

    def blocked(self) -> float:
        with self._statement() as c:
            return float(run(c, "blocked").scalar_one())
