"""Queries of the ledger. The CLI and the API display their results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from sensorflow.adapters.postgres.queries import queries, run
from sensorflow.adapters.postgres.rows import counts_of, view_of
from sensorflow.adapters.postgres.transactions import Transactions
from sensorflow.core.account import Account, Totals, account
from sensorflow.core.heartbeat import Heartbeat, LoopReport, Role
from sensorflow.core.listing import RATE_WINDOW_SECONDS, Activity, FileFilter, LargeFile, pattern
from sensorflow.core.names import canonical
from sensorflow.core.states import State
from sensorflow.ports.catalog import Member
from sensorflow.ports.files import ArrivalRecord, ChainView, FileView, HistoryEvent, Listed


class Catalog(Transactions):
    """Implements `ports.catalog.Catalog`."""

    def files(
        self,
        state: State | None = None,
        source: str | None = None,
        limit: int = 50,
        first_parts_only: bool = False,
    ) -> list[FileView]:
        with self._transaction() as c:
            return _found(c, FileFilter(state, source, first_parts_only=first_parts_only), limit)

    def matching(self, file_filter: FileFilter, limit: int) -> Listed:
        with self._transaction() as c:
            found = _found(c, file_filter, limit)
            if len(found) < limit:
                return Listed(found, len(found))
            counted = sa.text(f"SELECT count(*) FROM ({queries()['list_files'].text}) AS found")
            total = c.execute(counted, _values(file_filter, None)).scalar_one()
        return Listed(found, int(total))

    def activity(self) -> dict[str, Activity]:
        with self._transaction() as c:
            rows = run(c, "activity", lately=RATE_WINDOW_SECONDS).mappings().all()
        return {
            row["source"]: Activity(**{k: row[k] for k in row if k != "source"}) for row in rows
        }

    def large_files(self, lease: float) -> list[LargeFile]:
        with self._statement() as c:
            return [LargeFile(**row) for row in run(c, "large_files", lease=lease).mappings()]

    def file(self, file_id: int) -> FileView | None:
        with self._transaction() as c:
            query = sa.text("SELECT * FROM files WHERE id = :id")
            row = c.execute(query, {"id": file_id}).mappings().first()
        return None if row is None else view_of(row)

    def named(self, name: str, source: str | None = None) -> list[FileView]:
        with self._transaction() as c:
            exact = name.encode("utf-8", "surrogateescape")
            names = {"text": name, "exact": exact, "canonical": canonical(exact)}
            rows = run(c, "named", **names, source=source).mappings().all()
        return [view_of(row) for row in rows]

    def select(
        self, states: tuple[str, ...], source: str | None = None, since: datetime | None = None
    ) -> list[FileView]:
        wanted = [str(state) for state in states]
        with self._transaction() as c:
            rows = run(c, "select_files", states=wanted, source=source, since=since).mappings()
            return [view_of(row) for row in rows]

    def members(self, file_id: int) -> list[Member]:
        with self._transaction() as c:
            rows = run(c, "members_of", id=file_id).all()
        return [Member(row.name, row.file_id, frozenset(row.besides)) for row in rows]

    def chains(self, file_ids: Sequence[int]) -> dict[int, ChainView]:
        with self._transaction() as c:
            rows = run(c, "chains", ids=list(file_ids)).mappings().all()
            last = run(c, "files_of", ids=[row["last_file"] for row in rows]).mappings()
            newest = {row["id"]: view_of(row) for row in last}
        return {row["asked"]: _chain(row, newest[row["last_file"]]) for row in rows}

    def heartbeats(self) -> list[Heartbeat]:
        with self._statement() as c:
            rows = run(c, "heartbeats").all()
        return [
            Heartbeat(
                LoopReport(Role(r.role), r.host, r.pid, r.process, r.settings, r.state),
                r.started_at,
                r.beat_at,
                r.age,
            )
            for r in rows
            if r.role in set(Role)  # a newer version of sensorflow may have added values
        ]

    def history(self, file_id: int) -> list[HistoryEvent]:
        with self._transaction() as c:
            return [HistoryEvent(**row) for row in run(c, "history", id=file_id).mappings()]

    def arrivals(self, file_id: int) -> list[ArrivalRecord]:
        with self._transaction() as c:
            return [ArrivalRecord(**row) for row in run(c, "arrivals_of", id=file_id).mappings()]

    def totals(self) -> dict[str, Totals]:
        totals: defaultdict[str, Totals] = defaultdict(Totals)
        with self._transaction() as c:
            rows = run(c, "totals").mappings().all()
        for row in rows:
            state = State(row["state"])
            found = account(state, **vars(counts_of(row)))
            totals[row["source"]] += Totals.of(state, row["files"], found)
        return dict(totals)


def _found(c: sa.Connection, file_filter: FileFilter, limit: int) -> list[FileView]:
    return [view_of(row) for row in run(c, "list_files", **_values(file_filter, limit)).mappings()]


def _values(file_filter: FileFilter, limit: int | None) -> dict[str, Any]:
    name = None if file_filter.name is None else pattern(file_filter.name)
    return {**vars(file_filter), "name": name, "limit": limit}


def _chain(row: sa.RowMapping, newest: FileView) -> ChainView:
    return ChainView(
        root=row["root"],
        growths=row["growths"],
        states={state: row[state] for state in State if row[state]},
        counts=counts_of(row),
        account=Account(
            read=int(row["all_read"]),
            loaded=int(row["rows_loaded"]),
            rejected=int(row["all_rejected"]),
            duplicate=int(row["all_duplicate"]),
            not_loaded=int(row["not_loaded"]),
            missing=int(row["all_missing"]),
            replaced=int(row["rows_replaced"]),
        ),
        size=row["size"],
        lines=row["lines"],
        newest=newest,
    )
