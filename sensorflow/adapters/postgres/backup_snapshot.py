"""Reads the ledger for a backup, in one snapshot. Completes the database after a restore."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import sqlalchemy as sa

from sensorflow.adapters.postgres.connect import engine_of, translated
from sensorflow.adapters.postgres.kept_files import hold_files
from sensorflow.adapters.postgres.migrate import grants
from sensorflow.adapters.postgres.queries import queries, run
from sensorflow.errors import UsageError

PAGE = 2000
LATE = 10_000
"""The search for events that were committed after the snapshot begins this number of ids before the
snapshot's last event, because a transaction may have received its ids before the snapshot."""


@dataclass(frozen=True)
class FileToBackUp:
    """A file of the ledger that a backup must copy: the values that determine its paths on disk.
    quarantines: how often the file was quarantined. expired: the names of the layers that retention has
    removed."""

    file_id: int
    source: str
    version: int
    landing: str
    size: int
    sensor_type: str
    received_at: datetime
    quarantines: int
    expired: frozenset[str]


class BackupSnapshot:
    """A snapshot of the ledger that lasts as long as a backup. Created by `backup_snapshot`.

    name: the snapshot's name in PostgreSQL. taken_at: the time of the snapshot. files_count, rows: numbers
    of files in the ledger and of readings in the database. revision: the revision of the schema. states:
    number of files in each state.
    """

    def __init__(self, connection: sa.Connection, now: sa.Connection) -> None:
        row = run(connection, "audit_snapshot").one()
        self.name: str = row.name
        self.taken_at: datetime = row.taken_at
        self._frozen, self._now = connection, now
        facts = run(connection, "saved_facts").one()
        self.files_count, self.rows = int(facts.files), int(facts.rows)
        self._last_event = int(facts.last_event)
        self.revision = str(facts.revision)
        self.states: dict[str, int] = facts.states or {}

    def files(self) -> Iterator[FileToBackUp]:
        """Yield all files of the ledger, sorted by id."""
        with translated():
            found = self._frozen.execution_options(yield_per=PAGE).execute(queries()["saved_files"])
            for row in found:
                known = {**row._mapping, "expired": frozenset(row.expired)}
                yield FileToBackUp(**known)

    def replayed_since(self) -> list[tuple[int, str | None]]:
        """Return pairs (id, profile) for the files that are finished in the snapshot and for which a
        replay was requested after it. The lake may contain the results of either load of such a file, so
        the file must be replayed after a restore. profile: the name of the profile for the replay; None for
        the profile of the file's source."""
        with translated():
            late = run(self._now, "replayed_late", after=self._last_event - LATE).all()
            self._now.rollback()
            ids = [row.event for row in late]
            known = set(run(self._frozen, "known_events", ids=ids).scalars())
        since = {row.file_id: row.wanted_profile for row in late if row.event not in known}
        with translated():
            done = set(run(self._frozen, "finished_of", ids=list(since)).scalars())
        return sorted((i, profile) for i, profile in since.items() if i in done)


@contextmanager
def backup_snapshot(url: str) -> Iterator[BackupSnapshot]:
    """Return a context manager that takes a snapshot of the ledger. Until it exits, no file to which the
    snapshot refers is removed from the disk.

    Raises UsageError if `require_plain` raises it, or if another backup or a migration is running. Raises
    Transient DATABASE if the database is unavailable, or if the locks were lost.
    """
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as holder, engine.connect() as c, engine.connect() as now:
        require_plain(holder)
        holder.commit()
        for connection in (holder, c):
            run(connection, "wait_long")
            connection.commit()
        hold_files(holder)
        c = c.execution_options(isolation_level="REPEATABLE READ")
        yield BackupSnapshot(c, now)
        c.rollback()
        run(holder, "saved_kind")  # raises if the locks were lost with their connection


def require_plain(c: sa.Connection) -> None:
    """Check that `sensorflow backup` supports the database. Raises UsageError if the database uses
    TimescaleDB or has no schema."""
    row = run(c, "saved_kind").one()
    if row.timescale is not None:
        raise UsageError(
            "this database uses TimescaleDB, whose dumps need special steps to be restored: back it up as "
            "TimescaleDB documents, and copy the data folder right after; see docs/how-to/backup.md"
        )
    if row.files is None:
        raise UsageError(
            "the database has no schema yet, so there is nothing to back up; run `sensorflow up` first"
        )


def resume(url: str, replays: Mapping[int, str | None]) -> None:
    """Complete the database after a restore, before any process uses it. Create the roles and privileges
    that the migrations create, request the `replays`, and update the statistics.

    replays: file id -> profile, for the replays that were requested while the backup was being made; see
    `BackupSnapshot.replayed_since`. Raises Transient DATABASE if the database is unavailable.
    """
    from sensorflow.adapters.postgres import reversal

    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.begin() as c:
        run(c, "revoke_from_public")
        driver: Any = c.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        driver.execute(grants())
    with translated(), engine.begin() as c:
        reason = "requested while the restored backup was being made"
        for file_id, profile in replays.items():
            reversal.replay(c, "restore", file_id, profile, reason, also_superseded=True)
    with translated(), engine.connect() as c:
        c.execution_options(isolation_level="AUTOCOMMIT").execute(sa.text("ANALYZE"))
