"""What is served is a function of the loaded versions in landing order, and of nothing else."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
import structlog
import zones
from project_driver import ProjectDriver
from samples import arrival, batch, claim
from versions.histories import FIRST, History, version_of
from versions.model import Version, VersionModel

from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.keys import keys
from sensorflow.core.states import WORK, State
from sensorflow.flow.garbage import collect_garbage
from sensorflow.flow.outcomes import Outcome
from sensorflow.flow.undo import undo
from sensorflow.ports.files import Counts
from sensorflow.ports.intake import OnChange
from sensorflow.ports.loading import Load

SEEDS = int(os.environ.get("HISTORIES", "6"))


@pytest.fixture
def driver(project: Path, indexed: str, index: str) -> Iterator[ProjectDriver]:
    project_driver = ProjectDriver(project, indexed, dedupe_index=index, seal_after="90y")
    yield project_driver
    project_driver.close()


@dataclass
class RandomHistory:
    """A random history of a few names, in the project and in the model."""

    driver: ProjectDriver
    draw: random.Random
    model: VersionModel = field(default_factory=VersionModel)
    versions: dict[int, Version] = field(default_factory=dict)
    """File id -> the version that it is, of files that are not aliases."""
    names: dict[str, History] = field(default_factory=dict)
    contents: list[Version] = field(default_factory=list)

    def step(self) -> None:
        act = self.draw.choices(
            (
                self.arrive,
                self.arrive_again,
                self.work,
                self.undo,
                self.replay,
                self.kill,
                self.collect_garbage,
            ),
            (6, 2, 6, 1, 1, 1, 1),
        )[0]
        act()

    def arrive(self) -> None:
        name = self.draw.choice(("a.csv", "b.csv", "c.csv"))
        known = self.names.get(name)
        if known is None:
            sensors = self.draw.choice((("s1",), ("s1", "s2"), ("s2",)))
            known = self.names[name] = History.begun(self.draw, sensors)
            self._arrive(name, version_of(known.lines))
        else:
            self._arrive(name, version_of(known.next()))

    def arrive_again(self) -> None:
        """A content that came before, under the same name or another."""
        if self.contents:
            old = self.draw.choice(self.contents)
            self._arrive(
                self.draw.choice(("a.csv", "b.csv", "c.csv")), Version(old.content, old.readings)
            )

    def _arrive(self, name: str, version: Version) -> None:
        self.contents.append(version)
        file_id = self.driver.arrive(name, version.content)
        if file_id not in self.versions:
            self.versions[file_id] = self.model.arrive(name, version)
        else:
            self.model.arrive(name, version)

    def pending(self) -> list[int]:
        return [view.file_id for view in self.driver.ledger.select((State.PENDING,))]

    def work(self) -> None:
        if not (found := self.pending()):
            return
        file_id = self.draw.choice(found)
        if self.driver.fact(file_id, "stage") == "quarantine":
            self.driver.quarantine_by_hand(file_id)
        else:
            outcome = self.driver.work(file_id)
            version = self.versions.get(file_id)  # None of an alias that became a file of its own
            expected = [Outcome.LOADED, Outcome.DEAD_LETTERED]
            assert outcome in (
                expected if version is None else expected[not version.readings :][:1]
            )

    def undo(self) -> None:
        """Of a file, under each name that it has."""
        loaded = self.driver.ledger.select((State.LOADED,))
        if loaded:
            view = self.draw.choice(loaded)
            undo(
                self.driver.ledger,
                self.driver.services.lake,
                self.driver.services.landing,
                view.file_id,
                "",
            )
            names = {a.name for a in self.driver.ledger.arrivals(view.file_id)} | {view.name}
            sha = view.sha256
            self._undone(view.name, view.version, names, sha)

    def _undone(self, name: str, number: int, names: set[str], sha: bytes) -> None:
        import hashlib

        own = self.driver.ledger.named(name)
        same = [v.version for v in own if v.sha256 == bytes(sha)]
        nth = sorted(same).index(number)
        for each in names:
            found = [
                v
                for v in self.model.names.get(each, [])
                if hashlib.sha256(v.content).digest() == bytes(sha)
            ]
            found[nth if each == name else -1].loaded = False

    def replay(self) -> None:
        loaded = self.driver.ledger.select((State.LOADED,))
        if loaded:
            self.driver.ledger.replay(self.draw.choice(loaded).file_id)

    def kill(self) -> None:
        """A worker that claimed a file is gone; its lease ends."""
        found = [i for i in self.pending() if not self.driver.fact(i, "attempts")]
        if found:
            self.driver.ledger.claim(self.draw.choice(found), WORK, "gone", 30)
            self.driver.sql(
                "UPDATE files SET lease_until = now() - interval '1s' WHERE state = 'running'"
            )
            self.driver.ledger.reconcile(0, None)

    def collect_garbage(self) -> None:
        collect_garbage(self.driver.ledger, self.driver.services.lake, self.driver.services.landing)

    def finish(self) -> None:
        for _ in range(500):
            if not self.pending():
                break
            self.work()
        assert not self.pending()
        self.collect_garbage()


def served(url: str) -> Counter[tuple[str, int, float]]:
    query = "SELECT sensor_id, extract(epoch FROM ts)::bigint, value FROM raw_readings"
    with psycopg.connect(url) as connection:
        return Counter(connection.execute(query).fetchall())


def in_silver(driver: ProjectDriver) -> Counter[tuple[str, int, float]]:
    found: Counter[tuple[str, int, float]] = Counter()
    for path in (driver.data / "silver").rglob("file-*.parquet"):
        for row in zones.read_rows(path).to_pylist():
            found[row["sensor_id"], int(row["ts"].timestamp()), row["value"]] += 1
    return found


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_is_served_is_what_the_model_says(driver: ProjectDriver, seed: int) -> None:
    play = RandomHistory(driver, random.Random(seed))
    for _ in range(play.draw.randrange(5, 40)):
        play.step()
    play.finish()
    assert served(driver.database) == play.model.served()
    assert in_silver(driver) == play.model.served()
    result = driver.audit("--deep")
    assert result.code == 0, result.report["findings"]


# --- with many versions ---


MANY = """
INSERT INTO files (source, key, key_text, version, sha256, md5, size, mtime_ns, landing, sensor_type,
                   discovered_at, landed_at, state, finished_at, checksum, rows_read, rows_loaded,
                   rows_replaced, ts_min, ts_max, identity)
SELECT 'plant', 'a.csv', 'a.csv', n, sha256(int4send(n)), '', 100, 0, '', 'long', now(), now(),
       'loaded', now(), 0, 10, 10, {replaced}, to_timestamp(n * 10), to_timestamp(n * 10 + 9), 'plant/a.csv'
  FROM generate_series({first}, {last}) n
"""
READ = """
SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables
 WHERE relname = 'files'
"""


@pytest.mark.parametrize("replaced", [0, 10], ids=["chunks", "grown"])
def test_the_ten_thousandth_version_is_loaded_as_the_tenth_was(
    ledger: PostgresLedger, database: str, replaced: int
) -> None:
    """In rows of the ledger that are looked at, whether the versions before it hold rows or not."""
    read: list[int] = []

    def load(number: int) -> int:
        """Register and load a version that states what the one before it does, and more."""
        landed = replace(arrival().landed, sha256=number.to_bytes(32, "big"))
        new_arrival = replace(arrival(mark=str(number)), landed=landed)
        file_id = ledger.register(new_arrival, OnChange.MERGE, False).file_id
        silver = batch(10, start=number * 10 - 1_700_000_000)
        plan = Load(Counts(read=10), OnChange.MERGE, "p", "h", "0.2", (), "plant/a.csv")

        def count(conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if "SET state = 'loaded'" in statement:
                read.append(int(conn.exec_driver_sql(READ).scalar_one()))

        sa.event.listen(ledger._engine, "after_cursor_execute", count)
        claimed = claim(ledger, file_id)
        ledger.load(claimed, [(silver, keys(silver, "plant/a.csv"))], plan)
        sa.event.remove(ledger._engine, "after_cursor_execute", count)
        return read[-1]

    def add(first: int, last: int) -> None:
        with psycopg.connect(database, autocommit=True) as c:
            c.execute(MANY.format(first=first, last=last, replaced=replaced))  # type: ignore[arg-type]
            c.execute("ANALYZE files")

    add(1, 9)
    few = load(10)
    add(11, 9_999)
    assert load(10_000) < few + 50


# --- what is said ---


def noticed(driver: ProjectDriver, name: str) -> str:
    newest = driver.ledger.named(name)[-1]
    return str(newest.remarks)


def test_a_superseding_version_says_what_it_deleted_outside_its_own_span(
    project: Path, indexed: str, index: str
) -> None:
    keys = {"dedupe_index": index, "seal_after": "90y"}
    driver = ProjectDriver(project, indexed, {"on_change": "supersede"}, **keys)
    history = History.begun(random.Random(1), ("s1",))
    driver.load("a.csv", version_of(history.lines).content)
    with structlog.testing.capture_logs() as logs:
        driver.load("a.csv", version_of(history.lines[2:]).content)
    first, second = (datetime.fromtimestamp(history.lines[n][0], UTC) for n in (0, 1))
    remark = "2 readings of the older version outside the new version's time span were removed, "
    remark += f"from {first.isoformat()} to {second.isoformat()}"
    assert noticed(driver, "a.csv") == remark
    assert [e["remarks"] for e in logs if e["event"] == "version.noticed"] == [remark]
    driver.load("a.csv", version_of(history.grown()).content)  # all that is there, and more
    assert noticed(driver, "a.csv") == "None"
    driver.close()


def test_a_shifted_clock_and_what_stays_are_reported_and_nothing_is_guessed(
    driver: ProjectDriver,
) -> None:
    lines = [(FIRST + n * 10, "s1", float(n % 5)) for n in range(12)]
    driver.load("a.csv", version_of(lines).content)
    with structlog.testing.capture_logs() as logs:
        driver.load("a.csv", version_of([(s + 3600, n, v) for s, n, v in lines]).content)
    assert "times shifted by +1:00:00" in noticed(driver, "a.csv")
    assert sum(served(driver.database).values()) == 24
    (event,) = [e for e in logs if e["event"] == "readings.kept"]
    assert (event["readings"], event["of_version"]) == (12, 1)
    assert "sensorflow undo 'a.csv@1'" in event["do"]


def test_readings_of_one_time_are_replaced_by_their_order(project: Path, emptied: str) -> None:
    """As docs/how-to/corrections.md states."""
    driver = ProjectDriver(project, emptied)
    row = "2026-01-31T12:00:00Z,tank-7,{},{},{}\n"

    def load(*readings: tuple[str, float, str]) -> None:
        text = "time,sensor,type,value,unit\n" + "".join(row.format(*one) for one in readings)
        driver.load("a.csv", text.encode())

    load(("e", 8, "degC"), ("e", 9, "degC"), ("t", 3, "degC"), ("t", 37.4, "degF"))
    load(("e", 77, "degC"), ("t", 4, "degC"))
    with psycopg.connect(driver.database) as c:
        found = c.execute("SELECT value, unit FROM raw_readings ORDER BY value").fetchall()
    driver.close()
    assert found == [(4, "degC"), (9, "degC"), (37.4, "degF"), (77, "degC")]
