"""Empty chunks, and the index mode, on a hypertable of any license."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from project_driver import ProjectDriver, content

from sensorflow.adapters.postgres import empty_partitions, index_mode
from sensorflow.errors import UsageError

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
