"""What people ask of files: the reading part of the ledger."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa

from sensorflow.adapters.postgres.queries import queries, run
from sensorflow.adapters.postgres.rows import counts_of, view_of
from sensorflow.core.account import account, add, nothing
from sensorflow.core.listing import LATELY, Activity, FileFilter, pattern
from sensorflow.core.states import State
from sensorflow.ports.files import FileView, Listed


class Listing:
    """See `ports.ledger.Ledger`; of its methods those that list and count files."""

    def _transaction(self) -> AbstractContextManager[sa.Connection]:
        raise NotImplementedError

    def files(
        self,
        state: State | None = None,
        source: str | None = None,
        limit: int = 50,
        whole: bool = False,
    ) -> list[FileView]:
        with self._transaction() as c:
            return _found(c, FileFilter(state, source, whole=whole), limit)

    def matching(self, wanted: FileFilter, limit: int) -> Listed:
        with self._transaction() as c:
            found = _found(c, wanted, limit)
            if len(found) < limit:
                return Listed(found, len(found))
            counted = sa.text(f"SELECT count(*) FROM ({queries()['list_files'].text}) AS found")
            total = c.execute(counted, _values(wanted, None)).scalar_one()
        return Listed(found, int(total))

    def totals(self) -> dict[str, dict[str, int]]:
        totals: dict[str, dict[str, int]] = {}
        with self._transaction() as c:
            rows = run(c, "totals").mappings().all()
        for row in rows:
            state = State(row["state"])
            sums = totals.setdefault(row["source"], nothing())
            add(sums, state, row["files"], account(state, **vars(counts_of(row))))
        return totals

    def activity(self) -> dict[str, Activity]:
        with self._transaction() as c:
            rows = run(c, "activity", lately=LATELY).mappings().all()
        return {
            row["source"]: Activity(**{k: row[k] for k in row if k != "source"}) for row in rows
        }


def _found(c: sa.Connection, wanted: FileFilter, limit: int) -> list[FileView]:
    return [view_of(row) for row in run(c, "list_files", **_values(wanted, limit)).mappings()]


def _values(wanted: FileFilter, limit: int | None) -> dict[str, Any]:
    name = None if wanted.name is None else pattern(wanted.name)
    return {**vars(wanted), "name": name, "limit": limit}
