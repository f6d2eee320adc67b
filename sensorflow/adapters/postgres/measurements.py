"""Measures the fleet from the ledger, for the metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sensorflow.adapters.postgres.queries import run
from sensorflow.adapters.postgres.transactions import Transactions
from sensorflow.core.event_totals import FAILURES, EventGroup, Ids, Page
from sensorflow.core.file_totals import CHUNK, FileGroup
from sensorflow.core.metrics import LATENCY_BUCKETS, STAGE_BUCKETS
from sensorflow.core.states import State
from sensorflow.ports.measurements import LedgerEnds, Sizes


class Measurements(Transactions):
    """Implements `ports.measurements.Measurements`."""

    def ends(self) -> LedgerEnds:
        with self._statement() as c:
            row = run(c, "ledger_ends").one()
        return LedgerEnds(row.newest_event, row.newest_file, row.schema or "", row.now)

    def events_in(self, ranges: Sequence[Ids]) -> Page:
        facts = {"lows": [ids.low for ids in ranges], "highs": [ids.high for ids in ranges]}
        bounds = {"stage_bounds": list(STAGE_BUCKETS), "late_bounds": list(LATENCY_BUCKETS)}
        failures = [str(event) for event in FAILURES]
        with self._statement() as c:
            row = run(c, "events_in", **facts, **bounds, failures=failures, chunk=CHUNK).one()
        missing = [Ids(low, high) for low, high in row.missing]
        groups = [EventGroup(*group) for group in row.groups]
        return Page(row.top, missing, groups, row.chunks, row.oldest, row.newest)

    def files_in(self, chunks: Sequence[int]) -> Mapping[int, Sequence[FileGroup]]:
        found: dict[int, list[FileGroup]] = {chunk: [] for chunk in chunks}
        with self._statement() as c:
            rows = run(c, "files_in", chunks=list(chunks), size=CHUNK).all()
        for row in rows:
            values = tuple(row)
            found[row.chunk].append(FileGroup(row.source, State(row.state), *values[3:]))
        return found

    def sizes(self) -> Sizes:
        with self._statement() as c:
            row = run(c, "sizes").one()
            readings = row.readings
            if row.hypertable:  # chunks in the columnstore are no children of the table
                readings = run(c, "hypertable_size").scalar_one()
        return Sizes(row.database, readings)
