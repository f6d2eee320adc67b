"""How fast the database answers the questions of a dashboard, and what the reading index costs.

20 million readings a month of a thousand sensors, in three months; see `reading_data`. The third month has
partitions of a day, as the rate of the others would choose. Each question is asked of readings alone, as
before, and then with the reading index of quiet partitions and with gold.

Cold: the server was restarted, and its files were removed from the cache of the operating system; only the
catalog was read. Warm: the same question again, in the same session. The plans are written to
results/reading-plans.txt.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import reading_data, results
from benchmarks.reading_data import MONTHS
from benchmarks.reading_questions import SPAN, Asker, plan_time, questions
from benchmarks.stand import spread
from sensorflow import telemetry
from sensorflow.adapters.postgres import migrate, reading_index
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.partition_width import Width, month_range
from sensorflow.embedded.postgres import Postgres
from sensorflow.ports.maintenance import Expirable

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from servers import place_for_servers

MILLION = 1_000_000
PLANS = results.FOLDER / "reading-plans.txt"
PLANNED = (
    (len(MONTHS), Width.MONTH),
    (24, Width.MONTH),
    (36, Width.DAY),
    (120, Width.MONTH),
)
"""Cases of planning: the number of months, and the width of the partitions that are added for them."""
UNBOUNDED = (
    "EXPLAIN (SUMMARY, FORMAT JSON) SELECT ts, value FROM raw_readings WHERE sensor_id = 's'"
)


def measure(
    quick: bool = False,
    rows: int | None = None,
    repeat: int = 5,
    plans: Path = PLANS,
    width: Width = Width.DAY,
) -> dict[str, Any]:
    """rows: of all three months. width: of the partitions of the open month."""
    rows = rows or (3 * MILLION if quick else 60 * MILLION)
    plans.parent.mkdir(parents=True, exist_ok=True)
    plans.write_text(f"# Plans of benchmarks/reading.py, {rows:,} readings\n\n")
    with server() as (root, postgres):
        stand = Stand(root, postgres, plans, repeat)
        began = time.perf_counter()
        with stand.connection() as sql:
            reading_data.fill(sql, rows, width)
        filled = time.perf_counter() - began
        progress(f"{rows:,} readings made in {filled:.0f} s")
        return {"rows": rows, "fill_seconds": round(filled, 1), **compare(stand)}


def compare(stand: Stand) -> dict[str, Any]:
    found: dict[str, Any] = {"before": stand.ask_all("readings alone", gold=False)}
    found["index"] = stand.index()
    found["now"] = stand.ask_all("reading index and gold", gold=True)
    print(table(found), flush=True)
    found["planning"] = [stand.planning(*case) for case in PLANNED]
    found["retention"] = stand.retention()
    return found


class Stand:
    """The server with the readings of three months."""

    def __init__(self, root: Path, postgres: Postgres, plans: Path, repeat: int) -> None:
        self._postgres = postgres
        self._asker = Asker(postgres, root / "postgres", plans, repeat)

    def connection(self) -> psycopg.Connection[Any]:
        return self._asker.connection()

    def ask_all(self, state: str, gold: bool) -> dict[str, Any]:
        """The answers to all questions, by name."""
        found = {}
        for question in questions():
            found[question.name] = answer = self._asker.ask(question, state, gold)
            warm = answer["warm_ms"]["median"]
            progress(f"{state}: {question.name}: cold {answer['cold_ms']} ms, warm {warm} ms")
        return found

    def index(self) -> dict[str, Any]:
        """Build the reading indexes as beat does, and fill gold. Returns the seconds."""
        began = time.perf_counter()
        outcomes = reading_index.index_partitions(self._postgres.url, quiet=0.0, smallest=0)
        seconds = time.perf_counter() - began
        with self.connection() as sql:
            reading_data.fill_gold(sql)
        progress(f"{outcomes} in {seconds:.0f} s")
        return {"months": outcomes, "seconds": round(seconds, 1)}

    def planning(self, months: int, width: Width) -> dict[str, Any]:
        """Milliseconds of planning with so many months, each partition with its indexes: of the first time
        in a session, and later. width: of the partitions of months that do not exist yet."""
        with self.connection() as sql:
            for number in range(1, months - len(MONTHS) + 1):
                year, month = divmod(MONTHS[0].low.year * 12 + MONTHS[0].low.month - 1 - number, 12)
                low = datetime(year, month + 1, 1, tzinfo=UTC)
                span = {"low": low, "high": month_range(low)[1], "width": str(width)}
                sql.execute(reading_data.PARTITIONS, span)
            for (part,) in sql.execute("SELECT name FROM reading_partitions()").fetchall():
                definition = f"IF NOT EXISTS {part}_ix ON {part} {reading_index.COLUMNS}"
                sql.execute(f"CREATE INDEX {definition}")  # type: ignore[arg-type]
        found: dict[str, Any] = {"months": months, "partitions": self._partitions()}
        for question in (q for q in questions() if q.now is None and q.before == SPAN):
            with self.connection() as sql:
                times = [self._asker.plan(sql, question) for _ in range(20)]
            found[question.name] = {"first": times[0], "later": spread(times[1:])["median"]}
        with self.connection() as sql:
            times = [plan_time(sql, UNBOUNDED, {}) for _ in range(20)]
        found["no time range"] = {"first": times[0], "later": spread(times[1:])["median"]}
        progress(f"planning: {found}")
        return found

    def _partitions(self) -> int:
        with self.connection() as sql:
            found = sql.execute("SELECT count(*) FROM reading_partitions()").fetchone()
        assert found is not None
        return int(found[0])

    def retention(self) -> dict[str, Any]:
        """Seconds in which retention drops the first month, and a week of the second one row by row."""
        ledger = PostgresLedger(self._postgres.url, "benchmark")
        now, week = datetime.now(UTC), MONTHS[1].low + timedelta(days=8)
        try:
            began = time.perf_counter()
            done = ledger.expire_partitions({"csv": (now - MONTHS[1].low).total_seconds()})
            dropped = time.perf_counter() - began
            before, began, files = self._rows(), time.perf_counter(), 0
            age = (now - week).total_seconds()
            while expired := ledger.expire("csv", Expirable.ROWS, age).files:
                files += expired
            seconds = time.perf_counter() - began
        finally:
            ledger.close()
        found = {
            "dropped_files": sum(one.files for one in done),
            "dropped_seconds": round(dropped, 2),
            "deleted_files": files,
            "deleted_rows": before - self._rows(),
            "deleted_seconds": round(seconds, 2),
        }
        progress(f"retention: {found}")
        return found

    def _rows(self) -> int:
        with self.connection() as sql:
            found = sql.execute("SELECT count(*) FROM raw_readings").fetchone()
        assert found is not None
        return int(found[0])


def table(found: dict[str, Any]) -> str:
    """The answers before and now, as Markdown. Milliseconds."""
    lines = [
        "| Question | Goal | Before: cold | warm | Now: cold | warm | Ratio, warm |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for question in questions():
        before, now = found["before"][question.name], found["now"][question.name]
        old, new = before["warm_ms"]["median"], now["warm_ms"]["median"]
        figures = (before["cold_ms"], old, now["cold_ms"], new)
        shown = " | ".join(f"{value:,.1f}" for value in figures)
        lines.append(f"| {question.name} | {question.limit_ms} | {shown} | {old / new:,.0f} |")
    return "\n".join(lines)


@contextmanager
def server() -> Iterator[tuple[Path, Postgres]]:
    telemetry.configure("ERROR")
    with place_for_servers() as place:
        postgres = Postgres(place.root, place.logs)
        postgres.start()
        try:
            migrate.upgrade(postgres.url)
            yield place.root, postgres
        finally:
            postgres.process.terminate(60)


def progress(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)
