"""The questions of a dashboard, and how long the server needs to answer them.

A question has two statements: one for readings alone, as before reading indexes and gold, and one that uses
what is there now. Both return the same.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.reading_data import DAY_ASKED, MONTHS, Month
from benchmarks.stand import spread
from sensorflow.embedded.postgres import Postgres

SLOW = 2.0
"""Seconds after which a statement is asked only once."""

LATEST = """
SELECT DISTINCT ON (sensor_id, reading_type, unit) sensor_id, reading_type, unit, ts, value
  FROM raw_readings WHERE ts >= %(low)s AND ts < %(high)s
 ORDER BY sensor_id, reading_type, unit, ts DESC"""
LATEST_GOLD = (
    "SELECT sensor_id, reading_type, unit, ts, value FROM readings_latest ORDER BY 1, 2, 3"
)
SPAN = """
SELECT ts, value, unit, quality FROM raw_readings
 WHERE sensor_id = %(sensor)s AND reading_type = 'temperature' AND ts >= %(low)s AND ts < %(high)s
 ORDER BY ts"""
MINUTES = """
SELECT bucket, avg, min, max FROM readings_1m
 WHERE sensor_id = %(sensor)s AND reading_type = 'temperature' AND bucket >= %(low)s AND bucket < %(high)s
 ORDER BY bucket"""
HOURS = """
SELECT sensor_id, date_trunc('hour', ts, 'UTC') AS bucket, avg(value) FROM raw_readings
 WHERE sensor_id = ANY(%(sensors)s) AND reading_type = 'temperature' AND ts >= %(low)s AND ts < %(high)s
 GROUP BY 1, 2 ORDER BY 1, 2"""
HOURS_GOLD = """
SELECT sensor_id, bucket, avg FROM readings_1h
 WHERE sensor_id = ANY(%(sensors)s) AND reading_type = 'temperature'
   AND bucket >= %(low)s AND bucket < %(high)s
 ORDER BY 1, 2"""
LINE = """
SELECT f.source, f.key_text, r.line_no FROM raw_readings r JOIN files f ON f.id = r.file_id
 WHERE r.sensor_id = %(sensor)s AND r.ts = %(ts)s"""


@dataclass(frozen=True)
class Question:
    """A question, the milliseconds that its answer may take, and the month that it is about.

    before: the statement for readings alone. now: the statement that uses gold; None if it is the same.
    day: number of days before the first day that the question is about.
    """

    name: str
    limit_ms: int
    month: Month
    before: str
    now: str | None = None
    days: int | None = None
    day: int = DAY_ASKED

    def values(self, line: dict[str, Any]) -> dict[str, Any]:
        """The parameters of the statement. line: sensor and ts of a reading of the month, for `LINE`."""
        sensors = [f"sensor-{31 * number:04}" for number in range(20)]
        low = self.month.low + timedelta(days=self.day if self.days else 0)
        high = low + timedelta(days=self.days) if self.days else self.month.high
        own = line if self.before == LINE else {"sensor": sensors[0]}
        return {"sensors": sensors, "low": low, "high": high, **own}


def questions() -> Iterator[Question]:
    hours, weeks, growing = MONTHS
    yield Question("latest of all sensors", 20, growing, LATEST, LATEST_GOLD)
    for month, text in ((hours, "hourly files"), (weeks, "weekly files")):
        yield Question(f"one sensor's day, {text}", 20, month, SPAN, days=1)
        yield Question(f"one sensor's month, {text}", 100, month, SPAN)
    yield Question("one sensor's day, open month", 20, growing, SPAN, days=1)
    last = growing.seconds // 86400 - 1
    yield Question("one sensor's current day", 20, growing, SPAN, days=1, day=last)
    yield Question("one sensor's month, open month", 100, growing, SPAN)
    yield Question("one sensor's day by the minute, open month", 20, growing, SPAN, MINUTES, days=1)
    yield Question("hourly means of 20 sensors, a month", 50, hours, HOURS, HOURS_GOLD)
    yield Question("which file, which line", 10, hours, LINE)
    yield Question("which file, which line, open month", 10, growing, LINE)


class Asker:
    """Asks the questions of one server, warm and cold. gold: whether the statements for gold are used."""

    def __init__(self, server: Postgres, data: Path, plans: Path, repeat: int) -> None:
        self._server, self._data, self._plans, self._repeat = server, data, plans, repeat

    def ask(self, question: Question, state: str, gold: bool = False) -> dict[str, Any]:
        """Milliseconds of cold and warm answers. state: describes the indexes, in the file of plans."""
        statement = (question.now if gold else None) or question.before
        with self.connection() as c:
            values = question.values(self._line(c, question.month))
        self.forget()
        with self.connection() as c:
            c.execute("EXPLAIN " + statement, values)  # type: ignore[arg-type]  # reads the catalog
            cold, rows = self._once(c, statement, values)
            repeat = 1 if cold > SLOW else self._repeat
            warm = [self._once(c, statement, values)[0] * 1000 for _ in range(repeat)]
            self._explain(c, f"{state}: {question.name}", statement, values)
        return {"cold_ms": round(cold * 1000, 2), "warm_ms": spread(warm), "rows": rows}

    def plan(self, c: psycopg.Connection[Any], question: Question) -> float:
        """Milliseconds in which the server plans the first statement of a question."""
        values = question.values({"sensor": "sensor-0000", "ts": question.month.low})
        return plan_time(c, f"EXPLAIN (SUMMARY, FORMAT JSON) {question.before}", values)

    def forget(self) -> None:
        """Restart the server, and remove its files from the operating system's cache."""
        self._server.process.terminate(120)
        for path in self._data.rglob("*"):
            if path.is_file():
                descriptor = os.open(path, os.O_RDONLY)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(descriptor)
        self._server.start()

    def _once(self, c: psycopg.Connection[Any], statement: str, values: Any) -> tuple[float, int]:
        began = time.perf_counter()
        rows = c.execute(statement, values, binary=True).fetchall()  # type: ignore[arg-type]
        return time.perf_counter() - began, len(rows)

    def _explain(self, c: psycopg.Connection[Any], title: str, statement: str, values: Any) -> None:
        shown = c.execute(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", values)  # type: ignore[arg-type]
        lines = "\n".join(row[0] for row in shown.fetchall())
        with self._plans.open("a") as file:
            file.write(f"## {title}\n\n{statement.strip()}\n\n{lines}\n\n")

    def connection(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._server.url, autocommit=True, options="-c timezone=UTC")

    def _line(self, c: psycopg.Connection[Any], month: Month) -> dict[str, Any]:
        at: datetime = month.low + timedelta(days=12, hours=7)
        found = c.execute(
            "SELECT sensor_id, ts FROM raw_readings WHERE ts >= %s ORDER BY ts LIMIT 1", (at,)
        ).fetchone()
        assert found is not None
        return {"sensor": found[0], "ts": found[1]}


def plan_time(c: psycopg.Connection[Any], explain: str, values: dict[str, Any]) -> float:
    """Milliseconds in which the server plans the statement of an EXPLAIN with a summary as JSON."""
    found = c.execute(explain, values).fetchone()  # type: ignore[arg-type]
    assert found is not None
    return float(found[0][0]["Planning Time"])
