"""Months that one file would make for everybody: bounded, and dropped when nothing is in them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from project_driver import ProjectDriver, content

from sensorflow.adapters.postgres import empty_partitions, inspect
from sensorflow.core.states import State
from sensorflow.engine import periodic
from sensorflow.errors import Transient
from sensorflow.flow.housekeeping import RETAIN
from sensorflow.flow.outcomes import Outcome
from sensorflow.testing.queue import MemoryQueue

pytestmark = pytest.mark.plain("months are partitions")
HEAD = b"time,sensor,type,value,unit\n"


@pytest.fixture
def driver(project: Path, database: str) -> Iterator[ProjectDriver]:
    project_driver = ProjectDriver(project, database, {"earliest": "1950-01-01"})
    yield project_driver
    project_driver.close()


def monthly(first: int, years: int, sensor: str = "s") -> bytes:
    return HEAD + b"".join(
        b"%d-%02d-01T00:00:00Z,%s,level,1.5,m\n" % (year, month, sensor.encode())
        for year in range(first, first + years)
        for month in range(1, 13)
    )


def daily(first: int, years: int) -> bytes:
    return HEAD + b"".join(
        b"%d-%02d-%02dT00:00:00Z,s,level,1.5,m\n" % (year, month, day)
        for year in range(first, first + years)
        for month in range(1, 13)
        for day in range(1, 29)
    )


def test_a_reading_a_month_over_decades_makes_no_month_and_is_quarantined_with_advice(
    driver: ProjectDriver,
) -> None:
    driver.load("a.csv", content(1))
    before = inspect.partitions(driver.database)
    file_id = driver.arrive("b.csv", monthly(1951, 40))
    assert driver.work(file_id) is Outcome.DEAD_LETTERED
    driver.quarantine_by_hand(file_id)
    assert driver.fact(file_id, "error_code") == "F219 too-many-months"
    assert inspect.partitions(driver.database) == before
    manifest = next((driver.data / "quarantine").rglob("manifest.json")).read_text()
    assert "sparse_months" in manifest
    driver.load("thirty.csv", monthly(1991, 30))  # as much as is honest
    assert driver.audit("--checksum").code == 0


def test_sixty_years_of_daily_readings_are_loaded(driver: ProjectDriver) -> None:
    file_id = driver.load("long.csv", daily(1960, 60))
    assert driver.fact(file_id, "rows_loaded") == 60 * 12 * 28
    assert inspect.partitions(driver.database) == 720


def test_files_that_are_loaded_at_once_share_no_bound(driver: ProjectDriver) -> None:
    """Each has few months of its own; together they are many."""
    from contextlib import nullcontext

    from sensorflow.flow.process import process
    from sensorflow.ports.queue import Task

    ids = [driver.arrive(f"{n}.csv", monthly(1960 + 2 * n, 2)) for n in range(5)]
    bad = driver.arrive("bad.csv", monthly(1951, 60))
    done = process(driver.services, Task([*ids, bad]), lambda _: nullcontext())
    assert [d.outcome for d in done] == [Outcome.LOADED] * 5 + [Outcome.DEAD_LETTERED]
    assert inspect.partitions(driver.database) == 120


def test_readings_outside_of_a_sources_bounds_are_rejects(driver: ProjectDriver) -> None:
    rows = content(1) + b"1949-12-31T23:00:00Z,s,level,1.5,m\n"
    file_id = driver.load("a.csv", rows)
    assert (driver.fact(file_id, "rows_rejected"), driver.fact(file_id, "rows_loaded")) == (1, 20)
    assert driver.audit("--deep").code == 0
    assert driver.audit("--deep").report["notes"] == []


def test_months_without_rows_go_at_the_second_look_and_come_back(driver: ProjectDriver) -> None:
    driver.load("a.csv", content(1))
    file_id = driver.load("b.csv", monthly(1991, 2))
    assert inspect.partitions(driver.database) == 25
    driver.ledger.undo(file_id, "wrong")
    assert empty_partitions.drop_empty(driver.database) == 0  # seen
    assert empty_partitions.drop_empty(driver.database) == 0  # not long ago
    assert empty_partitions.drop_empty(driver.database, timedelta(0)) == 24
    assert inspect.partitions(driver.database) == 1
    driver.ledger.replay(file_id)
    assert driver.work(file_id) is Outcome.RETRY  # this process had the months in mind
    driver.sql("UPDATE files SET not_before = NULL")
    assert driver.work(file_id) is Outcome.LOADED
    assert driver.fact(file_id, "attempts") == 1
    assert driver.audit("--checksum").code == 0


def test_a_month_that_is_being_loaded_into_is_not_dropped(driver: ProjectDriver) -> None:
    file_id = driver.load("b.csv", monthly(1991, 1))
    driver.ledger.undo(file_id, "wrong")
    empty_partitions.drop_empty(driver.database)
    with psycopg.connect(driver.database) as loading:
        loading.execute(
            "INSERT INTO raw_readings VALUES"
            " ('1991-05-01Z', 's', 'k', 1, 'u', 0, 1, 1, gen_random_uuid())"
        )
        dropping = threading.Thread(
            target=empty_partitions.drop_empty, args=(driver.database, timedelta(0))
        )
        dropping.start()
        dropping.join(10)
        assert not dropping.is_alive()  # it does not wait for long
        assert inspect.partitions(driver.database) == 12
    assert empty_partitions.drop_empty(driver.database, timedelta(0)) == 11
    assert driver.sql("SELECT 1 FROM raw_readings") == 1


def test_a_thousand_empty_months_take_no_more_of_the_servers_locks_than_a_few(
    driver: ProjectDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at and dropped in transactions of few months; one that is busy ends the look."""
    driver.sql("SELECT ensure_reading_partitions('1951-01-01', '1962-12-31')")
    locks = 0
    watch = psycopg.connect(driver.database, autocommit=True)
    real = empty_partitions.run

    def looking(c: Any, query: str, **values: Any) -> Any:
        nonlocal locks
        result = real(c, query, **values)
        assert len(values.get("months", ())) <= empty_partitions.PARTITIONS_PER_TRANSACTION
        row = watch.execute("SELECT count(*) FROM pg_locks WHERE relation IS NOT NULL").fetchone()
        locks = max(locks, row[0] if row else 0)
        return result

    monkeypatch.setattr(empty_partitions, "run", looking)
    assert empty_partitions.drop_empty(driver.database) == 0
    assert empty_partitions.drop_empty(driver.database, timedelta(0)) == 144
    assert locks < 20  # each call has committed before the next one
    watch.close()


def test_a_step_of_retention_that_fails_keeps_no_other_one(
    project: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = ProjectDriver(project, database, {"retention": {"history": "30d"}})
    file_id = driver.load("b.csv", monthly(1991, 1))
    driver.ledger.undo(file_id, "wrong")
    empty_partitions.drop_empty(driver.database)
    monkeypatch.setattr(empty_partitions.drop_empty, "__defaults__", (timedelta(0),))
    driver.sql("DROP FUNCTION forget_events")
    with pytest.raises(Transient, match="forget_events"):
        periodic.housekeeping(driver.settings, driver.ledger, MemoryQueue()).run(RETAIN)
    assert inspect.partitions(driver.database) == 0
    driver.close()


def test_the_database_makes_no_more_months_than_it_bears(driver: ProjectDriver) -> None:
    with psycopg.connect(driver.database) as c:
        body = c.execute(
            "SELECT pg_get_functiondef('make_reading_partition(timestamptz, text)'::regprocedure)"
        ).fetchone()
        assert body is not None
        c.execute(body[0].replace("2400", "3"))
    driver.load("a.csv", content(1))
    file_id = driver.arrive("b.csv", monthly(1991, 1))
    assert driver.work(file_id) is Outcome.DEAD_LETTERED
    view = driver.ledger.file(file_id)
    assert view is not None
    assert view.error_code == "F219 too-many-months"
    assert view.state is State.PENDING


ENSURE = "SELECT ensure_reading_partitions('2026-02-01Z', '2026-02-01Z')"


def test_a_month_that_two_make_at_once_is_made_once(database: str) -> None:
    """The second one has looked before it waits, and looks again: not into what it remembers."""
    with psycopg.connect(database) as first, psycopg.connect(database) as second:
        first.execute(ENSURE)
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(lambda: second.execute(ENSURE).fetchone())
            with psycopg.connect(database, autocommit=True) as c:
                while c.execute(WAITING).fetchone() == (0,):
                    time.sleep(0.01)
            first.commit()
            assert future.result(20) == (0,)


WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
