"""The figures of the fleet equal the ledger, whatever has happened since they were first counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from project_driver import ProjectDriver, content

from sensorflow.adapters.postgres import migrate
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.file_totals import CHUNK
from sensorflow.core.metrics import Histogram, Metric, Sample
from sensorflow.core.states import State
from sensorflow.errors import Transient
from sensorflow.flow.fleet_meter import FleetMeter
from sensorflow.flow.fleet_samples import Surroundings
from sensorflow.flow.outcomes import Outcome

Figures = dict[tuple[str, ...], float | Histogram]
AGES = (
    Metric.BACKLOG_OLDEST,
    Metric.EVENT_TIME_BEHIND,
    Metric.GOLD_LAG,
    Metric.LAST_FILE_AGE,
    Metric.LEDGER_AGE,
)


@pytest.fixture
def driver(project: Path, database: str) -> Iterator[ProjectDriver]:
    project_driver = ProjectDriver(project, database)
    yield project_driver
    project_driver.close()


def meter(driver: ProjectDriver) -> FleetMeter:
    return FleetMeter(driver.ledger, 1 << 27, migrate.head(), Surroundings)


def look(found: FleetMeter) -> Figures:
    found.look()
    while not found.is_complete:
        assert found.error is None
        found.look()
    return figures(found.samples())


def figures(samples: list[Sample]) -> Figures:
    result: Figures = {(sample.metric, *sample.labels): sample.value for sample in samples}
    assert len(result) == len(samples), "a metric has a value twice"
    return result


def steady(found: Figures) -> dict[tuple[str, ...], object]:
    """Without zeros, ages and what is estimated from the latest events."""
    return {
        key: value.counts if isinstance(value, Histogram) else value
        for key, value in found.items()
        if value and key[0] not in AGES and "bytes" not in key[0]
    }


def test_figures_that_were_followed_equal_those_of_a_restart(driver: ProjectDriver) -> None:
    driver.load("before.csv", content(1))
    following = meter(driver)
    look(following)
    bad = driver.quarantine()
    loaded = driver.load("a.csv", content(2))
    look(following)
    rejected = content(3) + b"not a time,s,temperature,1,degC\n"
    driver.load("rejects.csv", rejected)
    driver.ledger.replay(loaded)
    look(following)
    assert driver.work(loaded) is Outcome.LOADED
    driver.load("a.csv", content(4))
    driver.ledger.undo(loaded, "wrong")
    driver.arrive("waits.csv", content(5))
    driver.ledger.replay(bad)
    followed, counted = look(following), look(meter(driver))
    assert steady(followed) == steady(counted)
    states = {state: counted[Metric.FILES, "plant", state] for state in State}
    totals = driver.ledger.totals()["plant"]
    assert states == {state: getattr(totals, state) for state in State}
    for outcome in ("loaded", "rejected", "duplicate", "not_loaded"):
        assert counted[Metric.ROWS, "plant", outcome] == getattr(totals, f"rows_{outcome}")
    assert counted[Metric.ROWS, "plant", "rejected"] == 1
    assert counted[Metric.FILE_EVENTS, "plant", "replayed"] == 2
    assert counted[Metric.QUARANTINES, "plant", "F203"] == 1
    assert counted[Metric.BACKLOG_FILES, "plant"] == totals.pending


def test_an_event_that_becomes_visible_late_is_counted_once(
    driver: ProjectDriver, database: str
) -> None:
    first, second = driver.load("a.csv", content(1)), driver.load("other.csv", content(3))
    following = meter(driver)
    look(following)
    insert = (
        "INSERT INTO file_events (file_id, what, stage, attempt, who, why) "
        "VALUES (%s, 'will be tried again', 'load', 1, 'test', 'I501 database-unavailable: gone')"
    )
    with psycopg.connect(database) as slow, psycopg.connect(database) as lost:
        slow.execute(insert, (first,))
        lost.execute(insert, (second,))
        driver.load("b.csv", content(2))
        assert (Metric.RETRIES, "plant", "I501") not in look(following)
        slow.commit()
        lost.rollback()
    assert look(following)[Metric.RETRIES, "plant", "I501"] == 1
    assert look(following)[Metric.RETRIES, "plant", "I501"] == 1


def test_a_histogram_of_latency_has_the_first_load_alone(driver: ProjectDriver) -> None:
    loaded = driver.load("a.csv", content(1))
    driver.sql("UPDATE files SET discovered_at = discovered_at - interval '2 minutes'")
    driver.ledger.replay(loaded)
    assert driver.work(loaded) is Outcome.LOADED
    latency = look(meter(driver))[Metric.LATENCY, "plant"]
    assert isinstance(latency, Histogram)
    assert sum(latency.counts) == 1
    assert latency.counts[latency.bounds.index(300)] == 1, "between one and five minutes"
    assert 120 <= latency.total < 200


def test_ages_are_those_of_the_oldest_file_and_the_newest_reading(driver: ProjectDriver) -> None:
    loaded = driver.load("a.csv", content(1))
    driver.sql(
        "UPDATE files SET ts_max = now() - interval '1 hour', landed_at = now() - interval '9 min'"
    )
    waiting = driver.arrive("b.csv", content(2))
    driver.sql("UPDATE files SET registered_at = now() - interval '5 min' WHERE id = %s", waiting)
    driver.sql("UPDATE files SET registered_at = now() - interval '1 day' WHERE id = %s", loaded)
    driver.sql("UPDATE files SET landed_at = now() - interval '8 min' WHERE id = %s", waiting)
    found = look(meter(driver))
    assert found[Metric.EVENT_TIME_BEHIND, "plant"] == pytest.approx(3600, abs=60)
    assert found[Metric.BACKLOG_OLDEST, "plant"] == pytest.approx(300, abs=60)
    assert found[Metric.LAST_FILE_AGE, "plant"] == pytest.approx(480, abs=60)
    driver.ledger.replay(loaded)
    driver.work(waiting)
    replayed = look(meter(driver))[Metric.BACKLOG_OLDEST, "plant"]
    assert replayed == pytest.approx(0, abs=60), "since its replay"


def test_work_that_waits_is_given_in_seconds_and_in_workers(driver: ProjectDriver) -> None:
    assert look(meter(driver))[Metric.WORKERS_WANTED,] == 0
    for number in range(3):
        driver.arrive(f"{number}.csv", content(number))
    found = look(meter(driver))
    assert found[Metric.WORKERS_WANTED,] == 1
    assert found[Metric.BACKLOG_SECONDS,] == found[Metric.SOURCE_BACKLOG_SECONDS, "plant"]
    assert found[Metric.BACKLOG_SECONDS,] == pytest.approx(0.06, rel=0.1), "as assumed per file"
    assert found[Metric.BACKLOG_BYTES, "plant"] == sum(len(content(n)) for n in range(3))


def test_a_look_counts_only_the_chunks_that_have_changed(
    driver: ProjectDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[int]] = []
    count = driver.ledger.files_in
    monkeypatch.setattr(driver.ledger, "files_in", lambda c: (asked.append(list(c)), count(c))[1])
    driver.load("a.csv", content(1))
    driver.sql("ALTER TABLE files ALTER COLUMN id RESTART WITH 25001")
    driver.load("b.csv", content(2))
    following = meter(driver)
    look(following)
    newest = 25_001 // CHUNK
    assert sorted(n for chunks in asked for n in chunks) == list(range(newest + 1))
    asked.clear()
    look(following)
    assert asked == []
    driver.load("c.csv", content(3))
    assert look(following)[Metric.FILES, "plant", "loaded"] == 3
    assert asked == [[newest]]


def test_an_outage_of_the_database_keeps_the_figures_and_shows(driver: ProjectDriver) -> None:
    driver.load("a.csv", content(1))
    following = meter(driver)
    before = look(following)
    driver.sql("ALTER TABLE alembic_version RENAME TO hidden")
    following.look()
    found = figures(following.samples())
    driver.sql("ALTER TABLE hidden RENAME TO alembic_version")
    assert found[Metric.DATABASE_UP,] == 0
    assert following.error is not None
    assert found[Metric.FILES, "plant", "loaded"] == before[Metric.FILES, "plant", "loaded"] == 1
    assert look(following)[Metric.DATABASE_UP,] == 1


def test_another_schema_is_not_ready(driver: ProjectDriver) -> None:
    other = FleetMeter(driver.ledger, 1, "9999", Surroundings)
    other.look()
    assert other.error is not None
    assert "I511" in other.error


def test_a_database_that_was_emptied_is_counted_anew(driver: ProjectDriver) -> None:
    driver.load("a.csv", content(1))
    following = meter(driver)
    look(following)
    driver.sql("TRUNCATE files, file_events, file_histories, raw_readings RESTART IDENTITY CASCADE")
    found = look(following)
    assert (Metric.FILES, "plant", "loaded") not in found
    driver.load("b.csv", content(2))
    assert look(following)[Metric.ROWS_LOADED, "plant"] == 20


def test_the_right_to_read_is_enough(driver: ProjectDriver, database: str) -> None:
    loaded = driver.load("a.csv", content(1))
    joined = "&" if "?" in database else "?"
    reader = PostgresLedger(f"{database}{joined}options=-crole%3Dsensorflow_reader", "metrics")
    found = look(FleetMeter(reader, 1, migrate.head(), Surroundings))
    with pytest.raises(Transient, match="I510"):
        reader.replay(loaded)
    reader.close()
    assert found[Metric.FILES, "plant", "loaded"] == 1
    assert found[Metric.READINGS_BYTES,] > 0


def test_the_loop_continues_after_an_outage(driver: ProjectDriver) -> None:
    stop = threading.Event()
    following = meter(driver)
    thread = threading.Thread(target=following.run, args=(stop,))
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while not following.is_complete and time.monotonic() < deadline:
            time.sleep(0.01)
        assert following.is_complete
        assert not following.is_stuck
    finally:
        stop.set()
        thread.join()
