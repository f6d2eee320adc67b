"""Names in two spellings: in a folder, in a database of before, in readings' keys and sensors' names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog
from patience import PATIENCE
from project_driver import ProjectDriver
from samples import add, arrival, claim

from sensorflow import bootstrap, daemon
from sensorflow.adapters.postgres import migrate, registering
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.arrival import printable
from sensorflow.errors import Code
from sensorflow.flow.landing import Landing
from sensorflow.flow.outcomes import Outcome
from sensorflow.ports.intake import OnChange
from sensorflow.testing.ledger import MemoryLedger
from sensorflow.testing.objects import MemoryObjects
from sensorflow.testing.project import write_settings
from sensorflow.testing.queue import MemoryQueue
from sensorflow.testing.running import running, within

NFC, NFD = "Kühlraum_1.csv", "Ku\u0308hlraum_1.csv"


# --- in a folder ---


@contextmanager
def taking(project: Path, after: str, ledger: MemoryLedger) -> Iterator[Path]:
    plant = {"path": "drop", "stability_window": 0.1, "after": after, "include": ["ku\u0308hl*"]}
    write_settings(project, {"plant": plant}, rescan=0.3)
    settings = bootstrap.settings(project)
    feeds = bootstrap.feeds(settings, ledger)
    daemon_ = daemon.Daemon(settings, feeds, Landing(MemoryObjects()), ledger, MemoryQueue())
    with running(daemon_):
        yield project / "drop"


def wait(done: Callable[[], Any]) -> None:
    asked = within(PATIENCE, done)
    while not asked():
        time.sleep(0.05)


def names(ledger: MemoryLedger) -> list[tuple[str, int]]:
    return [(view.name, view.version) for view in reversed(ledger.files())]


def test_of_two_spellings_that_stay_in_a_folder_the_second_is_refused_until_the_first_is_gone(
    project: Path,
) -> None:
    ledger = MemoryLedger()
    with structlog.testing.capture_logs() as logs, taking(project, "keep", ledger) as drop:
        (drop / NFC).write_text("one")
        wait(lambda: names(ledger) == [(NFC, 1)])
        (drop / NFD).write_text("two, and other bytes")
        wait(lambda: [e for e in logs if e["event"] == "file.refused"])
        time.sleep(1)  # some scans
        assert names(ledger) == [(NFC, 1)]
        assert (drop / NFD).read_text() == "two, and other bytes"
        (drop / NFC).unlink()
        wait(lambda: names(ledger) == [(NFC, 1), (NFD, 2)])
        (drop / NFC).write_text("two, and other bytes")  # the same bytes do no harm
        wait(lambda: len(ledger.arrivals(2)) == 2)
    (refused,) = [e for e in logs if e["event"] == "file.refused"]
    assert (refused["file"], refused["code"]) == (NFD, Code.NAME_TAKEN)
    assert refused["taken_by"] == "'K\\xfchlraum_1.csv'"


def test_of_two_spellings_that_come_together_one_is_taken(project: Path) -> None:
    ledger = MemoryLedger()
    for name, content in ((NFD, "one"), (NFC, "two, and other bytes")):
        (project / "drop" / name).write_text(content)
    with structlog.testing.capture_logs() as logs, taking(project, "keep", ledger):
        wait(lambda: [e for e in logs if e["event"] == "file.refused"])
        assert len(ledger.files()) == 1


@pytest.mark.parametrize("after", ["archive", "delete"])
def test_two_spellings_that_are_put_away_are_versions(project: Path, after: str) -> None:
    ledger = MemoryLedger()
    for name, content in ((NFD, "one"), (NFC, "two, and other bytes")):
        (project / "drop" / name).write_text(content)
    with taking(project, after, ledger) as drop:
        wait(lambda: not any(drop.iterdir()))
    assert sorted(version for _, version in names(ledger)) == [1, 2]
    assert {name for name, _ in names(ledger)} == {NFC, NFD}


# --- in readings ---


def test_sensor_and_keys_are_those_of_the_name_in_either_spelling(
    project: Path, database: str
) -> None:
    """A pattern finds the whole name, and the same reading has the key of the first version."""
    named = {"extends": "long", "sensor": {"file_name": r"^([^\W_]+)_"}}
    driver = ProjectDriver(project, database, profiles={"long": named})
    row = "2026-02-01T00:00:00Z,x,temperature,1.5,degC\n"
    found = []
    for name, more in ((NFD, ""), (NFC, row.replace(":00Z", ":01Z"))):
        content = f"time,sensor,type,value,unit\n{row}{more}".encode()
        assert driver.work(driver.arrive(name, content)) is Outcome.LOADED
        with psycopg.connect(database) as c:
            query = "SELECT sensor_id, dedupe_key FROM raw_readings ORDER BY ts LIMIT 1"
            found.append(c.execute(query).fetchone())
    assert found[0] == found[1]
    assert found[0][0] == "Kühlraum"  # type: ignore[index]
    assert driver.sql("SELECT 1 FROM raw_readings") == 2
    driver.close()


# --- in a database of before ---


OLD = """
INSERT INTO files (source, key, key_text, version, sha256, md5, size, mtime_ns, landing, sensor_type,
                   discovered_at, landed_at)
VALUES (%s, %s, %s, %s, %s, '', 0, 0, '', '', now(), now())
"""


def test_on_upgrade_nothing_changes_but_a_name_of_one_spelling_is_known_by_both(
    empty_database: str,
) -> None:
    migrate.upgrade(empty_database, "0005")
    nfc, nfd = NFC.encode(), NFD.encode()
    broken = b"u\xcc\x88\xff.csv"
    with psycopg.connect(empty_database) as c:
        for number, (source, key, version) in enumerate(
            [
                ("one", nfd, 1),
                ("one", nfd, 2),
                ("both", nfd, 1),
                ("both", nfc, 1),
                ("both", nfd, 2),
                ("one", broken, 1),
                ("one", b"plain.csv", 1),
            ]
        ):
            c.execute(OLD, (source, key, printable(key), version, bytes([number])))
        before = c.execute("SELECT id, source, key, version FROM files ORDER BY id").fetchall()
    migrate.upgrade(empty_database)
    ledger = PostgresLedger(empty_database, "test")
    try:
        with psycopg.connect(empty_database) as c:
            after = c.execute("SELECT id, source, key, version FROM files ORDER BY id").fetchall()
            assert after == before
            named = c.execute("SELECT id, name FROM files WHERE name IS NOT NULL ORDER BY id")
            assert named.fetchall() == [(1, nfc), (2, nfc)]
        assert registered(ledger, "one", nfc, 101) == 3
        assert registered(ledger, "both", nfd, 102) == 3  # apart, as they were
        assert registered(ledger, "both", nfc, 103) == 2
        assert [v.file_id for v in ledger.named(NFC, "both")] == [4, 10]
        assert [v.file_id for v in ledger.named(NFD, "both")] == [3, 5, 9]
        assert [v.file_id for v in ledger.named(NFC, "one")] == [1, 2, 8]
        assert claim(ledger, 8).first_key == nfd
        assert claim(ledger, 9).first_key == nfd
        assert claim(ledger, 10).first_key == nfc
    finally:
        ledger.close()
    migrate.downgrade(empty_database, "0005")
    migrate.upgrade(empty_database)


def registered(ledger: PostgresLedger, source: str, key: bytes, content: int) -> int:
    new_arrival = arrival(key, content)
    new_arrival = type(new_arrival)(**{**vars(new_arrival), "source": source})
    return ledger.register(new_arrival, OnChange.SUPERSEDE, False).version


# --- with many versions ---


MANY = """
INSERT INTO files (source, key, key_text, version, sha256, md5, size, mtime_ns, landing, sensor_type,
                   discovered_at, landed_at, state, finished_at)
SELECT 'plant', %s, %s, n, decode(repeat('0' || 4 + n %% 2, 32), 'hex'), '', 0, 0, '', '', now(), now(),
       'superseded', now()
  FROM generate_series(2, %s) n
"""
READ = """
SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables
 WHERE relname = 'files'
"""


@pytest.mark.parametrize("key", [b"plain.csv", NFD.encode()])
def test_the_ten_thousandth_version_is_registered_as_the_tenth_was(
    ledger: PostgresLedger, database: str, key: bytes
) -> None:
    def read(content: int) -> int:
        """Rows of the ledger that a registration looks at."""
        with ledger._transaction() as c:
            known = registering._add_many(c, "test", [arrival(key, content)], OnChange.MERGE, False)
            assert known == {}
            done = registering._register(
                c, "test", arrival(key, content), OnChange.SUPERSEDE, False
            )
            assert done.version > 1
            return int(c.exec_driver_sql(READ).scalar_one())

    add(ledger, key, 1)
    few = read(2)
    with psycopg.connect(database, autocommit=True) as c:
        c.execute("DELETE FROM arrivals WHERE file_id = 2")
        c.execute("DELETE FROM file_events WHERE file_id = 2")
        c.execute("DELETE FROM files WHERE id = 2")
        c.execute(MANY, (key, printable(key), 10_000))
        if key == NFD.encode():
            c.execute("UPDATE files SET name = %s WHERE id > 2", (NFC.encode(),))
        c.execute("ANALYZE files")
    many = [read(content) for content in (3, 4, 5)]
    assert max(many) < few + 50, (few, many)  # what was read since the last report to the server
