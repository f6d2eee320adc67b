"""What writers leave that are killed in the middle is removed after a time; nothing else is."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from project_driver import ProjectDriver, content

from sensorflow.adapters.local.no_overwrite import add_file
from sensorflow.adapters.objects.local import LocalObjects
from sensorflow.engine import periodic
from sensorflow.flow.quarantine_zone import FILES, QuarantineZone

KILLED = """
import io, os, signal, sys
from pathlib import Path
import pyarrow as pa
from sensorflow.adapters.local.no_overwrite import add_file
from datetime import UTC, datetime
from sensorflow.adapters.layers.local import LocalLayers
from sensorflow.adapters.objects.local import LocalObjects
from sensorflow.core.partitions import Layer, LayerFile
from sensorflow.flow.landing import Landing
from sensorflow.flow.quarantine_zone import QuarantineZone

data = Path(sys.argv[2])

class Deadly(io.BytesIO):
    def read(self, size=-1):
        block = super().read(1)
        if not block:
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return block

def landing():
    Landing(LocalObjects(data / "landing")).put(Deadly(b"half"))

def quarantine():
    zone = QuarantineZone(LocalObjects(data / "quarantine"))
    zone.put("plant/9-v1-1", b"a.csv", Deadly(b"half"), {})

def lake():
    schema = pa.schema([("ts", pa.int64())])
    file = LayerFile("plant", "x", datetime(2026, 1, 1, tzinfo=UTC), 9, 1)
    with LocalLayers(data).writer(Layer.SILVER, file, schema):
        Deadly().read()

def archive():
    class Unlinkable(Deadly):
        def fileno(self):
            return lost.fileno()
    (data / "archive" / "plant").mkdir(parents=True, exist_ok=True)
    lost = open(data / "lost", "w+b")
    os.unlink(lost.name)  # no link to it can be made: it is copied
    add_file(Unlinkable(b"half"), data / "archive" / "plant", b"a.csv")

globals()[sys.argv[1]]()
"""


@pytest.fixture
def driver(project: Path, database: str) -> Iterator[ProjectDriver]:
    project_driver = ProjectDriver(project, database)
    project_driver.load("a.csv", content(1))
    project_driver.quarantine()
    yield project_driver
    project_driver.close()


def everything(data: Path) -> set[Path]:
    return {path for path in data.rglob("*") if path.is_file()}


@pytest.mark.parametrize("writer", ["landing", "quarantine", "lake", "archive"])
def test_what_a_killed_writer_left_goes_after_an_hour(driver: ProjectDriver, writer: str) -> None:
    before = everything(driver.data)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, writer, str(driver.data)], check=False, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    left = everything(driver.data) - before
    assert [path.name.startswith(".writing-") for path in left] == [True]
    assert periodic.collect_garbage(driver.settings, driver.ledger) == 0  # its writer may be at it
    old = time.time() - 3700
    for path in everything(driver.data):
        os.utime(path, (old, old))
    assert periodic.collect_garbage(driver.settings, driver.ledger) == 1
    assert everything(driver.data) == before
    assert driver.audit("--deep").code == 0


def test_nothing_outside_is_followed(driver: ProjectDriver, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    outside_file = outside / ".writing-abcdefgh"
    outside_file.write_bytes(b"")
    os.utime(outside_file, (0, 0))
    (driver.data / "quarantine" / "link").symlink_to(outside)
    periodic.collect_garbage(driver.settings, driver.ledger)
    assert outside_file.exists()


NAME = b".writing-abcdefgh"
"""A sender's, as a writer's are."""


def test_a_file_whose_sender_named_it_like_a_half_written_one_stays(driver: ProjectDriver) -> None:
    archive, quarantine = driver.data / "archive" / "plant", driver.data / "quarantine"
    archive.mkdir(parents=True)
    with (driver.project / "sent").open("w+b") as sent:
        add_file(sent, archive, NAME)
    (archive / ".writing-notes.csv").write_bytes(b"x")
    zone = QuarantineZone(LocalObjects(quarantine, FILES))
    zone.put("file/9-v1-1", NAME, io.BytesIO(b"x"), {})
    (quarantine / "file" / "9-v1-1" / ".writing-00000000").write_bytes(b"x")
    for path in everything(driver.data):
        os.utime(path, (0, 0))
    assert zone.list_unfinished(3600) == ["file/9-v1-1/.writing-00000000"]
    assert periodic.collect_garbage(driver.settings, driver.ledger) == 1
    assert sorted(os.listdir(archive)) == [".writing-notes.csv", "_.writing-abcdefgh"]
    assert zone.size("file/9-v1-1") == 1


def test_garbage_is_looked_for_once_a_day(driver: ProjectDriver) -> None:
    left = driver.data / "landing" / ".writing-abcdefgh"
    for old, found in ((0.0, 1), (3600.0, 0), (25 * 3600.0, 1)):
        left.write_bytes(b"x")
        os.utime(left, (0, 0))
        if old:
            then = time.time() - old
            os.utime(driver.data / periodic.COLLECTED, (then, then))
        assert periodic.collect_garbage_daily(driver.settings, driver.ledger) == found
    assert driver.audit("--deep").code == 0


def test_where_there_are_no_links_a_copy_has_its_name_at_once_and_takes_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refused)
    (tmp_path / "archive").mkdir()
    for text in (b"one", b"two"):
        with (tmp_path / "sent").open("w+b") as sent:
            sent.write(text)
            add_file(sent, tmp_path / "archive", b"a.csv")
    contents = {path.name: path.read_bytes() for path in (tmp_path / "archive").iterdir()}
    assert contents == {"a.csv": b"one", "a~2.csv": b"two"}
