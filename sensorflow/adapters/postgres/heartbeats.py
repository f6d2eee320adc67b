"""Which processes run: the part of the ledger that they write themselves."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager

import sqlalchemy as sa

from sensorflow.adapters.postgres.queries import run
from sensorflow.core.heartbeat import FORGOTTEN, Heartbeat, Pulse, Role


class Heartbeats:
    """See `ports.ledger.Ledger`; of its methods those about heartbeats."""

    def _statement(self) -> AbstractContextManager[sa.Connection]:
        raise NotImplementedError

    def beat(self, pulse: Pulse) -> None:
        facts = {**vars(pulse), "role": str(pulse.role), "state": json.dumps(pulse.state)}
        with self._statement() as c:
            run(c, "beat", **facts, forgotten=FORGOTTEN)

    def end_beats(self, process: str) -> None:
        with self._statement() as c:
            run(c, "end_beats", process=process)

    def heartbeats(self) -> list[Heartbeat]:
        with self._statement() as c:
            rows = run(c, "heartbeats").all()
        return [
            Heartbeat(
                Pulse(Role(r.role), r.host, r.pid, r.process, r.settings, r.state),
                r.started_at,
                r.beat_at,
                r.age,
            )
            for r in rows
            if r.role in set(Role)  # a newer version may know others
        ]
