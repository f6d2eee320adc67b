"""Computes the aggregates of changed ranges again. One transaction takes the ranges from their queues and
writes their aggregates.

The isolation level is READ COMMITTED. A range in `readings_touched` was committed together with the
readings that it describes, so the statements that follow its removal see these readings. If a load commits
between two statements, a scan may include its readings early. Its range is still queued, and its minutes
are computed again. The hours are computed only from the minutes, which no other transaction writes, because
of the lock. Therefore all aggregates are right when the queues are empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from sensorflow import failpoints
from sensorflow.adapters.postgres.queries import queries, run
from sensorflow.adapters.postgres.transactions import Transactions
from sensorflow.core.gold import Refreshed, StaleRange, contiguous
from sensorflow.core.touched import MAX_SENSORS

SPREAD_WEIGHT = 50_000
"""Number of hours times sensors after which a transaction takes no further ranges from the queue."""


NESTED_KEYS = 300
"""Number of keys up to which each is looked up by an index, instead of reading the whole range."""


class Gold(Transactions):
    """Implements `ports.gold.Gold`."""

    def is_pending(self) -> bool:
        with self._statement() as c:
            return bool(run(c, "gold_pending").scalar_one())

    def lag_seconds(self) -> float:
        with self._statement() as c:
            return float(run(c, "gold_lag").scalar_one())

    def refresh_once(self, hours: int) -> Refreshed | None:
        with self._transaction() as c:
            if not run(c, "hold_gold").one().is_mine:
                return None
            run(c, "split_touched")
            run(c, "spread_touched", weight=SPREAD_WEIGHT, most=MAX_SENSORS)
            stale = run(c, "take_stale", hours=hours).all()
            failpoints.hit(failpoints.Failpoint.GOLD_TAKEN)
            ranges = contiguous(StaleRange(row.low, row.high, _tuple(row.sensors)) for row in stale)
            if ranges:
                _refresh(c, ranges)
            pending = bool(run(c, "gold_pending").scalar_one())
            failpoints.hit(failpoints.Failpoint.GOLD_REFRESHED)
        return Refreshed(len(stale), pending)


def _tuple(sensors: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if sensors is None else tuple(sensors)


def _refresh(c: sa.Connection, ranges: list[StaleRange]) -> None:
    _ensure_months(c, ranges)
    changed: dict[str, list[Any]] = {"sensors": [], "types": [], "units": [], "buckets": []}
    check_latest = False
    run(c, "plan_gold", nested="off")
    for one in ranges:
        sensors = None if one.sensors is None else list(one.sensors)
        row = run(c, "refresh_minutes", low=one.low, high=one.high, sensors=sensors).one()
        check_latest = check_latest or row.check_latest
        for name, values in changed.items():
            values += row._mapping[name] or ()
    failpoints.hit(failpoints.Failpoint.GOLD_MINUTES)
    if changed["buckets"]:
        run(c, "plan_gold", nested="on" if len(changed["buckets"]) <= NESTED_KEYS else "off")
        _refresh_coarser(c, changed)
    if check_latest:
        run(c, "plan_gold", nested="on")
        keys = {name: changed[name] for name in ("sensors", "types", "units")}
        run(c, "refresh_latest", **keys)


def _refresh_coarser(c: sa.Connection, changed: dict[str, list[Any]]) -> None:
    span = {"low": min(changed["buckets"]), "high": max(changed["buckets"])}
    c.execute(_coarser("gold_1m", "gold_1h", "hour"), {**changed, **span})
    c.execute(_coarser("gold_1h", "gold_1d", "day"), {**changed, **span})


@cache
def _coarser(fine: str, coarse: str, span: str) -> sa.TextClause:
    text = queries()["refresh_coarser"].text
    for name, value in (("{fine}", fine), ("{coarse}", coarse), ("{span}", span)):
        text = text.replace(name, value)
    return sa.text(text)


def _ensure_months(c: sa.Connection, ranges: list[StaleRange]) -> None:
    """Create the missing partitions of the aggregates per minute."""
    spans = {"lows": [one.low for one in ranges], "highs": [one.high for one in ranges]}
    if missing := list(run(c, "missing_gold_months", **spans).scalars()):
        run(c, "ensure_gold_months", months=missing)
