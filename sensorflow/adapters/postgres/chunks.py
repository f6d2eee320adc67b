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

from sensorflow.adapters.postgres.queries import queries, run
from sensorflow.core.readings import micros

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

AT_ONCE = 20
"""Maximum number of chunks that are created in one transaction, for which other loads wait."""

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
            some = self._one_per_chunk(missing)[:AT_ONCE]
            self._create(some)
            self._find(some[0], some[-1])
            missing = missing[~np.isin(missing, some)]

    def _missing(self, times: Times) -> Times:
        """Return the times without a known chunk."""
        if not len(times) or not len(self._starts):
            return times
        position = np.searchsorted(self._starts, times, side="right") - 1
        return times[(position < 0) | (times >= self._ends[position])]

    def _one_per_chunk(self, times: Times) -> Times:
        """Return one time for each chunk that these times probably need, in ascending order. The newest
        known chunk tells how wide a chunk is. The first time, if no chunk is known."""
        if not len(self._starts):
            return times[:1]
        width = self._ends[-1] - self._starts[-1]
        _, positions = np.unique((times - self._starts[-1]) // width, return_index=True)
        return times[positions]

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

    def _create(self, times: Times) -> None:
        """Create the chunks of these times. TimescaleDB has no public function for this. The rows that are
        inserted are deleted before the commit, so no other transaction sees them."""
        places = [{"ts": _time(at), "key": uuid4()} for at in times]
        with self._engine.begin() as c:
            for query in ("insert_into_chunk", "delete_from_chunk"):
                c.execute(queries()[query], places)


def _time(at: np.int64) -> datetime:
    return EPOCH + timedelta(microseconds=int(at))


def _micros(at: datetime) -> int:
    return (at - EPOCH) // MICROSECOND
