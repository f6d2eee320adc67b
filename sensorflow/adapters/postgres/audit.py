"""The queries of an audit. All connections of an audit read the same PostgreSQL snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
import pyarrow as pa
import sqlalchemy as sa

from sensorflow.adapters.postgres import copy_out
from sensorflow.adapters.postgres.connect import engine_of, translated
from sensorflow.adapters.postgres.queries import queries
from sensorflow.adapters.postgres.rows import record_of
from sensorflow.adapters.postgres.sealing import RETRY_AFTER, partitions_of
from sensorflow.core.events import FileEvent
from sensorflow.ports.audit import FileRecord, HistoryDigest, TamperedHistory

PAGE = 5000
"""Number of ledger rows per fetch, and number of keys per lookup."""

FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
"""Range of Python's datetime, years 1 to 9999, in microseconds since 1970."""


class PostgresSnapshot:
    """Implements `ports.audit.Snapshot`. Created by `PostgresAuditStore.snapshot`."""

    def __init__(
        self, main: sa.Connection, second: sa.Connection, after: timedelta | None = None
    ) -> None:
        """main: the connection from which `readings` streams rows. second: the connection for lookups
        during the stream. after: see `PostgresAuditStore`."""
        for connection in (main, second):
            # each connection is idle while the other connection is in use
            connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        row = main.execute(queries()["audit_snapshot"]).one()
        self.name: str = row.name
        self.taken_at: datetime = row.taken_at
        second.execute(sa.text(f"SET TRANSACTION SNAPSHOT '{self.name}'"))
        self._main, self._second, self._after = main, second, after

    def files(self) -> Iterator[FileRecord]:
        with translated():
            found = self._main.execution_options(yield_per=PAGE).execute(
                queries()["audit_files"], {"ids": None}
            )
            for row in found.mappings():
                yield record_of(row)

    def rows_per_file(self) -> dict[int, int]:
        with translated():
            return {r.file_id: r.found for r in self._main.execute(queries()["audit_rows"])}

    def dropped_by_database(self, file_ids: list[int]) -> set[int]:
        with translated():
            if not self._main.execute(queries()["audit_has_policies"]).scalar_one():
                return set()
            values = {"ids": file_ids}
            return set(self._main.execute(queries()["audit_dropped"], values).scalars())

    def tampered(self) -> list[TamperedHistory]:
        with translated():
            rows = self._main.execute(queries()["audit_histories"]).all()
        return [TamperedHistory(row.file_id, row.expected, row.found) for row in rows]

    def history(self) -> HistoryDigest:
        with translated():
            row = self._main.execute(queries()["audit_history_digest"]).one()
        return HistoryDigest(int(row.events), row.digest)

    def unsealed_partitions(self) -> list[tuple[str, bool]]:
        if self._after is None:
            return []
        with translated():
            patience = self._after + RETRY_AFTER  # also the time since the last load into it
            found = partitions_of(self._main, patience, patience)
        late = [p for p in found if not p.closed and ((p.due and not p.busy) or p.doubled_at)]
        return [(p.name, p.doubled_at is not None) for p in late]

    def readings(self) -> Iterator[pa.RecordBatch]:
        driver = self._main.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        done = False
        try:
            with translated():
                yield from copy_out.batches(copy_out.messages(driver))
                done = True
        finally:
            if not done:  # a connection in the middle of a COPY cannot be reused
                self._main.invalidate()

    def holders(self, ts: pa.Array, keys: pa.Array) -> list[int | None]:
        found: list[int | None] = []
        for start in range(0, len(ts), PAGE):
            values = {
                "ts": ts.slice(start, PAGE).to_pylist(),
                "keys": [UUID(bytes=key) for key in keys.slice(start, PAGE).to_pylist()],
            }
            with translated():
                found += self._second.execute(queries()["audit_held"], values).scalars()
        return found

    def identity_counts(self, rows: pa.RecordBatch) -> list[int]:
        micros = rows["ts"].cast(pa.int64()).to_numpy()
        # Python has no datetime for the others, so each counts as unique
        ordinary = (micros >= FIRST) & (micros <= LAST)
        shared = np.ones(len(rows), np.int64)
        shared[ordinary] = self._sharing(rows.filter(pa.array(ordinary)))
        return list(map(int, shared))

    def _sharing(self, rows: pa.RecordBatch) -> list[int]:
        found: list[int] = []
        query = "audit_sharing" if self._after is None else "audit_sharing_deferred"
        for start in range(0, len(rows), PAGE):
            part = rows.slice(start, PAGE)
            values = {
                "ts": part["ts"].to_pylist(),
                "sensors": part["sensor_id"].to_pylist(),
                "kinds": part["reading_type"].to_pylist(),
            }
            with translated():
                found += self._second.execute(queries()[query], values).scalars()
        return found


class PostgresAuditStore:
    """Implements `ports.audit.AuditStore`.

    after: how long after the end of a month its partition is sealed; None unless `dedupe_index =
    "deferred"`.
    """

    def __init__(self, url: str, actor: str, after: timedelta | None = None) -> None:
        self._engine = engine_of(url, pool_size=3, max_overflow=0)
        self._actor, self._after = actor, after

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def snapshot(self) -> Iterator[PostgresSnapshot]:
        with translated(), ExitStack() as stack:
            pair = [stack.enter_context(self._engine.connect()) for _ in range(2)]
            options: dict[str, Any] = {"postgresql_readonly": True}
            main, second = (
                c.execution_options(isolation_level="REPEATABLE READ", **options) for c in pair
            )
            yield PostgresSnapshot(main, second, self._after)

    def current(self, file_ids: list[int]) -> dict[int, FileRecord]:
        found: dict[int, FileRecord] = {}
        with translated(), self._engine.begin() as c:
            for start in range(0, len(file_ids), PAGE):
                ids = file_ids[start : start + PAGE]
                for row in c.execute(queries()["audit_files"], {"ids": ids}).mappings():
                    found[row["id"]] = record_of(row)
        return found

    def unregistered(self, source: str, found: list[tuple[bytes, str]]) -> list[tuple[bytes, str]]:
        values = {"source": source, "keys": [k for k, _ in found]}
        values["fingerprints"] = [mark for _, mark in found]
        with translated(), self._engine.begin() as c:
            rows = c.execute(queries()["audit_unknown"], values).all()
        return [(bytes(row.key), row.fingerprint) for row in rows]

    @contextmanager
    def locked(self, file_id: int) -> Iterator[FileRecord | None]:
        with translated(), self._engine.begin() as c:
            yield _record_of(c, file_id)

    def remove_rows(self, file_id: int) -> int:
        with translated(), self._engine.begin() as c:
            book = _record_of(c, file_id)
            if book is None or book.rows is not None:
                return 0
            removed = int(c.execute(queries()["audit_remove_rows"], {"id": file_id}).scalar_one())
            facts = {
                "file_id": file_id,
                "what": str(FileEvent.ORPHANS_REMOVED),
                "stage": book.stage,
            }
            facts |= dict.fromkeys(("from_state", "to_state", "seconds"))
            facts |= {"attempt": 0, "who": self._actor, "rows": removed, "why": "audit --repair"}
            c.execute(queries()["add_event"], facts)
            return removed


def _record_of(c: sa.Connection, file_id: int) -> FileRecord | None:
    c.execute(queries()["audit_hold"], {"id": file_id})
    row = c.execute(queries()["audit_files"], {"ids": [file_id]}).mappings().first()
    return None if row is None else record_of(row)
