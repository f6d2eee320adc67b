"""Measures the duration of the ledger's own statements in milliseconds, with a million files in the
ledger, and records their plans.

Most of the files are loaded. A hundred thousand are pending without a message, a thousand are pending with
a message, and a thousand are running, some with an expired lease. Each statement is run by EXPLAIN
(ANALYZE, BUFFERS) with values that fit these files, and is then rolled back. Statements whose duration
depends on how many files they change, such as `stale`, are measured in several cases.
"""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa

from benchmarks.reference import engine
from benchmarks.stand import BenchmarkFleet, spread, stand
from sensorflow.adapters.postgres import outbox
from sensorflow.adapters.postgres.claims import NO_BATCH
from sensorflow.adapters.postgres.queries import queries
from sensorflow.core.arrival import Lane
from sensorflow.core.heartbeat import ALIVE_SECONDS
from sensorflow.core.states import WORK
from sensorflow.flow.publish import (
    BATCH_BYTES,
    BATCH_FILES,
    MIN_BATCHES,
    SMALL_FILE_BYTES,
    in_flight_limits,
)
from sensorflow.ports.maintenance import GARBAGE_GROUP, RECOLLECT_AFTER_SECONDS
from sensorflow.ports.outbox import Throughput
from sensorflow.settings import Limits

FILES = 1_000_000
LIMIT_MS = 5.0

FILL = """
INSERT INTO files (source, key, key_text, version, sha256, md5, size, mtime_ns, landing, sensor_type,
                   state, stage, attempts, lease_token, lease_owner, lease_until, discovered_at,
                   landed_at, registered_at, published_at, started_at, finished_at, rows_read,
                   rows_loaded, checksum, ts_min, ts_max, error_code, quarantined_to, lane)
SELECT 'plant-' || n % 8, CAST(name AS bytea), name, 1, digest, substr(digest, 1, 16), 4600, n,
       'by-hash/' || encode(digest, 'hex'), 'long', state,
       CASE state WHEN 'loaded' THEN 'load' WHEN 'quarantined' THEN 'quarantine' ELSE 'validate' END,
       CASE WHEN state = 'pending' THEN 0 ELSE 1 END,
       CASE WHEN state <> 'pending' THEN n END, CASE WHEN state <> 'pending' THEN 'worker' END,
       CASE WHEN state = 'running' THEN now() + make_interval(secs => n % 100 * 30 - 20) END,
       at, at, at, CASE WHEN place > :unpublished THEN at END,
       CASE WHEN state <> 'pending' THEN at END,
       CASE WHEN state IN ('loaded', 'quarantined') THEN at END, 100,
       CASE WHEN state = 'loaded' THEN 100 ELSE 0 END, CASE WHEN state = 'loaded' THEN n END,
       at, at + interval '100 s', CASE WHEN state = 'quarantined' THEN 'F204 too-many-rejects' END,
       CASE WHEN state = 'quarantined' THEN 'plant/1-v1-1' END,
       CASE WHEN n % 50 = 0 THEN 'backfill' ELSE 'live' END
  FROM (SELECT n, 'line-' || n % 97 || '/logger-' || n || '.csv' AS name,
               sha256(CAST(CAST(n AS text) AS bytea)) AS digest, CAST(:files AS bigint) - n AS place,
               CASE WHEN :files - n <= :unpublished + :published THEN
                         CASE WHEN :files - n > :unpublished AND n % 2 = 0 THEN 'running'
                              ELSE 'pending' END
                    WHEN n % 500 = 7 THEN 'quarantined' ELSE 'loaded' END AS state,
               now() - (CAST(:files AS bigint) - n) * interval '100 ms' AS at
          FROM generate_series(1, CAST(:files AS bigint)) n) made
"""
EVENTS = """
INSERT INTO file_events (file_id, at, what, to_state, stage, attempt, who)
SELECT id, registered_at, 'registered', NULL, 'validate', 0, 'daemon' FROM files
"""


def values(files: int) -> dict[str, dict[str, Any]]:
    """Return the cases to measure: name of the case -> arguments of the statement. The statement has the
    name of the case, or the name in `query`."""
    waiting = files - 100
    stages = {"stages": [str(stage) for stage in WORK], "owner": "worker", "lease": 30.0}
    claim = {**stages, **vars(NO_BATCH), "sources": []}
    sent = files - files // 10 - 1
    source = f"plant-{sent % 8}"
    batch = {
        **stages,
        "sources": [source],
        "file_bytes": SMALL_FILE_BYTES,
        "total_bytes": BATCH_BYTES,
        "files": BATCH_FILES,
    }
    limits = Limits(inline_below=SMALL_FILE_BYTES, max_in_flight=3000, backfill_in_flight=8)
    share = in_flight_limits(limits, Throughput(work=200.0, children=8))
    pending = {
        **vars(share),
        **outbox._WORK,
        "a_turn": outbox.A_TURN,
        "limit": 50,
        "max_in_flight": 3000,
    }
    pending |= {"lane": Lane.LIVE, "live": True, "room": 3000}
    name = f"line-{waiting % 97}/logger-{waiting}.csv".encode()
    arrival = {"source": f"plant-{waiting % 8}", "key": name}
    return {
        "claim": {"ids": [waiting], "first": waiting, **claim},
        "claim, 25 files": {
            "query": "claim",
            "ids": [waiting + n for n in range(25)],
            "first": waiting,
            **claim,
        },
        "claim, 62 along": {
            "query": "claim",
            "ids": [sent],
            "first": sent,
            **batch,
            "share": MIN_BATCHES,
        },
        "claim, in vain": {"query": "claim", "ids": [1], "first": 1, **batch, "share": MIN_BATCHES},
        "due": pending,
        "due, full": {"query": "due", **pending, "max_in_flight": 1000, "room": 1000},
        "due, backfill": {
            "query": "due",
            **pending,
            "lane": Lane.BACKFILL,
            "live": False,
            "room": 8,
        },
        "pace": {
            "live": ALIVE_SECONDS,
            "seconds": outbox.SECONDS,
            "events": outbox.EVENTS,
            **outbox._WORK,
        },
        "published": {
            "ids": [waiting + n for n in range(50)],
            "tokens": [0] * 50,
            "carriers": [None, *[waiting] * 24] * 2,
            "who": "daemon",
        },
        "expire": {"grace": 0, "who": "beat"},
        "waiting_messages": {},
        "stale": {"stale_after": 15.0, "lost": 10, "who": "beat"},
        "stale, 500 lost": {"query": "stale", "stale_after": 15.0, "lost": 500, "who": "beat"},
        "untidy": {
            "after": 0,
            "again": RECOLLECT_AFTER_SECONDS,
            "rewritten": False,
            "limit": GARBAGE_GROUP,
        },
        "unfinished": {"lane": Lane.BACKFILL},
        "given_back_lately": {"code": "I505 database-full", "within": 120.0},
        "seen": {**arrival, "fingerprint": "1-2-3", "sha256": None},
        "twin": {
            "source": arrival["source"],
            "name": name,
            "sha256": b"0" * 32,
            "name_matters": True,
        },
        "totals": {},
    }


def measure(files: int | None = None, repeat: int = 5) -> dict[str, Any]:
    files = files or FILES
    with stand() as bench_fleet:
        mix = fill(bench_fleet, files)
        found = [
            statement(bench_fleet, name, given, repeat) for name, given in values(files).items()
        ]
    return {"files": files, "mix": mix, "limit_ms": LIMIT_MS, "statements": found}


def fill(bench_fleet: BenchmarkFleet, files: int) -> dict[str, int]:
    share = {"files": files, "unpublished": files // 10, "published": files // 500}
    with engine(bench_fleet).begin() as connection:
        connection.execute(sa.text(FILL), share)
        connection.execute(sa.text(EVENTS))
    bench_fleet.sql.execute("VACUUM ANALYZE")
    bench_fleet.settle()
    mix = (
        "SELECT state || CASE WHEN state = 'pending' AND published_at IS NULL THEN ', unpublished' "
    )
    rows = bench_fleet.sql.execute(
        mix + "ELSE '' END AS mix, count(*) FROM files GROUP BY 1"
    ).fetchall()
    return {str(name): int(count) for name, count in rows}


def statement(
    bench_fleet: BenchmarkFleet, name: str, given: dict[str, Any], repeat: int
) -> dict[str, Any]:
    query = queries()[given.get("query", name)].text
    bound = {key: value for key, value in given.items() if key != "query"}
    explain = sa.text(f"EXPLAIN (ANALYZE, BUFFERS) {query}")
    execution, planning, plan = [], [], ""
    with engine(bench_fleet).connect() as connection:
        for _ in range(repeat):
            plan = "\n".join(connection.execute(explain, bound).scalars())
            connection.rollback()
            execution.append(_time(plan, "Execution"))
            planning.append(_time(plan, "Planning"))
    return {"name": name, "ms": spread(execution), "planning_ms": spread(planning), "plan": plan}


def _time(plan: str, which: str) -> float:
    found = re.search(rf"{which} Time: ([0-9.]+) ms", plan)
    assert found, plan
    return float(found[1])
