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
from patience import PATIENCE
from yard import Yard, content

from sensorflow.cli.files import show
from sensorflow.cli.replay import replay, undo
from sensorflow.core.arrival import Lane
from sensorflow.crash import Point
from sensorflow.errors import Misuse
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
world = bootstrap.world(settings, "killed", PostgresLedger(sys.argv[2], "killed"))
process(world, Task([int(sys.argv[3])]), lambda _: nullcontext())
"""


@pytest.fixture
def yard(project: Path, database: str) -> Iterator[Yard]:
    made = Yard(project, database, {"unpack": True})
    yield made
    made.close()


def zipped(*names: str, first: int = 1) -> bytes:
    """Of files with 20 readings each."""
    return packed({name: content(n) for n, name in enumerate(names, first)})


def packed(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def work_all(yard: Yard) -> list[Outcome]:
    """Whatever waits, the oldest first, until nothing does but for the quarantine."""
    done = []
    while waiting := [v for v in yard.ledger.select(("pending",)) if v.stage != "quarantine"]:
        done += [yard.work(view.file_id) for view in waiting]
        assert len(done) < 50
    return done


def killed_at(yard: Yard, file_id: int, point: Point) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORK, str(yard.project), yard.database, str(file_id)],
        env={"SENSORFLOW_TESTING": "1", "SENSORFLOW_CRASH": str(point), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == -9, done.stderr.decode()


def loaded(yard: Yard) -> dict[str, int]:
    return {v.name: v.counts.loaded for v in yard.ledger.select(("loaded",))}


def rows(yard: Yard) -> int:
    return yard.sql("SELECT 1 FROM raw_readings")


def clean(yard: Yard) -> bool:
    told = yard.audit("--deep")
    assert told.report["findings"] == []
    return told.code == 0


def run(yard: Yard, command: Any, *words: str) -> Any:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    return yard.invoke(app, *words)


def test_an_archive_in_a_message_of_many_files_is_unpacked_beside_them(yard: Yard) -> None:
    ids = [yard.arrive("a.csv", content(1)), yard.arrive("x.zip", zipped("b.csv", first=2))]
    ids += [yard.arrive("c.csv", content(3)), yard.arrive("d.csv.gz", gzip.compress(content(4)))]
    done = process(yard.world, Task(ids), lambda _: nullcontext())
    assert {result.outcome for result in done} == {Outcome.LOADED}
    assert loaded(yard) == {"a.csv": 20, "x.zip": 0, "c.csv": 20, "d.csv.gz": 20}
    assert work_all(yard) == [Outcome.LOADED]
    assert clean(yard)


@pytest.mark.parametrize("point", [Point.UNPACKED, Point.REGISTERING, Point.COMMITTED])
def test_a_worker_killed_while_it_unpacks_loses_and_doubles_nothing(
    yard: Yard, point: Point
) -> None:
    file_id = yard.arrive("x.zip", zipped("a.csv", "sub/b.csv"))
    killed_at(yard, file_id, point)
    committed = point is Point.COMMITTED
    assert yard.fact(file_id, "state") == ("loaded" if committed else "running")
    assert len(yard.ledger.members(file_id)) == (2 if committed else 0)
    yard.sql("UPDATE files SET lease_until = now() - interval '1 s' WHERE state = 'running'")
    yard.ledger.sweep(60, 0)
    assert set(work_all(yard)) == {Outcome.LOADED}
    assert loaded(yard) == {"x.zip": 0, "x.zip!/a.csv": 20, "x.zip!/sub/b.csv": 20}
    assert rows(yard) == 40
    assert clean(yard)


def test_archives_that_come_again_and_share_names_and_bytes(yard: Yard) -> None:
    data = zipped("a.csv", "b.csv")
    first = yard.load("x.zip", data)
    assert yard.arrive("x.zip", data) == first
    assert yard.arrive("copy.zip", data) == first
    work_all(yard)
    yard.load("y.zip", packed({"a.csv": content(7), "same.csv": content(2)}))
    assert work_all(yard) == [Outcome.LOADED]
    assert loaded(yard) == {
        "x.zip": 0,
        "x.zip!/a.csv": 20,
        "x.zip!/b.csv": 20,
        "y.zip": 0,
        "y.zip!/a.csv": 20,
    }
    newer = yard.load("x.zip", packed({"a.csv": content(1) + content(9)[29:], "c.csv": content(8)}))
    work_all(yard)
    assert yard.fact(newer, "version") == 2
    assert rows(yard) > 80
    assert clean(yard)


def test_one_bad_member_keeps_all_of_an_archive_out(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "TOGETHER", 1)
    data = bytearray(zipped("a.csv", "b.csv"))
    data[data.rindex(b"PK\x01\x02", 0, data.rindex(b"PK\x01\x02")) - 3] ^= 1
    file_id = yard.arrive("x.zip", bytes(data))
    assert yard.work(file_id) is Outcome.CONDEMNED
    yard.put_aside(file_id)
    assert "'b.csv' in the archive is broken" in yard.fact(file_id, "error_detail")
    assert len(yard.ledger.files()) == 1
    assert [
        p.name for p in (yard.data / "landing").rglob("*") if p.is_file() and len(p.name) == 64
    ] == [yard.landed(file_id).name]
    assert clean(yard)


def test_a_member_that_cannot_be_read_does_not_keep_the_others_waiting(yard: Yard) -> None:
    yard.load("x.zip", packed({"a.csv": content(1), "b.csv": b"\xff\xfe nothing"}))
    assert sorted(work_all(yard)) == [Outcome.CONDEMNED, Outcome.LOADED]
    [bad] = yard.ledger.select(("pending",))
    yard.put_aside(bad.file_id)
    where = Path(str(yard.fact(bad.file_id, "quarantined_to")))
    assert where.name.startswith(f"{bad.file_id}-v1")
    assert clean(yard)


def test_undo_of_an_archive_takes_out_what_came_in_it_alone_and_replay_brings_it_back(
    yard: Yard,
) -> None:
    file_id = yard.load("x.zip", zipped("a.csv", "b.csv"))
    with pytest.raises(Misuse, match="2 of its files are not finished"):
        run(yard, undo, "x.zip")
    work_all(yard)
    yard.load("y.zip", packed({"b2.csv": content(2)}))
    done = run(yard, undo, "x.zip")
    assert done.exit_code == 0, done.output
    assert "1 of its files also arrived elsewhere and stay loaded: x.zip!/b.csv" in done.output
    assert loaded(yard) == {"y.zip": 0, "x.zip!/b.csv": 20}
    assert rows(yard) == 20
    assert clean(yard)
    assert run(yard, undo, "y.zip").exit_code == 0
    assert rows(yard) == 0
    assert run(yard, replay, str(file_id)).exit_code == 0
    work_all(yard)
    assert rows(yard) == 40
    assert clean(yard)


def test_files_show_tells_of_what_an_archive_is_and_in_which_a_file_came(yard: Yard) -> None:
    file_id = yard.load("x.zip", zipped("a.csv", "b.csv"))
    work_all(yard)
    told = run(yard, show, "x.zip").output
    assert "the archive is 2 files" in told
    assert "x.zip!/b.csv" in told
    assert "unpacked into 2 files" in told
    assert "in archive" in run(yard, show, "x.zip!/a.csv").output
    assert f'"archive": {file_id}' in run(yard, show, "x.zip!/a.csv", "--json").output


def test_without_unpack_an_archive_is_one_file_as_ever(project: Path, database: str) -> None:
    """And one that was unpacked does not become one more when the setting is taken back."""
    yard = Yard(project, database)
    one = yard.load("one.zip", zipped("a.csv"))
    assert yard.fact(one, "members") is None
    assert loaded(yard) == {"one.zip": 20}
    yard.close()
    changed = Yard(project, database, {"unpack": True})
    changed.ledger.replay(one)
    assert changed.work(one) is Outcome.CONDEMNED  # what is there is of one file
    two = changed.load("two.zip", zipped("b.csv", first=2))
    work_all(changed)
    changed.close()
    back = Yard(project, database)
    back.ledger.replay(two)
    assert back.work(two) is Outcome.CONDEMNED
    assert loaded(back) == {"one.zip": 20, "two.zip": 0, "two.zip!/b.csv": 20}
    assert rows(back) == 40
    assert back.ledger.unfinished(Lane.LIVE) == 0
    assert clean(back)
    back.close()
