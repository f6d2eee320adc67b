"""A project is moved to another location while files arrive, objects change and processes are killed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import psycopg
import pytest
import warm
from project_driver import ProjectDriver, content

from sensorflow import stores
from sensorflow.flow.garbage import collect_garbage
from sensorflow.flow.outcomes import Outcome
from sensorflow.flow.storage_migration import Fate, Move, migrate
from sensorflow.flow.undo import undo
from sensorflow.ports.objects import Object
from sensorflow.testing.objects import MemoryObjects

KILLED = """
import os, signal, sys
from sensorflow.cli import main
from sensorflow.flow import storage_migration

at, record = int(os.environ["KILL_AT"]), storage_migration._record

def killed(*given):
    record(*given)
    if given[-1].done >= at:
        os.kill(os.getpid(), signal.SIGKILL)

storage_migration._record = killed
main()
"""


@pytest.fixture
def driver(project: Path, database: str) -> Iterator[ProjectDriver]:
    found = ProjectDriver(project, database, {"max_rejects": "60%"})
    yield found
    found.close()


def moved(driver: ProjectDriver, **storage: str) -> ProjectDriver:
    """The same project, with other `[storage]` settings."""
    driver.close()
    return ProjectDriver(driver.project, driver.database, {"max_rejects": "60%"}, storage=storage)


def fill(driver: ProjectDriver) -> list[int]:
    """A file of each kind."""
    file_ids = [driver.load(f"{number}.csv", content(number)) for number in range(4)]
    rejected = b"time,sensor,type,value,unit\n2026-03-01T00:00:00Z,s,temperature,1,degC\n"
    file_ids.append(driver.load("r.csv", rejected + b"2026-03-01T00:00:01Z,s,temperature,x,degC\n"))
    driver.quarantine()
    undo(driver.ledger, driver.services.lake, driver.services.landing, file_ids[3], "wrong")
    return file_ids


def run(driver: ProjectDriver, *words: str, code: int = 0, kill_at: int = 0) -> str:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SENSORFLOW_")}
    if kill_at:
        command = [sys.executable, "-c", KILLED, *words]
        env = {**clean, "KILL_AT": str(kill_at)}
        done = subprocess.run(
            command, cwd=driver.project, env=env, capture_output=True, check=False
        )
    else:
        done = warm.run(["sensorflow", *words], clean, driver.project)
    output = (done.stdout + done.stderr).decode()
    assert done.returncode == code, output
    assert "Traceback" not in output
    return output


def asked(driver: ProjectDriver, *words: str, code: int = 0) -> Any:
    return json.loads(run(driver, *words, "--json", code=code))


def objects(driver: ProjectDriver) -> dict[str, bytes]:
    """All stored objects of a project, by area and name."""
    found = {}
    for area in ("landing", "bronze", "rejects", "silver", "quarantine"):
        store = stores.area(driver.settings, area)
        for one in store.list():
            with store.open(one.name) as stream:
                found[f"{area}/{one.name}"] = stream.read()
    return found


def readings(url: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        query = "SELECT ts, sensor_id, value, file_id FROM raw_readings ORDER BY 1, 2"
        return connection.execute(query).fetchall()


def test_a_project_is_moved_while_files_arrive_and_the_migration_is_killed(
    driver: ProjectDriver,
) -> None:
    fill(driver)
    before = objects(driver)
    driver = moved(driver, data="moved", previous="data")
    (driver.project / "moved").mkdir()
    assert objects(driver) == before
    run(driver, "storage", "migrate", code=-signal.SIGKILL, kill_at=3)
    late = driver.load("late.csv", content(7))  # the workers keep running
    run(driver, "storage", "migrate", code=-signal.SIGKILL, kill_at=8)
    driver.quarantine("worse.csv.gz", b"\x1f\x8bno gzip either")
    done = asked(driver, "storage", "migrate")
    assert done["problems"] == []
    assert done["copied"] + done["present"] + done["already_copied"] == len(before)
    now = objects(driver)
    assert {name: now.get(name) for name in before} == before
    assert "every one accounted for" in run(driver, "audit", "--checksum")
    shown = run(driver, "storage", "migrate")
    assert "0 objects copied (0 bytes)" in shown
    assert "remove `previous` from [storage]" in shown
    for layer in ("landing", "bronze", "silver", "rejects", "quarantine"):
        shutil.rmtree(driver.project / "data" / layer)
    driver = moved(driver, data="moved")
    assert objects(driver) == now
    assert "every one accounted for" in run(driver, "audit", "--checksum")
    assert driver.ledger.replay(late)
    assert driver.work(late) is Outcome.LOADED
    driver.close()


def test_what_is_undone_replayed_and_expired_during_the_move_stays_as_it_is(
    driver: ProjectDriver,
) -> None:
    file_ids = fill(driver)
    driver = moved(driver, data="moved", previous="data")
    services = driver.services
    undo(driver.ledger, services.lake, services.landing, file_ids[0], "wrong")
    assert driver.ledger.replay(file_ids[1])
    assert driver.work(file_ids[1]) is Outcome.LOADED
    driver.load("2.csv", content(2, 12))
    collect_garbage(driver.ledger, services.lake, services.landing)
    before = objects(driver)
    assert asked(driver, "storage", "migrate")["problems"] == []
    assert objects(driver) == before
    driver = moved(driver, data="moved")
    assert objects(driver) == before
    assert "every one accounted for" in run(driver, "audit", "--checksum")
    driver.close()


def test_old_processes_cannot_read_what_new_ones_wrote_and_burn_no_attempt(
    driver: ProjectDriver, database: str
) -> None:
    old_id = driver.arrive("old.csv", content(1))
    old = driver.services
    driver = moved(driver, data="moved", previous="data")
    new_id = driver.arrive("new.csv", content(2))
    new = driver.services
    driver.services = old
    for _ in range(7):  # more often than max_attempts
        assert driver.work(new_id) is Outcome.RETRY
        driver.sql("UPDATE files SET not_before = NULL WHERE id = %s", new_id)
    assert driver.fact(new_id, "attempts") == 0
    driver.services = new
    assert [driver.work(file_id) for file_id in (old_id, new_id)] == [Outcome.LOADED] * 2
    driver.close()


def test_a_damaged_landed_object_is_reported_and_not_copied(driver: ProjectDriver) -> None:
    file_ids = fill(driver)
    path, cut = driver.landed(file_ids[0]), driver.landed(file_ids[1])
    intact = path.read_bytes()
    path.write_bytes(intact[:-1] + b"x")
    cut.write_bytes(cut.read_bytes()[:-1])
    driver = moved(driver, data="moved", previous="data")
    shown = run(driver, "storage", "migrate", code=1)
    for damaged in (path, cut):
        name = f"landing/{damaged.parent.name}/{damaged.name}"
        assert f"not copied: {name}: damaged: SHA-256" in shown
        assert not (driver.project / "moved" / name).exists()
    assert "2 objects are not at the current location; keep `previous` set" in shown
    assert "next:" not in shown
    path.write_bytes(intact)
    assert run(driver, "storage", "migrate", code=1).count("not copied") == 1
    driver.close()


class Changing(MemoryObjects):
    """A store in which something happens to an object after it was created."""

    def __init__(self, happens: Any) -> None:
        super().__init__()
        self._happens = happens

    def create(self, name: str, data: bytes) -> bool:
        is_new = super().create(name, data)
        self._happens(self, name)
        return is_new


class NoJournal:
    def __contains__(self, entry: tuple[str, Object]) -> bool:
        return False

    def add(self, area: str, found: Object) -> None:
        pass


def one(area: str, current: MemoryObjects, previous: MemoryObjects) -> Fate:
    move = Move(area, previous, current)
    [found] = move.objects()
    return move.copy(found).fate


@pytest.mark.parametrize("area", ["silver", "quarantine"])
def test_an_object_that_is_deleted_while_it_is_copied_does_not_reappear(area: str) -> None:
    previous = MemoryObjects()
    previous.put("a", io.BytesIO(b"old"))
    current = Changing(lambda _, name: previous.delete(name))
    assert one(area, current, previous) is Fate.DELETED
    assert current.contents == {}


def test_a_newer_object_is_never_replaced_by_the_previous_one() -> None:
    class Replaced(MemoryObjects):
        def open(self, name: str) -> BinaryIO:
            self.put(name, io.BytesIO(b"newer"))
            return super().open(name)

    previous, current = MemoryObjects(), Replaced()
    previous.put("a", io.BytesIO(b"old"))
    assert one("silver", current, previous) is Fate.REPLACED
    assert one("silver", current, previous) is Fate.REPLACED
    assert current.contents == {"a": b"newer"}


@pytest.mark.parametrize("area", ["landing", "silver"])
def test_a_store_that_returns_other_bytes_than_it_was_given_is_noticed(area: str) -> None:
    previous, name = MemoryObjects(), f"ba/{hashlib.sha256(b'abc').hexdigest()}"
    previous.put(name, io.BytesIO(b"abc"))
    current = Changing(lambda store, name: store.contents.update({name: b"bad"}))
    totals = migrate([Move(area, previous, current)], NoJournal(), lambda *_: None)
    assert totals.objects[Fate.FAILED] == 1
    assert f"{area}/{name}: failed: stored with SHA-256" in totals.problems[0]
    assert (name in current.contents) is (area == "silver")  # in silver, it may be a newer one


def test_a_landed_object_that_is_damaged_at_the_new_location_is_repaired() -> None:
    previous, current = MemoryObjects(), MemoryObjects()
    name = f"ba/{hashlib.sha256(b'abc').hexdigest()}"
    previous.put(name, io.BytesIO(b"abc"))
    current.put(name, io.BytesIO(b"bad"))
    assert one("landing", current, previous) is Fate.COPIED
    assert current.contents == {name: b"abc"}


def test_an_object_that_an_old_process_wrote_after_a_new_one_is_a_conflict() -> None:
    previous, current = MemoryObjects(), MemoryObjects()
    current.put("a", io.BytesIO(b"new"))
    previous.put("a", io.BytesIO(b"late"))
    found = previous.head("a")
    assert found is not None
    previous._written_at["a"] = found.modified_at.replace(year=found.modified_at.year + 1)
    assert one("silver", current, previous) is Fate.CONFLICT
    assert current.contents == {"a": b"new"}


@pytest.mark.parametrize("is_large", [False, True])
def test_an_object_of_any_size_is_copied_whole(
    is_large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensorflow.flow.storage_migration.CONDITIONAL_BYTES", 4 - is_large)
    previous, current = MemoryObjects(), MemoryObjects()
    previous.put("a", io.BytesIO(b"1234"))
    assert one("bronze", current, previous) is Fate.COPIED
    assert one("bronze", current, previous) is Fate.PRESENT
    assert current.contents == {"a": b"1234"}
