"""Stores in the ledger which sources are paused or draining."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from sensorflow.adapters.postgres.queries import run
from sensorflow.adapters.postgres.transactions import Transactions
from sensorflow.core.controls import Control, Mode


class Controls(Transactions):
    """Implements `ports.controls.Controls`."""

    def controls(self) -> dict[str, Control]:
        with self._statement() as c:
            return {row.source: _control(row) for row in run(c, "controls").all()}

    def hold_back(self, source: str, mode: Mode, actor: str, reason: str | None = None) -> Control:
        facts = {"source": source, "mode": str(mode), "actor": actor, "reason": reason}
        with self._statement() as c:
            return _control(run(c, "hold_back", **facts).one())

    def resume(self, source: str) -> bool:
        with self._statement() as c:
            return run(c, "resume_source", source=source).rowcount == 1


def _control(row: sa.Row[Any]) -> Control:
    return Control(row.source, Mode(row.mode), row.since, row.actor, row.reason)
