"""Empty chunks, and the index mode, on a hypertable of any license."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
from gold import differences
from project_driver import ProjectDriver, content
from samples import add, batch, claim

from sensorflow.adapters.postgres import empty_partitions, index_mode, partitions
from sensorflow.adapters.postgres.chunks import Chunks
from sensorflow.adapters.postgres.connect import engine_of
from sensorflow.adapters.postgres.gold import Gold
from sensorflow.adapters.postgres.reading_partitions import PartitionCreator
from sensorflow.core.keys import keys
from sensorflow.core.partition_width import Width
from sensorflow.errors import UsageError
from sensorflow.flow.retention import apply_retention
from sensorflow.ports.files import Counts
from sensorflow.ports.intake import OnChange
from sensorflow.ports.loading import Keyed, Load

HEAD = b"time,sensor,type,value,unit\n"
CHUNKS = "SELECT count(*) FROM show_chunks('raw_readings')"


def weekly(first: int, count: int) -> bytes:
    lines = [
        b"2025-%02d-%02dT12:00:00Z,s,level,1.5,m\n" % (w // 4 + 1, w % 4 * 7 + 1)
        for w in range(first, first + count)
    ]
    return HEAD + b"".join(lines)


def count(admin: psycopg.Connection, query: str) -> int:
    row = admin.execute(query).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return int(row[0])


def test_chunks_that_an_undo_left_empty_are_dropped_at_the_second_look(
    driver: ProjectDriver, admin: psycopg.Connection
) -> None:
    driver.load("a.csv", weekly(0, 8))
    undone = driver.load("b.csv", weekly(8, 8))
    assert count(admin, CHUNKS) == 16
    driver.ledger.undo(undone, "")
    assert empty_partitions.drop_empty(driver.database) == 0  # seen
    assert empty_partitions.drop_empty(driver.database) == 0  # not long ago
    assert empty_partitions.drop_empty(driver.database, timedelta(0)) == 8
    assert count(admin, CHUNKS) == 8
    assert driver.audit("--checksum").code == 0
    driver.ledger.replay(undone, None)
    driver.work(undone)
    assert count(admin, CHUNKS) == 16
    assert driver.audit("--checksum").code == 0


def test_a_chunk_that_has_rows_again_at_the_second_look_stays(
    driver: ProjectDriver, admin: psycopg.Connection
) -> None:
    undone = driver.load("a.csv", weekly(0, 3))
    driver.ledger.undo(undone, "")
    empty_partitions.drop_empty(driver.database)
    driver.load("b.csv", weekly(1, 1))
    assert empty_partitions.drop_empty(driver.database, timedelta(0)) == 2
    assert count(admin, "SELECT count(*) FROM raw_readings") == 1


def test_chunks_of_these_months_stay_although_they_are_empty(
    driver: ProjectDriver, admin: psycopg.Connection
) -> None:
    admin.execute(
        "INSERT INTO raw_readings VALUES (now(), 's', 'k', 1, 'u', 0, 1, 1, gen_random_uuid())"
    )
    admin.execute("DELETE FROM raw_readings")
    for _ in range(2):
        assert empty_partitions.drop_empty(driver.database, timedelta(0)) == 0
    assert count(admin, CHUNKS) == 1


def test_a_chunk_that_somebody_reads_is_left_for_the_next_time(
    driver: ProjectDriver, admin: psycopg.Connection
) -> None:
    driver.ledger.undo(driver.load("a.csv", content(1)), "")
    empty_partitions.drop_empty(driver.database)
    with psycopg.connect(driver.database) as reader:
        reader.execute("SELECT count(*) FROM raw_readings")
        assert empty_partitions.drop_empty(driver.database, timedelta(0)) == 0
    assert empty_partitions.drop_empty(driver.database, timedelta(0)) == 1


def test_a_deferred_index_is_refused(database: str) -> None:
    with pytest.raises(UsageError, match="hypertable"):
        index_mode.set_index_mode(database, True)


# --- chunks are created ahead ---


def test_a_load_that_has_not_committed_delays_no_load_into_other_new_chunks(
    driver: ProjectDriver,
) -> None:
    file_id = add(driver.ledger)

    def batches() -> Iterator[Keyed]:
        yield batch(), keys(batch(), "x")
        # its rows are copied, but not committed; this load would wait for a lock, and be retried
        driver.load("b.csv", weekly(0, 3))

    plan = Load(Counts(read=3), OnChange.MERGE, "p", "h", "0", ())
    assert driver.ledger.load(claim(driver.ledger, file_id), batches(), plan).counts.loaded == 3


def test_the_chunks_of_a_batch_are_created_without_rows(
    database: str, admin: psycopg.Connection
) -> None:
    weeks = [datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(weeks=n) for n in (0, 9, 3, 9, 2000)]
    ends = [datetime(1, 2, 1, tzinfo=UTC), datetime(9999, 11, 30, tzinfo=UTC)]
    engine = engine_of(database)
    for times in (weeks, [*weeks, *ends], ends):
        for chunks in (Chunks(engine), Chunks(engine)):
            chunks.ensure(pa.array(times, pa.timestamp("us", "UTC")))
            assert count(admin, CHUNKS) == (4 if times is weeks else 6)
    engine.dispose()
    assert count(admin, "SELECT count(*) FROM raw_readings") == 0


def test_all_chunks_are_created_after_the_interval_has_changed(
    database: str, admin: psycopg.Connection
) -> None:
    engine = engine_of(database)
    chunks = Chunks(engine)
    chunks.ensure(pa.array([datetime(2026, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")))
    admin.execute("SELECT set_chunk_time_interval('raw_readings', INTERVAL '1 day')")
    days = [datetime(2026, 3, day, hour, tzinfo=UTC) for day in range(1, 31) for hour in (1, 23)]
    chunks.ensure(pa.array(days, pa.timestamp("us", "UTC")))
    assert count(admin, CHUNKS) == 31
    engine.dispose()


def test_no_chunk_is_asked_for_twice(database: str, admin: psycopg.Connection) -> None:
    engine = engine_of(database)
    chunks = Chunks(engine)
    times = pa.array([datetime(2026, 1, day, tzinfo=UTC) for day in (1, 20)], pa.timestamp("us"))
    chunks.ensure(times)
    admin.execute("SELECT drop_chunks('raw_readings', newer_than => timestamptz 'epoch')")
    chunks.ensure(times)
    assert count(admin, CHUNKS) == 0  # it had them in mind: the load itself creates them
    chunks.forget()
    chunks.ensure(times)
    assert count(admin, CHUNKS) == 2
    engine.dispose()


# --- months are not partitions ---


def expired(project: Path, database: str, **retention: bool) -> ProjectDriver:
    """Files 1 and 2 have expired, and share January with file 3, which stays."""
    age = datetime.now(UTC) - datetime(2025, 1, 15, tzinfo=UTC)
    kept = {"rows": f"{int(age.total_seconds() // 3600)}h", **retention}
    driver = ProjectDriver(project, database, {"retention": kept})
    for number, (first, weeks) in enumerate(((0, 1), (1, 1), (2, 2)), 1):
        driver.load(f"{number}.csv", weekly(first, weeks))
    return driver


def rows_of_files(admin: psycopg.Connection) -> list[tuple[int, int]]:
    query = "SELECT file_id, count(*) FROM raw_readings GROUP BY 1 ORDER BY 1"
    return [(file_id, rows) for file_id, rows in admin.execute(query)]


def test_expired_readings_are_deleted_file_by_file(
    project: Path, database: str, admin: psycopg.Connection
) -> None:
    driver = expired(project, database)
    refresh(driver)
    s = driver.services
    assert apply_retention(s.ledger, s.lake, s.landing, driver.settings) == {"rows": 2}
    assert rows_of_files(admin) == [(3, 2)]
    refresh(driver)
    assert differences(database) == []
    audit = driver.audit("--checksum")
    assert (audit.code, audit.report["expired"]) == (0, {"rows": 2})
    driver.load("late.csv", weekly(0, 1).replace(b"1.5", b"2.5"))
    driver.close()


def test_readings_that_wait_for_the_end_of_their_month_expire_31_days_later(
    project: Path, database: str, admin: psycopg.Connection
) -> None:
    driver = expired(project, database, whole_months=True)
    s = driver.services
    assert apply_retention(s.ledger, s.lake, s.landing, driver.settings) == {"rows": 0}
    assert rows_of_files(admin) == [(1, 1), (2, 1), (3, 2)]
    driver.close()


def refresh(driver: ProjectDriver) -> None:
    gold = Gold(driver.database, "test")
    while (done := gold.refresh_once(10_000)) and done.pending:
        pass
    gold.close()


def test_the_hourly_steps_create_no_month_and_no_reading_index(
    driver: ProjectDriver, admin: psycopg.Connection
) -> None:
    driver.load("a.csv", weekly(0, 4))
    driver.sql("UPDATE files SET finished_at = now() - interval '2 hours'")
    assert partitions.maintain(driver.database) == {}
    creator = PartitionCreator(engine_of(driver.database), Width.MONTH)
    assert creator.create_ahead({Width.MONTH: timedelta(days=32)}) == 0
    creator.engine.dispose()
    assert count(admin, CHUNKS) == 4
    assert count(admin, "SELECT count(*) FROM pg_class WHERE relname LIKE 'raw_readings%ix'") == 0


POLICY = """
SELECT add_retention_policy('raw_readings', INTERVAL '30 days', schedule_interval => INTERVAL '1 year',
                            initial_start => now() + INTERVAL '1 year')
"""
RECENT = b"%sZ,s,level,1.5,m\n"


@pytest.mark.community
def test_what_a_retention_policy_has_dropped_is_expired_and_not_lost(
    driver: ProjectDriver, admin: psycopg.Connection
) -> None:
    driver.load("old.csv", weekly(0, 4))
    now = datetime.now(UTC)
    times = [(now - timedelta(seconds=n)).isoformat()[:19].encode() for n in range(3)]
    recent = driver.load("new.csv", HEAD + b"".join(RECENT % time for time in times))
    admin.execute("SELECT drop_chunks('raw_readings', older_than => now() - INTERVAL '30 days')")
    assert driver.audit().faults == ["A104"]  # nobody has said that they may go
    admin.execute(POLICY)
    for level in ("", "--checksum", "--deep"):
        done = driver.audit(*([level] if level else []))
        assert (done.code, done.faults) == (0, [])
        assert done.report["expired"]["rows"] == 1
        assert "4 rows of 1 files were dropped" in " ".join(done.report["notes"])
    admin.execute("DELETE FROM raw_readings WHERE file_id = %s AND line_no = 2", (recent,))
    assert driver.audit().faults == ["A104"]
