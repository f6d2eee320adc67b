"""Partitions of a month, a week or a day: none overlaps another, and each reading has one."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from project_driver import ProjectDriver

from sensorflow.adapters.postgres import (
    empty_partitions,
    index_mode,
    inspect,
    migrate,
    reading_index,
    sealing,
)
from sensorflow.adapters.postgres.connect import engine_of
from sensorflow.adapters.postgres.reading_partitions import PartitionCreator
from sensorflow.adapters.postgres.sealing import SealOutcome
from sensorflow.core.months import MonthLimits, NewMonths
from sensorflow.core.partition_width import Width
from sensorflow.core.readings import US
from sensorflow.flow.outcomes import Outcome

pytestmark = pytest.mark.plain("days, weeks and months are partitions")
HEAD = b"time,sensor,type,value,unit\n"
READING = "INSERT INTO raw_readings VALUES (%s, 's', 'level', 1, 'm', 0, 1, 1, gen_random_uuid())"
MISPLACED = """
SELECT count(*) FROM raw_readings r JOIN reading_partitions() p ON p.part = r.tableoid
 WHERE r.ts < p.low OR r.ts >= p.high
"""


def found(url: str, statement: str, *values: Any) -> list[Any]:
    with psycopg.connect(url, autocommit=True, options="-c timezone=UTC") as c:
        done = c.execute(statement, values or None)  # type: ignore[arg-type]
        return done.fetchall() if done.description else []


def partitions(url: str) -> list[str]:
    query = (
        "SELECT substr(name, length('raw_readings_') + 1) FROM reading_partitions() ORDER BY low"
    )
    return [name for (name,) in found(url, query)]


def creator(url: str, width: Width | None = None) -> PartitionCreator:
    return PartitionCreator(engine_of(url), width)


def ensure(url: str, width: Width | None, *times: str) -> None:
    moments = [datetime.fromisoformat(time).replace(tzinfo=UTC) for time in times]
    creator(url, width).ensure(pa.array(moments, US), NewMonths(MonthLimits()))


def readings(*times: str) -> bytes:
    return HEAD + b"".join(f"{ts},s{n},level,{n}.5,m\n".encode() for ts in times for n in range(3))


def month_of_an_older_version(url: str, time: datetime) -> None:
    """Create the month of a time with the functions that older versions call."""
    start = f"'{time:%Y-%m-01}Z'"
    if found(url, f"SELECT missing_reading_partitions(ARRAY[CAST({start} AS timestamptz)])"):
        found(url, f"SELECT ensure_reading_partitions({start}, {start})")


@pytest.mark.parametrize("seed", range(4))
def test_loaders_of_all_widths_and_versions_at_once_leave_no_gap_and_no_overlap(
    database: str, seed: int
) -> None:
    chance = random.Random(seed)
    first = datetime(2025, 11, 1, tzinfo=UTC)
    loads = [
        (chance.choice([*Width, "older version"]), first + timedelta(hours=chance.randrange(3600)))
        for _ in range(30)
    ]

    def load(width: Width | str, time: datetime) -> None:
        if isinstance(width, Width):
            times = [time + timedelta(days=n) for n in range(3)]
            creator(database, width).ensure(pa.array(times, US), NewMonths(MonthLimits()))
        else:
            month_of_an_older_version(database, time)
            times = [time]
        for moment in times:
            found(database, READING, moment)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda given: load(*given), loads))
    overlaps = "SELECT count(*) FROM {0} a JOIN {0} b ON a.low < b.high AND a.high > b.low".format(
        "reading_partitions()"
    )
    assert found(database, overlaps) == [(len(partitions(database)),)]  # each with itself
    assert found(database, MISPLACED) == [(0,)]
    crossing = (
        "date_trunc('month', high - interval '1 s', 'UTC') <> date_trunc('month', low, 'UTC')"
    )
    assert found(database, f"SELECT 1 FROM reading_partitions() WHERE {crossing}") == []


def test_a_partition_fills_the_free_part_of_its_range(database: str) -> None:
    ensure(database, Width.DAY, "2026-02-03", "2026-02-09", "2026-02-28")
    ensure(database, Width.MONTH, "2026-02-04", "2026-02-16T23:00")
    ensure(database, Width.WEEK, "2026-03-31", "2026-02-22")
    assert partitions(database) == [
        *("2026_02_03", "2026_02_04", "2026_02_09", "2026_02_15_21", "2026_02_22", "2026_02_28"),
        "2026_03_22_31",
    ]


def test_months_of_before_the_upgrade_stay_as_they_are(empty_database: str) -> None:
    migrate.upgrade(empty_database, "0019")
    found(empty_database, "SELECT ensure_reading_partitions('2026-02-01Z', '2026-02-01Z')")
    found(empty_database, READING, "2026-02-05Z")
    migrate.upgrade(empty_database)
    ensure(empty_database, Width.DAY, "2026-02-28T23:59:59.999999", "2026-03-01")
    assert partitions(empty_database) == ["2026_02", "2026_03_01"]
    found(empty_database, READING, "2026-03-01Z")
    assert found(empty_database, MISPLACED) == [(0,)]


def test_a_downgrade_is_refused_while_there_are_days(database: str) -> None:
    ensure(database, Width.MONTH, "2026-02-03")
    migrate.downgrade(database, "0019")
    month_of_an_older_version(database, datetime(2026, 1, 1, tzinfo=UTC))
    migrate.upgrade(database)
    assert partitions(database) == ["2026_01", "2026_02"]
    ensure(database, Width.DAY, "2026-03-03")
    with pytest.raises(Exception, match="partitions of days or weeks"):
        migrate.downgrade(database, "0019")


def set_rate(url: str, part: str, readings_in_it: int) -> None:
    """State that the only page of a partition contains so many readings."""
    found(
        url,
        "UPDATE pg_class SET reltuples = %s, relpages = 1 WHERE relname = %s",
        readings_in_it,
        f"raw_readings_{part}",
    )


def test_the_rate_of_a_month_chooses_the_width_of_the_next_one(database: str) -> None:
    ensure(database, None, "2026-02-03")
    found(database, READING, "2026-02-03Z")
    ensure(database, None, "2026-03-03")
    set_rate(database, "2026_02", 20_000_000)
    ensure(database, None, "2026-03-04", "2026-01-01")  # March has a month already
    assert partitions(database) == ["2026_01_01", "2026_02", "2026_03"]
    set_rate(database, "2026_02", 5_000_000)
    ensure(database, None, "2026-01-20")
    assert partitions(database) == ["2026_01_01", "2026_01_15_21", "2026_02", "2026_03"]


def test_two_sparse_years_next_to_a_dense_month_make_few_partitions(database: str) -> None:
    ensure(database, None, "2026-02-03")
    found(database, READING, "2026-02-03Z")
    set_rate(database, "2026_02", 20_000_000)
    first = datetime(2024, 2, 1, tzinfo=UTC)
    days = [first + timedelta(days=n) for n in range(731)]
    creator(database).ensure(pa.array(days, US), NewMonths(MonthLimits()))
    assert inspect.partitions(database) == 1 + 23 + 31


def test_days_are_made_ahead_while_the_current_day_has_readings(database: str) -> None:
    now = datetime.now(UTC)
    days = creator(database, Width.DAY)
    ensure(database, Width.DAY, f"{now - timedelta(days=3):%Y-%m-%d}")
    assert days.create_ahead() == 0
    ensure(database, Width.DAY, f"{now:%Y-%m-%d}")
    assert days.create_ahead() == 2
    assert days.create_ahead() == 0
    assert f"{now + timedelta(days=2):%Y_%m_%d}" in partitions(database)


@pytest.mark.parametrize("deferred", [False, True])
def test_quiet_days_are_sealed_and_get_their_reading_index(
    project: Path, database: str, deferred: bool
) -> None:
    index_mode.set_index_mode(database, deferred)
    mode = "deferred" if deferred else "unique"
    with closing(ProjectDriver(project, database, dedupe_index=mode, partitions="day")) as driver:
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        driver.load("a.csv", readings("2026-02-07T23:59:59Z", "2026-02-08T00:00:00Z"))
        driver.load("b.csv", readings("2026-02-08T12:00:00Z", f"{today}T00:00:00Z"))
        driver.sql("UPDATE files SET finished_at = now() - interval '2 hours' WHERE id = 1")
        assert reading_index.index_partitions(database, smallest=0) == {"2026-02-07": "indexed"}
        driver.sql("UPDATE files SET finished_at = now() - interval '2 hours'")
        assert reading_index.index_partitions(database, smallest=0) == {"2026-02-08": "indexed"}
        february = [one for one in sealing.partitions(database, timedelta(0)) if one.due]
        assert [one.name for one in february] == ["2026-02-07", "2026-02-08"]
        assert all(one.is_within("2026-02") for one in february)
        outcomes = {done.outcome for done in sealing.seal(database, february)}
        assert outcomes == {SealOutcome.SEALED if deferred else SealOutcome.OPEN}
        driver.load("late.csv", readings("2026-02-08T13:00:00Z"))
        assert driver.audit("--deep").code == 0


def test_a_day_is_dropped_when_its_readings_have_expired(project: Path, database: str) -> None:
    age = datetime.now(UTC) - datetime(2023, 2, 15, tzinfo=UTC)
    kept = {"retention": {"rows": f"{int(age.total_seconds() // 3600)}h", "whole_months": True}}
    with closing(ProjectDriver(project, database, kept, partitions="day")) as driver:
        for number, day in enumerate(("13", "14", "15", "20"), 1):
            driver.load(f"{number}.csv", readings(f"2023-02-{day}T12:00:00Z"))
        driver.load("both.csv", readings("2023-02-14T23:00:00Z", "2023-02-15T01:00:00Z"))
        [done] = driver.ledger.expire_partitions({"plant": age.total_seconds()})
        assert done.files == 1
        assert partitions(database) == ["2023_02_14", "2023_02_15", "2023_02_20"]
        assert driver.audit("--checksum").code == 0


def test_rows_of_several_files_are_deleted_partition_by_partition(
    project: Path, database: str
) -> None:
    with closing(ProjectDriver(project, database, {"retention": {"rows": "1d"}})) as driver:
        for number in range(1, 4):
            times = ("2023-01-05T00:00:00Z", "2023-02-05T00:00:00Z", f"2023-03-0{number}T00:00:00Z")
            driver.load(f"{number}.csv", readings(*times))
        driver.sql("UPDATE files SET source = 'other' WHERE id = 2")
        services = driver.services
        from sensorflow.flow.retention import apply_retention

        done = apply_retention(driver.ledger, services.lake, services.landing, driver.settings)
        assert done == {"rows": 2}
        assert found(database, "SELECT file_id, count(*) FROM raw_readings GROUP BY 1") == [(2, 9)]


def test_a_day_that_was_dropped_is_made_again(project: Path, database: str) -> None:
    with closing(ProjectDriver(project, database, partitions="day")) as driver:
        file_id = driver.load("a.csv", readings("2023-02-07T00:00:00Z"))
        driver.ledger.undo(file_id, "wrong")
        assert empty_partitions.drop_empty(database) == 0
        assert empty_partitions.drop_empty(database, timedelta(0)) == 1
        driver.ledger.replay(file_id)
        assert driver.work(file_id) is Outcome.RETRY  # this process remembers the day
        driver.sql("UPDATE files SET not_before = NULL")
        assert driver.work(file_id) is Outcome.LOADED
        assert partitions(database) == ["2023_02_07"]
