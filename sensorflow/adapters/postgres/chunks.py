"""Creates the chunks of a hypertable before a load needs them.

TimescaleDB creates a missing chunk in the transaction that inserts the first row. Until that transaction
ends, all other transactions that need a new chunk wait, also for other times. A load can take minutes, so
each chunk is created in a short transaction of its own.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlalchemy as sa

from sensorflow.adapters.postgres.queries import run
from sensorflow.core.readings import micros

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

Times = npt.NDArray[np.int64]
"""Microseconds since 1970."""


class Chunks:
    """The chunks that this process knows: their starts, and their ends, which are excluded."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self.forget()

    def forget(self) -> None:
        self._starts: Times = np.empty(0, np.int64)
        self._ends: Times = np.empty(0, np.int64)

    def ensure(self, ts: pa.Array) -> None:
        """Create the missing chunks for these times. A chunk that cannot be found after its creation is
        left to the load."""
        missing = self._missing(micros(ts))
        if not len(missing):
            return
        self._find(missing.min(), missing.max())
        while len(missing := self._missing(missing)):
            self._create(missing[0])
            self._find(missing[0], missing[0])
            missing = missing[missing != missing[0]]

    def _missing(self, times: Times) -> Times:
        """Return the times without a known chunk."""
        if not len(times) or not len(self._starts):
            return times
        position = np.searchsorted(self._starts, times, side="right") - 1
        return times[(position < 0) | (times >= self._ends[position])]

    def _find(self, low: np.int64, high: np.int64) -> None:
        """Query the chunks that contain times from `low` to `high`."""
        with self._engine.begin() as c:
            rows = run(c, "chunks_between", low=_time(low), high=_time(high)).all()
        if rows:
            known = dict(zip(self._starts.tolist(), self._ends.tolist(), strict=True))
            known.update((_micros(row.range_start), _micros(row.range_end)) for row in rows)
            starts = sorted(known)
            self._starts = np.array(starts, np.int64)
            self._ends = np.array([known[start] for start in starts], np.int64)

    def _create(self, at: np.int64) -> None:
        """Create the chunk of a time. TimescaleDB has no public function for this. The row that is inserted
        is deleted before the commit, so no other transaction sees it."""
        place = {"ts": _time(at), "key": uuid4()}
        with self._engine.begin() as c:
            run(c, "insert_into_chunk", **place)
            run(c, "delete_from_chunk", **place)


def _time(at: np.int64) -> datetime:
    return EPOCH + timedelta(microseconds=int(at))


def _micros(at: datetime) -> int:
    return (at - EPOCH) // MICROSECOND
