"""Disks that are full or read-only, on a file system of 64 MB in memory."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from dropped_files import DroppedFiles, assert_exact, events, history_of
from fleet import LONG_LEASE, fleet
from samples import add, claim
from servers import ServerFolder

from sensorflow.adapters.objects.local import LocalObjects
from sensorflow.adapters.postgres import migrate
from sensorflow.embedded.postgres import Postgres
from sensorflow.errors import Code, Transient


@contextmanager
def small_disk(folder: Path, megabytes: int = 64) -> Iterator[Path]:
    folder.mkdir(parents=True)
    options = f"size={megabytes}m,mode=0755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """A file that leaves nothing; remove it to make room."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as stream:
        for block in (1 << 20, 1 << 12, 1):
            with pytest.raises(OSError, match="No space left"):
                while stream.write(b"\0" * block):
                    pass
    return ballast


def remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


@pytest.fixture
def postgres_on_a_small_disk(place: ServerFolder) -> Iterator[tuple[Postgres, Path]]:
    """Its data folder has 144 MB, of which a new cluster takes most."""
    with small_disk(place.root / "small", 144) as disk:
        server = Postgres(disk, place.logs / "small")
        server.start()
        try:
            migrate.upgrade(server.url)
            yield server, disk
        finally:
            server.process.terminate(30)


def test_fault_12_a_full_database_disk_pauses_the_intake_and_blames_no_file(
    project: Path, postgres_on_a_small_disk: tuple[Postgres, Path], valkey_url: str
) -> None:
    server, disk = postgres_on_a_small_disk
    with fleet(project, server.url, valkey_url, environment=LONG_LEASE) as f:
        drops = DroppedFiles(f)
        f.start("daemon", "worker", "beat")
        drops.put("before.csv")
        f.wait(lambda: f.counts()["loaded"] == 1)
        ballast = fill(disk)
        number = 0
        while not paused(f.project, "I505"):  # the ledger's own rows may find room for a while
            assert number < 60, f.logs()
            drops.put(f"{number}.csv", 2_000)
            number += 1
            time.sleep(0.5)
        drops.put("late.csv")
        alert = next(e for e in events(f, "daemon", "intake.paused") if e["code"][:4] == "I505")
        assert "free space" in alert["do"]
        if server.process.is_alive:
            assert f.counts()["quarantined"] == 0
            assert f.counts()["loaded"] == 1
        ballast.unlink()
        if not server.process.is_alive:  # no room for its log: it ended itself
            server.start()
        f.wait(lambda: f.counts()["loaded"] == number + 2)
        assert_exact(f, drops.manifest)
        assert {v.attempts for v in f.ledger.files()} == {1}


def test_fault_12_files_given_back_for_want_of_room_keep_new_ones_out(
    project: Path, database: str, valkey_url: str
) -> None:
    """The daemon's own rows may find room where the readings do not."""
    with fleet(project, database, valkey_url) as f:
        drops = DroppedFiles(f)
        file_id = add(f.ledger)
        LocalObjects(project / "data" / "landing").put("its landed bytes", io.BytesIO(b"x"))
        full = Transient(Code.DATABASE_FULL, "no space left on device")
        f.ledger.nack(claim(f.ledger, file_id), full, delay=20, counts_as_attempt=False)
        drops.put("new.csv")
        f.start("daemon")
        f.wait(lambda: len(events(f, "daemon", "intake.paused")) >= 2)
        assert f.counts()["files"] == 1
        away = Transient(Code.BROKER, "another reason")
        with psycopg.connect(database, autocommit=True) as admin:
            admin.execute("UPDATE files SET not_before = NULL")
        f.ledger.nack(claim(f.ledger, file_id), away, delay=20, counts_as_attempt=False)
        f.wait(lambda: f.counts()["files"] == 2)


def paused(project: Path, code: str) -> bool:
    log = (project / "daemon.log").read_text()
    return any(code in line for line in log.splitlines() if "intake.paused" in line)


def test_fault_14_a_full_or_read_only_lake_keeps_files_pending_and_doubles_nothing(
    project: Path, database: str, valkey_url: str
) -> None:
    with (
        small_disk(project / "data") as disk,
        fleet(project, database, valkey_url, environment=LONG_LEASE) as f,
    ):
        drops = DroppedFiles(f)
        f.start("daemon")
        for number in range(4):
            drops.put(f"{number}.csv")
        f.wait(lambda: f.counts()["files"] == 4)
        ballast = fill(disk)
        f.start("worker")
        f.wait(lambda: all("will be tried again" in history_of(f, f"{n}.csv") for n in range(4)))
        drops.put("late.csv")
        f.wait(lambda: paused(project, "I513"))
        waiting = f.ledger.files()
        assert f.counts()["loaded"] == 0
        assert {v.error_code for v in waiting} == {"I503 storage-unavailable"}
        ballast.unlink()
        f.wait(lambda: f.counts()["loaded"] == 5)
        while True:  # refused while a file is open for writing
            with suppress(subprocess.CalledProcessError):
                remount(disk, "ro")
                break
        drops.put("read-only.csv")
        f.wait(lambda: os.strerror(errno.EROFS) in (project / "daemon.log").read_text())
        remount(disk, "rw")
        f.wait(lambda: f.counts()["loaded"] == 6)
        assert_exact(f, drops.manifest)
        assert {v.attempts for v in f.ledger.files()} == {1}
