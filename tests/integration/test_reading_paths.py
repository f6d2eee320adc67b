"""The reading index of quiet months, months that are made ahead, and months that retention drops whole.

tests/timescale/test_hypertable.py has the same subjects on a hypertable, which has no months.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from gold import differences
from patience import PATIENCE
from project_driver import ProjectDriver

from sensorflow.adapters.postgres import (
    expired_partitions,
    index_mode,
    inspect,
    reading_index,
    sealing,
)
from sensorflow.adapters.postgres.connect import engine_of
from sensorflow.adapters.postgres.gold import Gold
from sensorflow.adapters.postgres.reading_partitions import PartitionCreator
from sensorflow.adapters.postgres.sealing import SealOutcome
from sensorflow.core.partition_width import Width
from sensorflow.errors import Transient
from sensorflow.flow.outcomes import Outcome
from sensorflow.flow.retention import apply_retention

HEAD = b"time,sensor,type,value,unit\n"
ROWS = """
INSERT INTO raw_readings
SELECT CAST(%s AS timestamptz) + n * interval '1 minute', 's' || n %% 50, 'level', n, 'm', 0, %s, n,
       gen_random_uuid()
  FROM generate_series(1, 20000) n
"""
DAY = """
SELECT ts, value FROM raw_readings WHERE sensor_id = 's7' AND reading_type = 'level'
   AND ts >= '2026-02-03Z' AND ts < '2026-02-13Z'
"""


@pytest.fixture
def driver(project: Path, database: str) -> Iterator[ProjectDriver]:
    project_driver = ProjectDriver(project, database)
    yield project_driver
    project_driver.close()


def readings(*times: str) -> bytes:
    return HEAD + b"".join(f"{ts},s{n},level,{n}.5,m\n".encode() for ts in times for n in range(3))


def found(url: str, statement: str) -> list[Any]:
    with psycopg.connect(url, autocommit=True, options="-c timezone=UTC") as c:
        return c.execute(statement).fetchall()  # type: ignore[arg-type]


def index(url: str, part: str = "raw_readings_2026_02") -> list[bool]:
    """Whether the reading index of a partition is valid; empty if there is none."""
    query = f"SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{part}_ix')"
    return [valid for (valid,) in found(url, query)]


def quiet(driver: ProjectDriver, *files: int) -> None:
    driver.sql(
        "UPDATE files SET finished_at = now() - interval '2 hours' WHERE id = ANY(%s)", list(files)
    )


@pytest.mark.plain("months are partitions")
@pytest.mark.parametrize("deferred", [False, True])
def test_a_quiet_month_gets_an_index_that_questions_use(
    project: Path, database: str, deferred: bool
) -> None:
    index_mode.set_index_mode(database, deferred)
    mode = "deferred" if deferred else "unique"
    driver = ProjectDriver(project, database, dedupe_index=mode)
    first = driver.load("a.csv", readings("2026-02-01T00:00:00Z"))
    driver.load("b.csv", readings("2026-03-01T00:00:00Z"))
    driver.sql(ROWS, "2026-02-01Z", first)
    assert reading_index.index_partitions(database, smallest=0) == {}
    quiet(driver, first)
    assert reading_index.index_partitions(database) == {}  # too small
    assert reading_index.index_partitions(database, smallest=0) == {"2026-02": "indexed"}
    assert (index(database), index(database, "raw_readings_2026_03")) == ([True], [])
    plan = "\n".join(line for (line,) in found(database, f"EXPLAIN {DAY}"))
    assert "Index Only Scan using raw_readings_2026_02_ix" in plan
    assert len(found(database, DAY)) == 288
    assert reading_index.index_partitions(database, smallest=0) == {}
    driver.load("late.csv", readings("2026-02-02T00:00:00Z"))  # a late load is still possible
    month = next(m for m in sealing.partitions(database, timedelta(0)) if m.name == "2026-02")
    sealed = SealOutcome.SEALED if deferred else SealOutcome.OPEN
    assert [done.outcome for done in sealing.seal(database, [month])] == [sealed]
    assert index(database) == [True]
    driver.close()


def test_the_current_month_gets_no_index(driver: ProjectDriver) -> None:
    file_id = driver.load("a.csv", readings(f"{datetime.now(UTC):%Y-%m-01T00:00:00Z}"))
    quiet(driver, file_id)
    assert reading_index.index_partitions(driver.database, smallest=0) == {}


@pytest.mark.plain("months are partitions")
def test_a_killed_build_is_repaired(driver: ProjectDriver) -> None:
    url = driver.database
    quiet(driver, driver.load("a.csv", readings("2026-02-01T00:00:00Z")))
    errors: list[Exception] = []

    def build() -> None:
        try:
            reading_index.index_partitions(url, smallest=0)
        except Transient as error:
            errors.append(error)

    with psycopg.connect(url) as old:
        old.execute("INSERT INTO raw_readings SELECT * FROM raw_readings WHERE false")
        old.execute("LOCK TABLE raw_readings_2026_02 IN ROW EXCLUSIVE MODE")
        thread = threading.Thread(target=build)
        thread.start()
        until = time.monotonic() + PATIENCE
        while not index(url) and time.monotonic() < until:
            time.sleep(0.01)
        assert index(url) == [False]
        assert reading_index.index_partitions(url, smallest=0) == {"2026-02": "another"}
        builders = "FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CON%'"
        assert found(url, f"SELECT pg_terminate_backend(pid) {builders}") == [(True,)]
        thread.join(PATIENCE)
    assert len(errors) == 1
    assert index(url) == [False]
    assert reading_index.index_partitions(url, smallest=0) == {"2026-02": "indexed"}
    assert index(url) == [True]


@pytest.mark.plain("months are partitions")
def test_the_next_month_is_made_ahead_if_the_current_one_is_used(driver: ProjectDriver) -> None:
    creator = PartitionCreator(engine_of(driver.database))
    soon, later = ({width: timedelta(days=days) for width in Width} for days in (0, 32))
    driver.load("old.csv", readings("2023-01-01T00:00:00Z"))
    assert creator.create_ahead(later) == 0
    driver.load("new.csv", readings(f"{datetime.now(UTC):%Y-%m-01T00:00:00Z}"))
    assert creator.create_ahead(soon) == 0
    assert creator.create_ahead(later) >= 1
    assert creator.create_ahead(later) == 0
    assert inspect.partitions(driver.database) >= 3


# --- retention ---


@pytest.fixture
def expiring(project: Path, database: str) -> Iterator[ProjectDriver]:
    """Readings of January and February 2023; what is older than 2023-02-15 expires.

    File 1 is of January, file 2 of both months, and file 3 stays."""
    age = datetime.now(UTC) - datetime(2023, 2, 15, tzinfo=UTC)
    kept = {"retention": {"rows": f"{int(age.total_seconds() // 3600)}h"}}
    project_driver = ProjectDriver(project, database, kept)
    project_driver.load("1.csv", readings("2023-01-05T00:00:00Z"))
    project_driver.load("2.csv", readings("2023-01-31T00:00:00Z", "2023-02-01T00:00:00Z"))
    project_driver.load("3.csv", readings("2023-02-20T00:00:00Z"))
    yield project_driver
    project_driver.close()


def ages(driver: ProjectDriver) -> dict[str, float]:
    age = driver.settings.sources["plant"].retention.rows
    assert age is not None
    return {"plant": age.total_seconds()}


def rows_of_files(driver: ProjectDriver) -> dict[int, int]:
    return dict(
        found(driver.database, "SELECT file_id, count(*) FROM raw_readings GROUP BY 1 ORDER BY 1")
    )


def expired_events(driver: ProjectDriver) -> list[int]:
    query = "SELECT file_id FROM file_events WHERE what = 'expired' AND why = 'rows' ORDER BY 1"
    return [file_id for (file_id,) in found(driver.database, query)]


def apply(driver: ProjectDriver) -> dict[str, int]:
    s = driver.services
    return apply_retention(driver.ledger, s.lake, s.landing, driver.settings)


def refresh(driver: ProjectDriver) -> None:
    gold = Gold(driver.database, "test")
    while (done := gold.refresh_once(10_000)) and done.pending:
        pass
    gold.close()


@pytest.mark.plain("months are partitions")
def test_a_month_whose_files_have_all_expired_is_dropped(expiring: ProjectDriver) -> None:
    refresh(expiring)
    [done] = expiring.ledger.expire_partitions(ages(expiring))
    assert inspect.partitions(expiring.database) == 1
    assert rows_of_files(expiring) == {3: 3}
    assert expired_events(expiring) == [1, 2]
    assert (done.files, done.touched.low, done.touched.high) == (
        2,
        datetime(2023, 1, 5, tzinfo=UTC),
        datetime(2023, 2, 1, tzinfo=UTC),
    )
    refresh(expiring)
    assert differences(expiring.database) == []
    audit = expiring.audit("--checksum")
    assert (audit.code, audit.report["expired"]) == (0, {"rows": 2})
    assert expiring.ledger.expire_partitions(ages(expiring)) == []
    late = expiring.arrive("late.csv", readings("2023-01-06T00:00:00Z"))
    assert expiring.work(late) is Outcome.RETRY  # this process had the month in mind
    expiring.sql("UPDATE files SET not_before = NULL")
    assert expiring.work(late) is Outcome.LOADED


@pytest.mark.plain("months are partitions")
def test_a_month_with_rows_of_a_file_that_stays_is_not_dropped(expiring: ProjectDriver) -> None:
    expiring.sql("UPDATE files SET source = 'other' WHERE id = 1")
    assert expiring.ledger.expire_partitions(ages(expiring)) == []
    assert apply(expiring) == {"rows": 1}  # row by row
    assert inspect.partitions(expiring.database) == 2
    assert (rows_of_files(expiring), expired_events(expiring)) == ({1: 3, 3: 3}, [2])


def test_a_reading_that_the_ledger_does_not_know_keeps_its_month(expiring: ProjectDriver) -> None:
    expiring.sql("UPDATE raw_readings SET file_id = 99 WHERE file_id = 1 AND sensor_id = 's0'")
    assert expiring.ledger.expire_partitions(ages(expiring)) == []
    assert rows_of_files(expiring) == {1: 2, 2: 6, 3: 3, 99: 1}
    assert expired_events(expiring) == []
    assert apply(expiring) == {"rows": 2}
    assert rows_of_files(expiring) == {3: 3, 99: 1}


@pytest.mark.plain("months are partitions")
def test_a_month_that_is_read_is_left_to_the_deletion(expiring: ProjectDriver) -> None:
    with psycopg.connect(expiring.database) as reader:
        reader.execute("SELECT count(*) FROM raw_readings")
        assert expiring.ledger.expire_partitions(ages(expiring)) == []
        assert apply(expiring) == {"rows": 2}
    assert (inspect.partitions(expiring.database), rows_of_files(expiring)) == (2, {3: 3})
    assert expiring.audit("--checksum").code == 0


@pytest.mark.plain("months are partitions")
def test_a_kill_before_the_commit_drops_nothing(expiring: ProjectDriver) -> None:
    engine = engine_of(expiring.database)
    with engine.connect() as c:
        found_months = expired_partitions.expired_partitions(c, ages(expiring), set())
        expired_partitions.expire_partitions(c, "test", ages(expiring), found_months)
        pid = c.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        assert found(expiring.database, f"SELECT pg_terminate_backend({pid}, 5000)") == [(True,)]
        c.invalidate()
    engine.dispose()
    assert rows_of_files(expiring) == {1: 3, 2: 6, 3: 3}
    assert expired_events(expiring) == []
    assert expiring.audit("--checksum").code == 0
    assert apply(expiring) == {"rows": 2}
    assert inspect.partitions(expiring.database) == 1


@pytest.mark.plain("months are partitions")
def test_rows_can_wait_until_their_month_is_dropped(project: Path, database: str) -> None:
    """Whatever is older than 2023-02-15 expires, and what is older than 2023-01-15 no longer waits."""
    age = datetime.now(UTC) - datetime(2023, 2, 15, tzinfo=UTC)
    hours = f"{int(age.total_seconds() // 3600)}h"
    driver = ProjectDriver(project, database, {"retention": {"rows": hours, "whole_months": True}})
    for number, day in enumerate(("02-20", "02-05", "01-20", "01-25", "01-10"), 1):
        driver.load(f"{number}.csv", readings(f"2023-{day}T00:00:00Z"))
    driver.sql("UPDATE files SET source = 'other' WHERE id = 4")
    assert apply(driver) == {"rows": 1}
    assert rows_of_files(driver) == {1: 3, 2: 3, 3: 3, 4: 3}
    driver.sql("UPDATE files SET source = 'plant' WHERE id = 4")
    assert apply(driver) == {"rows": 2}
    assert (inspect.partitions(database), rows_of_files(driver)) == (1, {1: 3, 2: 3})
    assert driver.audit("--checksum").code == 0
    driver.close()
