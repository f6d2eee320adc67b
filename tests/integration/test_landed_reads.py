"""How often the bytes of a landed file are requested from a store that is not on this host: once for each
task that reads them. Therefore workers need no cache of landed bytes."""

from __future__ import annotations

import io
import random
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fleet import HEAD, rows
from project_driver import ProjectDriver, content

from sensorflow import bootstrap
from sensorflow.core.states import WORK
from sensorflow.flow.landing import Landing
from sensorflow.flow.outcomes import Outcome
from sensorflow.flow.process import process
from sensorflow.ports.queue import Task
from sensorflow.testing.objects import MemoryObjects


class CountingObjects(MemoryObjects):
    """Counts the bytes that are read of each object. An object that is opened has been requested."""

    def __init__(self) -> None:
        super().__init__()
        self.read: Counter[str] = Counter()

    def open(self, name: str) -> BinaryIO:
        opened = super().open(name)
        counts = self.read

        class Counted(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                data = super().read(size)
                counts[name] += len(data)
                return data

        return Counted(opened.read())


@pytest.fixture
def store() -> CountingObjects:
    return CountingObjects()


@pytest.fixture
def driver(project: Path, database: str, store: CountingObjects) -> Iterator[ProjectDriver]:
    project_driver = ProjectDriver(project, database, {"unpack": True})
    project_driver.services = replace(project_driver.services, landing=Landing(store))
    yield project_driver
    project_driver.close()


def times_read(driver: ProjectDriver, store: CountingObjects, file_id: int) -> float:
    name = str(driver.fact(file_id, "landing"))
    return store.read[name] / len(store.contents[name])


def loaded(driver: ProjectDriver, file_ids: Sequence[int], task: Task) -> None:
    results = process(driver.services, task, lambda _: nullcontext())
    assert [r.outcome for r in results] == [Outcome.LOADED] * len(file_ids), results


def test_a_file_in_one_task(driver: ProjectDriver, store: CountingObjects) -> None:
    file_id = driver.load("a.csv", content(1, 2000))
    assert times_read(driver, store, file_id) == 1


def test_small_files_in_one_transaction(driver: ProjectDriver, store: CountingObjects) -> None:
    ids = [driver.arrive(f"{n}.csv", content(n, 500)) for n in range(4)]
    loaded(driver, ids, Task(ids))
    assert [times_read(driver, store, n) for n in ids] == [1] * 4


def test_a_file_in_stages(driver: ProjectDriver, store: CountingObjects) -> None:
    file_id = driver.arrive("a.csv", content(1, 2000))
    for stage in WORK:
        process(driver.services, Task([file_id], stage), lambda _: nullcontext())
    assert driver.fact(file_id, "rows_loaded") == 2000
    assert times_read(driver, store, file_id) == 1


def sheet(readings: list[Any]) -> bytes:
    book, out = openpyxl.Workbook(), io.BytesIO()
    assert book.active is not None
    for row in (HEAD.strip().split(","), *readings):
        book.active.append(row)
    book.save(out)
    return out.getvalue()


def columns(readings: list[Any]) -> bytes:
    names, out = HEAD.strip().split(","), io.BytesIO()
    pq.write_table(pa.table(dict(zip(names, zip(*readings, strict=True), strict=True))), out)
    return out.getvalue()


@pytest.mark.parametrize(("make", "profile"), [(sheet, "xlsx"), (columns, "parquet")])
def test_a_file_that_is_read_here_and_there(
    driver: ProjectDriver, store: CountingObjects, make: Any, profile: str
) -> None:
    """Spreadsheets and Parquet files are not read from start to end."""
    draw = random.Random(1)
    readings = [(t, s, "temperature", v, "degC") for t, s, v in rows(1, 300, draw)]
    form = {"extends": "long", "format": profile}
    driver.configure({"profile": "other"}, profiles={"other": form})
    driver.services = replace(driver.services, settings=bootstrap.settings(driver.project))
    file_id = driver.load("a.bin", make(readings))
    assert driver.fact(file_id, "rows_loaded") == 300
    assert times_read(driver, store, file_id) == 1


def test_an_archive_and_its_members(driver: ProjectDriver, store: CountingObjects) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.csv", content(1, 2000))
        archive.writestr("b.csv", content(2, 2000))
    file_id = driver.load("x.zip", out.getvalue())
    members = [v.file_id for v in driver.ledger.files() if v.file_id != file_id]
    for member in members:
        assert driver.work(member) is Outcome.LOADED
    assert len(members) == 2
    assert [times_read(driver, store, n) for n in (file_id, *members)] == [1] * 3
