"""Backups and restores, file by file: what changes meanwhile, what is damaged, what is interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import warm
from fleet import HEAD
from project_driver import ProjectDriver, content

from sensorflow.adapters.postgres import dump, migrate
from sensorflow.backup import folder as folders
from sensorflow.backup.make import BackupResult, make
from sensorflow.cli.backup import tools
from sensorflow.flow.garbage import collect_garbage
from sensorflow.flow.outcomes import Outcome
from sensorflow.flow.undo import undo

Progress = Callable[[str, int, int], object]
pytestmark = pytest.mark.plain("backup refuses a database with TimescaleDB")
BEGUN = ("landing", "bronze", "rejects", "silver", "quarantine")
ROW = "2026-03-01T00:00:0{}Z,s,temperature,{},degC\n"
FIXED_PROFILE = {"mended": {"extends": "long", "decimal": ","}}
KILLED = """
import os, signal, sys
from pathlib import Path
from sensorflow import bootstrap
from sensorflow.backup.make import make
from sensorflow.cli.backup import tools

def progress(what, number, total):
    if (what, number) == ("files", 3):
        os.kill(os.getpid(), signal.SIGKILL)

settings = bootstrap.settings()
url = settings.database
make(settings, url, tools(url), Path(sys.argv[1]), {"sensorflow.toml": Path("sensorflow.toml")}, progress)
"""
STOPPED = """
import os, signal, sys
from sensorflow.backup.restore import Restore
from sensorflow.cli import main

def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)

at = sys.argv.pop(1)
setattr(Restore, at, killed)
main()
"""


@pytest.fixture
def driver(project: Path, database: str) -> Iterator[ProjectDriver]:
    project_driver = opened(project, database)
    yield project_driver
    project_driver.close()


def opened(project: Path, database: str) -> ProjectDriver:
    return ProjectDriver(project, database, {"max_rejects": "60%"}, profiles=FIXED_PROFILE)


def run(
    driver: ProjectDriver,
    *words: str,
    url: str = "",
    code: int = 0,
    program: tuple[str, ...] = (),
    env: Mapping[str, str] | None = None,
) -> str:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SENSORFLOW_")}
    given = {**clean, "SENSORFLOW_DATABASE_URL": url or driver.database, **(env or {})}
    if program:
        command = [sys.executable, *program, *words]
        done = subprocess.run(
            command, cwd=driver.project, env=given, capture_output=True, check=False
        )
    else:
        done = warm.run(["sensorflow", *words], given, driver.project)
    output = (done.stdout + done.stderr).decode()
    assert done.returncode == code, output
    assert "Traceback" not in output
    return output


def readings(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, options="-c timezone=UTC") as connection:
        query = (
            "SELECT ts, sensor_id, reading_type, value, unit, file_id, line_no FROM raw_readings"
        )
        return sorted(connection.execute(query).fetchall())


def rights(url: str) -> list[tuple[object, ...]]:
    """Owners and grants of functions and tables."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT proname, proacl::text, proowner::regrole::text FROM pg_proc"
            " WHERE pronamespace = 'public'::regnamespace"
            " UNION ALL SELECT relname, relacl::text, relowner::regrole::text FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace ORDER BY 1, 2, 3"
        ).fetchall()


def fill(driver: ProjectDriver) -> dict[str, int]:
    """A file of each kind."""
    file_ids = {
        "plain": driver.load("plain.csv", content(1)),
        "undone": driver.load("u.csv", content(2)),
    }
    assert driver.arrive("again.csv", content(1)) == file_ids["plain"]
    lines = ROW.format(0, 1), ROW.format(1, '"2,5"'), ROW.format(2, 3)
    file_ids["rejects"] = driver.load("r.csv", (HEAD + "".join(lines)).encode())
    file_ids["first"] = driver.load("c.csv", content(3))
    file_ids["corrected"] = driver.load("c.csv", content(3, 12))
    file_ids["bad"] = driver.quarantine()
    file_ids["taken out"] = driver.load("t.csv", content(4))
    undo(
        driver.ledger, driver.services.lake, driver.services.landing, file_ids["taken out"], "wrong"
    )
    file_ids["late"] = driver.load("late.csv", content(5))
    file_ids["waiting"] = driver.arrive("w.csv", content(6))
    collect_garbage(driver.ledger, driver.services.lake, driver.services.landing)
    return file_ids


def backed_up(
    driver: ProjectDriver, target: Path, on_progress: Progress = lambda *_: None
) -> BackupResult:
    url = driver.database
    project = {"sensorflow.toml": driver.config}
    return make(driver.settings, url, tools(url), target, project, on_progress)


def test_what_is_replayed_corrected_and_undone_meanwhile_is_restored_as_it_was(
    driver: ProjectDriver, empty_database: str, tmp_path: Path
) -> None:
    file_ids, services = fill(driver), driver.services
    before = readings(driver.database)

    def on_progress(what: str, number: int, _total: int) -> None:
        if (what, number) != ("files", 1):
            return
        for name in ("undone", "late"):
            undo(driver.ledger, services.lake, services.landing, file_ids[name], "meanwhile")
        assert driver.ledger.replay(file_ids["rejects"], "mended")
        assert driver.work(file_ids["rejects"]) is Outcome.LOADED
        driver.load("plain.csv", content(1, 7))
        driver.load("new.csv", content(7))
        assert driver.work(file_ids["waiting"]) is Outcome.LOADED
        assert (
            collect_garbage(driver.ledger, services.lake, services.landing) == 0
        )  # the disk is held

    done = backed_up(driver, tmp_path / "b", on_progress)
    assert readings(driver.database) != before
    assert done.backup.manifest.replays == {str(file_ids["rejects"]): "mended"}
    assert collect_garbage(driver.ledger, services.lake, services.landing) > 0
    where = ("restore", str(tmp_path / "b"), "--to", str(tmp_path / "p"))
    result = run(driver, *where, url=empty_database)
    assert "every one accounted for" in result
    assert "next start: 2 files" in result
    assert readings(empty_database) == before
    assert rights(empty_database) == rights(driver.database)
    restored = opened(tmp_path / "p", empty_database)
    assert restored.work(file_ids["rejects"]) is Outcome.LOADED
    assert restored.work(file_ids["waiting"]) is Outcome.LOADED
    restored.close()
    assert "every one accounted for" in run(restored, "audit", "--checksum")
    assert len(readings(empty_database)) == len(before) + 1 + 20


def test_a_killed_backup_is_none_and_the_next_ones_copy_what_is_new(
    driver: ProjectDriver, tmp_path: Path
) -> None:
    fill(driver)
    target = tmp_path / "b"
    run(driver, str(target), program=("-c", KILLED), code=-signal.SIGKILL)
    [unfinished] = folders.garbage(target)
    result = run(driver, "restore", str(target), "--to", str(tmp_path / "p"), code=2)
    assert "interrupted" in result
    landed = next((unfinished / "data" / "landing").glob("??/*"))
    inode, name = landed.stat().st_ino, landed.relative_to(unfinished)
    first = json.loads(run(driver, "backup", str(target), "--json"))
    assert (Path(first["path"]) / name).stat().st_ino == inode  # taken over, not copied again
    assert folders.garbage(target) == []
    driver.load("new.csv", content(8))
    damage = next((Path(first["path"]) / "data" / "silver").rglob("*.parquet"))
    time.sleep(1.1)  # backups are named by their second
    second = json.loads(run(driver, "backup", str(target), "--json", "--keep", "1"))
    assert second["shared_files"] == first["files"] - 1 - len(BEGUN) - 1  # dump, notes, settings
    assert second["removed"] == [Path(first["path"]).name]
    assert not damage.exists()
    sums = ["sha256sum", "--check", "--quiet", folders.SUMS]
    assert subprocess.run(sums, cwd=second["path"], check=False).returncode == 0
    assert "intact" in run(driver, "backup", str(target), "--verify")
    inside = run(driver, "backup", str(driver.data / "b"), code=2)
    assert "is inside of the folder of" in inside


def test_a_damaged_backup_is_named_and_nothing_of_it_is_restored(
    driver: ProjectDriver, empty_database: str, tmp_path: Path
) -> None:
    fill(driver)
    path, place = backed_up(driver, tmp_path / "b").backup.path, tmp_path / "p"
    silver = next((path / "data" / "silver").rglob("*.parquet"))
    landed = next((path / "data" / "landing").glob("??/*"))
    where = ("restore", str(path), "--to", str(place))
    for victim in (silver, landed, path / folders.DUMP, path / folders.SUMS):
        original = victim.read_bytes()
        victim.write_bytes(original[:15] + bytes([original[15] ^ 1]) + original[16:])
        name = str(victim.relative_to(path))
        assert list(folders.verify(folders.read(path))) == [f"{name}: changed"]
        if victim is silver:
            result = run(driver, *where, url=empty_database, code=2)
            assert f"{name}: changed; nothing was restored" in result
            assert name in run(driver, "restore", str(path), "--check", code=1)
        victim.unlink()
        assert list(folders.verify(folders.read(path))) == [f"{name}: missing"]
        victim.write_bytes(original)
    assert not place.exists()
    assert dump.contents(empty_database) == ([], False)
    driver.landed(1).unlink()
    time.sleep(1.1)
    result = run(driver, "backup", str(tmp_path / "other"), code=1)
    assert "missing: landing/" in result


def test_a_restore_overwrites_nothing_and_goes_on_after_a_kill(
    driver: ProjectDriver, empty_database: str, tmp_path: Path
) -> None:
    fill(driver)
    before, place = readings(driver.database), tmp_path / "p"
    migrate.downgrade(driver.database, "0010")  # as an older version made it
    backup = backed_up(driver, tmp_path / "b").backup
    where = ("restore", str(tmp_path / "b"), "--to", str(place))
    assert "is not empty" in run(driver, *where, code=2)
    assert "contains data (landing/" in run(driver, "restore", str(tmp_path / "b"), code=2)
    assert folders.read(backup.path) == backup
    for step in ("fill", "place"):
        program = ("-c", STOPPED, step)
        run(driver, *where, url=empty_database, program=program, code=-signal.SIGKILL)
        env = {"SENSORFLOW_CONFIG": str(place / "sensorflow.toml")}
        if step == "place":
            result = run(driver, "status", code=2, env=env)
            assert "is not finished" in result
    assert "every one accounted for" in run(driver, *where, url=empty_database)
    assert migrate.current(empty_database) == migrate.head()
    assert readings(empty_database) == before
    assert "contains data" in run(driver, *where, url=empty_database, code=2)
    folders.write_manifest(backup.path, replace(backup.manifest, revision="9999"))
    other = ("restore", str(tmp_path / "b"), "--to", str(tmp_path / "q"))
    assert "upgrade sensorflow" in run(driver, *other, url=empty_database, code=2)


def resealed(path: Path, line: bytes) -> None:
    """With one more line in its list of files, as somebody who may write there could make it."""
    with (path / folders.SUMS).open("ab") as sums:
        sums.write(line)
    manifest = folders.read(path).manifest
    folders.write_manifest(path, replace(manifest, sums=folders.digest_of(path / folders.SUMS)))


def test_a_backup_that_leads_out_of_its_folder_is_refused(
    driver: ProjectDriver, empty_database: str, tmp_path: Path
) -> None:
    fill(driver)
    path = backed_up(driver, tmp_path / "b").backup.path
    originals = {name: (path / name).read_bytes() for name in (folders.SUMS, folders.MANIFEST)}
    outside, where = tmp_path / "theirs", ("restore", str(path), "--to", str(tmp_path / "p"))
    outside.write_text("theirs")
    for name in ("data/landing/../../../theirs", "/etc/passwd", "data//x"):
        resealed(path, folders.sum_line("0" * 64, name))
        assert "has a path outside of the backup" in run(driver, *where, url=empty_database, code=2)
        for each, content_ in originals.items():
            (path / each).write_bytes(content_)
    victim = next((path / "data" / "landing").glob("??/*"))
    victim.unlink()
    victim.symlink_to(outside)
    assert "symbolic link" in run(driver, *where, url=empty_database, code=2)
    assert outside.read_text() == "theirs"
    assert not (tmp_path / "p").exists()


def test_a_damaged_backup_is_not_passed_on_to_the_next(
    driver: ProjectDriver, tmp_path: Path
) -> None:
    fill(driver)
    path = backed_up(driver, tmp_path / "b").backup.path
    victim = next((path / "data" / "landing").glob("??/*"))
    relative, stat = victim.relative_to(path), victim.stat()
    victim.write_bytes(bytes(stat.st_size))
    os.utime(victim, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as a disk that forgets
    assert f"damaged: {victim}" in run(driver, "backup", str(tmp_path / "b"), "--verify", code=1)
    time.sleep(1.1)
    second = backed_up(driver, tmp_path / "b")
    assert list(folders.verify(second.backup)) == []
    assert (second.backup.path / relative).stat().st_ino != stat.st_ino
    assert second.totals.shared > 0
    (second.backup.path / folders.SUMS).write_text("nonsense\n")
    theirs = tmp_path / "b" / "2099-01-01T00-00-00Z" / "file"  # called like a backup
    theirs.parent.mkdir()
    theirs.write_text("theirs")
    time.sleep(1.1)
    third = backed_up(driver, tmp_path / "b")
    assert third.notes == [
        f"{second.backup.path} is damaged; the new backup has no hard links to it"
    ]
    assert list(folders.verify(third.backup)) == []
    folders.prune(tmp_path / "b", 1)
    assert folders.backups(tmp_path / "b") == [third.backup.path]
    assert theirs.read_text() == "theirs"


def test_profile_files_are_in_it_or_named(
    driver: ProjectDriver,
    empty_database: str,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    own = driver.config.parent / "own.toml"
    theirs = tmp_path_factory.mktemp("theirs") / "theirs.toml"
    for file in (own, theirs):
        file.write_text('format = "csv"\ntime = "t"\nsensor = "s"\ntype = "k"\nvalue = "v"\n')
    fill(driver)
    with driver.config.open("a") as settings:
        settings.write('[profiles.mine]\nextends = "own.toml"\n')
        settings.write(f'[profiles.other]\nextends = "{theirs}"\n')
    report = json.loads(run(driver, "backup", str(tmp_path / "b"), "--json"))
    assert [note.partition(" ")[0] for note in report["notes"]] == [str(theirs)]
    own.unlink()
    where = ("restore", str(tmp_path / "b"), "--to", str(tmp_path / "p"))
    assert "every one accounted for" in run(driver, *where, url=empty_database)
    assert (tmp_path / "p" / "own.toml").is_file()
