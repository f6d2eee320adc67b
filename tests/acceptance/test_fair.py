"""A flood of one source and a file of another one: by order, not by time. `make fair` is the long run."""

from __future__ import annotations

from pathlib import Path

import psycopg
from fair import SETTINGS, FileFlood
from fleet import fleet

from sensorflow.embedded.valkey import Valkey

FILES = 400
WAITING = "SELECT count(*) FROM files WHERE source = 'flood' AND state IN ('pending', 'running')"
QUIET = "SELECT count(*) FROM files WHERE source = 'quiet' AND state = 'loaded'"


def test_a_quiet_source_does_not_wait_for_the_flood_of_another(
    project: Path, database: str, valkey: Valkey
) -> None:
    for name in ("flood", "quiet"):
        (project / name).mkdir()
    with fleet(project, database, valkey.url, settings=SETTINGS) as f:
        flood = FileFlood(f, FILES)
        flood.drop(flood.prepare())
        f.start("daemon")
        with psycopg.connect(database, autocommit=True) as c:

            def count(query: str) -> int:
                return int(c.execute(query).fetchone()[0])  # type: ignore[arg-type, index]

            f.wait(lambda: count(WAITING) > FILES / 2)  # nobody works yet: it is in the ledger
            flood.drop_quiet()
            f.start("worker")
            f.wait(lambda: count(QUIET) == 1)
            left = FILES - count(
                "SELECT count(*) FROM files WHERE source='flood' AND state='loaded'"
            )
            assert left > FILES / 2
            f.wait(lambda: count(WAITING) == 0 and f.ledger.totals()["flood"].loaded == FILES)
        assert flood.truth.of_database(database) == flood.truth.readings
