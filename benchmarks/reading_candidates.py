"""What candidates for a reading index cost, and which questions they speed up.

Each candidate is built on all three months of `reading_data`. Cost: the seconds of building it, its size,
and how long a worker needs for a file that is loaded late into an indexed month. The last case is a table
that holds one day alone, as the partition of a day would.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import inputs, reading_data, results
from benchmarks.reading import MILLION, progress, server
from benchmarks.reading_data import MONTHS, Month
from benchmarks.reading_questions import Asker, questions
from benchmarks.stand import BenchmarkFleet, spread
from sensorflow.embedded.postgres import Postgres

PLANS = results.FOLDER / "reading-candidates-plans.txt"
CANDIDATES = {
    "none": None,
    "sensor, type, ts": "(sensor_id, reading_type, ts)",
    "covering": "(sensor_id, reading_type, ts) INCLUDE (value, unit, quality)",
    "BRIN minmax of sensor, ts": "USING brin (sensor_id, ts) WITH (pages_per_range = 16)",
    "BRIN bloom of sensor": "USING brin (sensor_id text_bloom_ops, ts) WITH (pages_per_range = 16)",
}
LATE = 100_000
"""Rows of a file that is loaded late into a quiet month."""


def measure(
    quick: bool = False, rows: int | None = None, repeat: int = 5, plans: Path = PLANS
) -> dict[str, Any]:
    """rows: of all three months."""
    rows = rows or (3 * MILLION if quick else 60 * MILLION)
    plans.parent.mkdir(parents=True, exist_ok=True)
    plans.write_text(f"# Plans of benchmarks/reading_candidates.py, {rows:,} readings\n\n")
    with server() as (root, postgres):
        stand = Candidates(root, postgres, plans, repeat)
        with stand.connection() as sql:
            reading_data.fill(sql, rows)
        found = [stand.candidate(name) for name in CANDIDATES]
        return {"rows": rows, "candidates": found, "day_alone": stand.day_alone()}


class Candidates:
    """The server with the readings of three months."""

    def __init__(self, root: Path, postgres: Postgres, plans: Path, repeat: int) -> None:
        self._root, self._postgres, self._repeat = root, postgres, repeat
        self._asker = Asker(postgres, root / "postgres", plans, repeat)
        self._late = 0

    def connection(self) -> psycopg.Connection[Any]:
        return self._asker.connection()

    def candidate(self, name: str) -> dict[str, Any]:
        """Build an index on all months. Returns what it costs, and the answers that it speeds up."""
        definition = CANDIDATES[name]
        with self.connection() as sql:
            built = [_build(sql, month, definition) for month in MONTHS]
        asked = {
            question.name: self._asker.ask(question, name)
            for question in questions()
            if question.now is None
        }
        late = self.load_late()
        with self.connection() as sql:
            for month in MONTHS:
                sql.execute(f"DROP INDEX IF EXISTS candidate_{month.part}")  # type: ignore[arg-type]
        shown = {key: (one["cold_ms"], one["warm_ms"]["median"]) for key, one in asked.items()}
        cost = late["cpu"]["median"]
        progress(f"{name}: {built}, late load {cost} CPU s, cold and warm ms {shown}")
        return {"name": name, "built": built, "late": late, "answers": asked}

    def load_late(self) -> dict[str, Any]:
        """Seconds that a worker needs for a file of `LATE` readings of the first month, and the CPU seconds
        of worker and server."""
        fleet = BenchmarkFleet(self._root, self._postgres)
        took = []
        try:
            for _ in range(self._repeat + 1):
                path = self._root / f"late-{self._late}.csv"
                inputs.write(path, LATE, first=self._late * LATE)
                self._late += 1
                fleet.settle()
                took.append(fleet.take([path], "csv"))
                path.unlink()
        finally:
            fleet.close()
        measured = took[1:]  # the first one warms
        return {
            "seconds": spread([one.seconds for one in measured]),
            "cpu": spread([one.own_cpu + one.database_cpu for one in measured]),
        }

    def day_alone(self) -> dict[str, Any]:
        """The answer to the question about a day of the open month, from a table with this day alone."""
        question = next(q for q in questions() if q.days and q.month.is_open and q.now is None)
        values = question.values({})
        with self.connection() as sql:
            sql.execute(
                f"CREATE TABLE day_alone AS SELECT * FROM {question.month.part}"  # type: ignore[arg-type]
                " WHERE ts >= %(low)s AND ts < %(high)s",
                values,
            )
            sql.execute("VACUUM (ANALYZE) day_alone")
        alone = replace(question, before=question.before.replace("raw_readings", "day_alone"))
        found = self._asker.ask(alone, "a day alone")
        progress(f"a day alone: {found}")
        return found


def _build(sql: psycopg.Connection[Any], month: Month, definition: str | None) -> dict[str, Any]:
    if definition is None:
        return {"month": month.part, "seconds": 0.0, "bytes_per_row": 0.0}
    name = f"candidate_{month.part}"
    began = time.perf_counter()
    sql.execute(f"CREATE INDEX {name} ON {month.part} {definition}")  # type: ignore[arg-type]
    seconds = time.perf_counter() - began
    sql.execute(f"ANALYZE {month.part}")  # type: ignore[arg-type]
    size = sql.execute(
        "SELECT pg_relation_size(CAST(%s AS regclass)) / greatest(1, reltuples) FROM pg_class"
        " WHERE oid = CAST(%s AS regclass)",
        (name, month.part),
    ).fetchone()
    assert size is not None
    return {
        "month": month.part,
        "seconds": round(seconds, 1),
        "bytes_per_row": round(float(size[0]), 1),
    }
