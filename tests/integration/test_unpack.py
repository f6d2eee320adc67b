"""Archives of many members through the flow, on a real PostgreSQL: nothing is lost, or there twice."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import typer
import zones
from patience import PATIENCE
from project_driver import ProjectDriver, content

from sensorflow.cli.files import show
from sensorflow.cli.replay import replay, undo
from sensorflow.core.arrival import Lane
from sensorflow.errors import UsageError
from sensorflow.failpoints import Failpoint
from sensorflow.flow import unpack
from sensorflow.flow.outcomes import Outcome
from sensorflow.flow.process import process
from sensorflow.ports.queue import Task

WORK = """
import sys
from contextlib import nullcontext
from pathlib import Path
from sensorflow import bootstrap
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.flow.process import process
from sensorflow.ports.queue import Task
settings = bootstrap.settings(Path(sys.argv[1]))
services = bootstrap.services(settings, "killed", PostgresLedger(sys.argv[2], "killed"))
process(services, Task([int(sys.argv[3])]), lambda _: nullcontext())
"""


@pytest.fixture
def driver(project: Path, database: str) -> Iterator[ProjectDriver]:
    project_driver = ProjectDriver(project, database, {"unpack": True})
    yield project_driver
    project_driver.close()


def zipped(*names: str, first: int = 1) -> bytes:
    """Of files with 20 readings each."""
    return packed({name: content(n) for n, name in enumerate(names, first)})


def packed(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def work_all(driver: ProjectDriver) -> list[Outcome]:
    """Whatever waits, the oldest first, until nothing does but for the quarantine."""
    done = []
    while waiting := [v for v in driver.ledger.select(("pending",)) if v.stage != "quarantine"]:
        done += [driver.work(view.file_id) for view in waiting]
        assert len(done) < 50
    return done


def killed_at(driver: ProjectDriver, file_id: int, point: Failpoint) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORK, str(driver.project), driver.database, str(file_id)],
        env={**zones.environment(), "SENSORFLOW_TESTING": "1", "SENSORFLOW_CRASH": str(point)},
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == -9, done.stderr.decode()


def loaded(driver: ProjectDriver) -> dict[str, int]:
    return {v.name: v.counts.loaded for v in driver.ledger.select(("loaded",))}


def rows(driver: ProjectDriver) -> int:
    return driver.sql("SELECT 1 FROM raw_readings")


def clean(driver: ProjectDriver) -> bool:
    result = driver.audit("--deep")
    assert result.report["findings"] == []
    return result.code == 0


def run(driver: ProjectDriver, command: Any, *words: str) -> Any:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    return driver.invoke(app, *words)


def test_an_archive_in_a_message_of_many_files_is_unpacked_beside_them(
    driver: ProjectDriver,
) -> None:
    ids = [driver.arrive("a.csv", content(1)), driver.arrive("x.zip", zipped("b.csv", first=2))]
    ids += [
        driver.arrive("c.csv", content(3)),
        driver.arrive("d.csv.gz", gzip.compress(content(4))),
    ]
    done = process(driver.services, Task(ids), lambda _: nullcontext())
    assert {result.outcome for result in done} == {Outcome.LOADED}
    assert loaded(driver) == {"a.csv": 20, "x.zip": 0, "c.csv": 20, "d.csv.gz": 20}
    assert work_all(driver) == [Outcome.LOADED]
    assert clean(driver)


@pytest.mark.parametrize("point", [Failpoint.UNPACKED, Failpoint.REGISTERING, Failpoint.COMMITTED])
def test_a_worker_killed_while_it_unpacks_loses_and_doubles_nothing(
    driver: ProjectDriver, point: Failpoint
) -> None:
    file_id = driver.arrive("x.zip", zipped("a.csv", "sub/b.csv"))
    killed_at(driver, file_id, point)
    committed = point is Failpoint.COMMITTED
    assert driver.fact(file_id, "state") == ("loaded" if committed else "running")
    assert len(driver.ledger.members(file_id)) == (2 if committed else 0)
    driver.sql("UPDATE files SET lease_until = now() - interval '1 s' WHERE state = 'running'")
    driver.ledger.reconcile(60, 0)
    assert set(work_all(driver)) == {Outcome.LOADED}
    assert loaded(driver) == {"x.zip": 0, "x.zip!/a.csv": 20, "x.zip!/sub/b.csv": 20}
    assert rows(driver) == 40
    assert clean(driver)


def test_archives_that_come_again_and_share_names_and_bytes(driver: ProjectDriver) -> None:
    data = zipped("a.csv", "b.csv")
    first = driver.load("x.zip", data)
    assert driver.arrive("x.zip", data) == first
    assert driver.arrive("copy.zip", data) == first
    work_all(driver)
    driver.load("y.zip", packed({"a.csv": content(7), "same.csv": content(2)}))
    assert work_all(driver) == [Outcome.LOADED]
    assert loaded(driver) == {
        "x.zip": 0,
        "x.zip!/a.csv": 20,
        "x.zip!/b.csv": 20,
        "y.zip": 0,
        "y.zip!/a.csv": 20,
    }
    newer = driver.load(
        "x.zip", packed({"a.csv": content(1) + content(9)[29:], "c.csv": content(8)})
    )
    work_all(driver)
    assert driver.fact(newer, "version") == 2
    assert rows(driver) > 80
    assert clean(driver)


def test_one_bad_member_keeps_all_of_an_archive_out(
    driver: ProjectDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "TOGETHER", 1)
    data = bytearray(zipped("a.csv", "b.csv"))
    data[data.rindex(b"PK\x01\x02", 0, data.rindex(b"PK\x01\x02")) - 3] ^= 1
    file_id = driver.arrive("x.zip", bytes(data))
    assert driver.work(file_id) is Outcome.DEAD_LETTERED
    driver.quarantine_by_hand(file_id)
    assert "'b.csv' in the archive is broken" in driver.fact(file_id, "error_detail")
    assert len(driver.ledger.files()) == 1
    assert [
        p.name for p in (driver.data / "landing").rglob("*") if p.is_file() and len(p.name) == 64
    ] == [driver.landed(file_id).name]
    assert clean(driver)


def test_a_member_that_cannot_be_read_does_not_keep_the_others_waiting(
    driver: ProjectDriver,
) -> None:
    driver.load("x.zip", packed({"a.csv": content(1), "b.csv": b"\xff\xfe nothing"}))
    assert sorted(work_all(driver)) == [Outcome.DEAD_LETTERED, Outcome.LOADED]
    [bad] = driver.ledger.select(("pending",))
    driver.quarantine_by_hand(bad.file_id)
    where = Path(str(driver.fact(bad.file_id, "quarantined_to")))
    assert where.name.startswith(f"{bad.file_id}-v1")
    assert clean(driver)


def test_undo_of_an_archive_takes_out_what_came_in_it_alone_and_replay_brings_it_back(
    driver: ProjectDriver,
) -> None:
    file_id = driver.load("x.zip", zipped("a.csv", "b.csv"))
    with pytest.raises(UsageError, match="2 of its files are not finished"):
        run(driver, undo, "x.zip")
    work_all(driver)
    driver.load("y.zip", packed({"b2.csv": content(2)}))
    done = run(driver, undo, "x.zip")
    assert done.exit_code == 0, done.output
    assert "1 of its files also arrived in another way and stay loaded: x.zip!/b.csv" in done.output
    assert loaded(driver) == {"y.zip": 0, "x.zip!/b.csv": 20}
    assert rows(driver) == 20
    assert clean(driver)
    assert run(driver, undo, "y.zip").exit_code == 0
    assert rows(driver) == 0
    assert run(driver, replay, str(file_id)).exit_code == 0
    work_all(driver)
    assert rows(driver) == 40
    assert clean(driver)


def test_files_show_tells_of_what_an_archive_is_and_in_which_a_file_came(
    driver: ProjectDriver,
) -> None:
    file_id = driver.load("x.zip", zipped("a.csv", "b.csv"))
    work_all(driver)
    output = run(driver, show, "x.zip").output
    assert "the archive contains 2 files" in output
    assert "x.zip!/b.csv" in output
    assert "unpacked into 2 files" in output
    assert "in archive" in run(driver, show, "x.zip!/a.csv").output
    assert f'"archive": {file_id}' in run(driver, show, "x.zip!/a.csv", "--json").output


def test_without_unpack_an_archive_is_one_file_as_ever(project: Path, database: str) -> None:
    """And one that was unpacked does not become one more when the setting is taken back."""
    driver = ProjectDriver(project, database)
    one = driver.load("one.zip", zipped("a.csv"))
    assert driver.fact(one, "members") is None
    assert loaded(driver) == {"one.zip": 20}
    driver.close()
    changed = ProjectDriver(project, database, {"unpack": True})
    changed.ledger.replay(one)
    assert changed.work(one) is Outcome.DEAD_LETTERED  # what is there is of one file
    two = changed.load("two.zip", zipped("b.csv", first=2))
    work_all(changed)
    changed.close()
    back = ProjectDriver(project, database)
    back.ledger.replay(two)
    assert back.work(two) is Outcome.DEAD_LETTERED
    assert loaded(back) == {"one.zip": 20, "two.zip": 0, "two.zip!/b.csv": 20}
    assert rows(back) == 40
    assert back.ledger.unfinished(Lane.LIVE) == 0
    assert clean(back)
    back.close()
