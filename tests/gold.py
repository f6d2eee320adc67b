"""The aggregates and the newest readings as they must be, computed from the readings alone."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import psycopg

WIDTHS = {"gold_1m": "minute", "gold_1h": "hour", "gold_1d": "day"}
HUGE, TINY = 1e100, 1e-100
READINGS = (
    "SELECT sensor_id, reading_type, unit, ts, file_id, line_no, value, quality FROM raw_readings"
)
COLUMNS = "count, min, max, first, first_ts, last, last_ts, flagged, sum, m2"
LATEST = "SELECT sensor_id, reading_type, unit, ts, value, quality, file_id, line_no FROM readings_latest"
Row = tuple[Any, ...]


def differences(url: str) -> list[str]:
    """How the aggregates of a database differ from its readings."""
    with psycopg.connect(url, options="-c TimeZone=UTC") as c:
        readings = sorted(c.execute(READINGS).fetchall(), key=_order)
        found = [
            f"{table} {key}: {have} instead of {want}"
            for table, width in WIDTHS.items()
            for key, have, want in _unequal(_stored(c, table), _aggregates(readings, width))
        ]
        latest = {row[:3]: row[3:] for row in c.execute(LATEST).fetchall()}
    newest = {r[:3]: (r[3], r[6], r[7], r[4], r[5]) for r in readings}
    return found + [f"latest {k}: {h} instead of {w}" for k, h, w in _unequal(latest, newest)]


def _order(reading: Row) -> Row:
    return (*reading[3:6], _comparable(reading[6]))


def _comparable(value: float) -> tuple[bool, float]:
    """PostgreSQL's order, in which NaN is the largest number."""
    return (True, 0.0) if math.isnan(value) else (False, value)


def _stored(c: psycopg.Connection[Any], table: str) -> dict[Row, Row]:
    query = f"SELECT sensor_id, reading_type, unit, bucket, {COLUMNS} FROM {table}"
    return {row[:4]: row[4:] for row in c.execute(query).fetchall()}


def _aggregates(readings: list[Row], width: str) -> dict[Row, Row]:
    """readings: sorted."""
    groups: dict[Row, list[Row]] = defaultdict(list)
    for reading in readings:
        groups[(*reading[:3], _bucket(reading[3], width))].append(reading)
    return {key: _aggregate(group) for key, group in groups.items()}


def _bucket(ts: datetime, width: str) -> datetime:
    fields = {"second": 0, "microsecond": 0}
    if width != "minute":
        fields["minute"] = 0
    if width == "day":
        fields["hour"] = 0
    return ts.replace(**fields)  # type: ignore[arg-type]


def _aggregate(group: list[Row]) -> Row:
    values = [r[6] for r in group]
    bounded = [0.0 if abs(v) < TINY else v if abs(v) <= HUGE else v * math.inf for v in values]
    total, m2 = sum(bounded), math.nan
    if all(map(math.isfinite, bounded)):
        total = math.fsum(bounded)
        mean = total / len(bounded)
        m2 = math.fsum((v - mean) ** 2 for v in bounded)
    return (
        len(group),
        min(values, key=_comparable),
        max(values, key=_comparable),
        *(group[0][6], group[0][3], group[-1][6], group[-1][3]),
        sum(r[7] != 0 for r in group),
        total,
        m2,
    )


def _unequal(have: dict[Row, Row], want: dict[Row, Row]) -> Iterable[tuple[Row, Any, Any]]:
    for key in have.keys() | want.keys():
        mine, theirs = have.get(key), want.get(key)
        if mine is None or theirs is None or not _equal(mine, theirs):
            yield key, mine, theirs


def _equal(mine: Row, theirs: Row) -> bool:
    """Sums, which are the last two, depend on the order of the readings."""
    exact = mine[:-2] if len(mine) > 5 else mine
    pairs = zip(mine[: len(exact)], theirs, strict=False)
    if not all(a == b or (a != a and b != b) for a, b in pairs):
        return False
    if len(mine) <= 5:
        return True
    (sum_a, m2_a), (sum_b, m2_b) = mine[-2:], theirs[-2:]
    size = max(abs(mine[1]), abs(mine[2]))
    return _close(sum_a, sum_b, size * mine[0]) and _close(m2_a, m2_b, size * size * mine[0])


def _close(a: float, b: float, size: float) -> bool:
    if math.isfinite(a) and math.isfinite(b):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12 * size)
    return a == b or (math.isnan(a) and math.isnan(b))


def hours_between(low: datetime, high: datetime) -> int:
    return int((high - low) / timedelta(hours=1))
