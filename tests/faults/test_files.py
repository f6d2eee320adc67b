"""Files that change, repeat, lie and hide. One daemon and worker stand for most of them."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import os
import random
import signal
import socket
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from dropped_files import DroppedFiles, armed, events, failpoint_hits, wait_until_stopped
from fleet import Fleet, fleet, rows, text

from sensorflow.core.arrival import printable
from sensorflow.core.states import State
from sensorflow.ports.files import FileView

NAMES = [
    b"a b.csv",
    b"x';DROP TABLE files;--.csv",
    "ü.csv".encode(),
    b"new\nline.csv",
    b"not-utf8-\xff\xfe.csv",
    b"not-utf8-\xfe\xff.csv",
    b"=cmd|' calc'!A0.csv",
    b"$(touch hacked).csv",
    b"a..%2f..%2fetc.csv",
    b"-rf.csv",
    b"n" * 251 + b".csv",
]


class SharedFleet:
    """A running fleet whose tests each have file names of their own."""

    def __init__(self, f: Fleet) -> None:
        self.fleet = f
        self.drops = DroppedFiles(f)

    def views(self, name: str) -> list[FileView]:
        """The versions of a file, oldest first."""
        files = self.fleet.ledger.files(limit=10_000)
        return sorted((v for v in files if v.name == name), key=lambda v: v.version)

    def wait_for(self, name: str, *states: State) -> list[FileView]:
        """Until the versions of a file are in these states."""
        self.fleet.wait(lambda: [v.state for v in self.views(name)] == list(states))
        return self.views(name)

    def rows_of(self, *views: FileView) -> int:
        query = "SELECT count(*) FROM raw_readings WHERE file_id = ANY(%s)"
        with psycopg.connect(self.fleet.database) as connection:
            found = connection.execute(query, ([v.file_id for v in views],)).fetchone()
        assert found is not None
        return int(found[0])

    def landed(self, content: bytes) -> bytes:
        digest = hashlib.sha256(content).hexdigest()
        return (self.fleet.project / "data" / "landing" / digest[:2] / digest).read_bytes()

    def archived(self, pattern: str) -> list[bytes]:
        found = (self.fleet.project / "data" / "archive").rglob(pattern)
        return [path.read_bytes() for path in sorted(found)]


@pytest.fixture(scope="module")
def line(
    lasting_project: Path, lasting_database: str, lasting_broker: str
) -> Iterator[SharedFleet]:
    with fleet(lasting_project, lasting_database, lasting_broker) as f:
        f.start("daemon", "worker")
        yield SharedFleet(f)


# --- content that changes ---


def test_fault_18_a_file_rewritten_while_it_is_read_is_taken_as_it_is_at_last(
    project: Path, database: str, valkey_url: str
) -> None:
    """Cut to a prefix and written anew, between the copy and the look whether it changed."""
    with fleet(project, database, valkey_url) as f:
        drops = DroppedFiles(f)
        old, new = drops.content(50), drops.content(60)
        f.put("a.csv", old)
        daemon = stopped_while_reading(f)
        with (f.drop / "a.csv").open("r+b") as stream:
            stream.truncate(len(old) // 2)
            os.kill(daemon, signal.SIGCONT)
            f.put("b.csv", drops.content(5))
            f.wait(lambda: f.counts()["files"] == 1)  # b: the daemon is past a
            stream.truncate(0)
            stream.write(new)
        f.wait(lambda: f.counts()["files"] == 2)
        seen = {v.name: v.sha256 for v in f.ledger.files()}
        assert bytes(seen["a.csv"]) == hashlib.sha256(new).digest()


def test_fault_18_a_file_deleted_while_it_is_read_is_told(
    project: Path, database: str, valkey_url: str
) -> None:
    with fleet(project, database, valkey_url) as f:
        f.put("a.csv", DroppedFiles(f).content(50))
        daemon = stopped_while_reading(f)
        (f.drop / "a.csv").unlink()
        os.kill(daemon, signal.SIGCONT)
        f.wait(lambda: events(f, "daemon", "file.vanished") != [])
        assert [e["file"] for e in events(f, "daemon", "file.vanished")] == ["a.csv"]
        assert f.counts()["files"] == 0


def test_fault_52_silver_written_by_a_worker_that_lost_its_file_is_removed(
    project: Path, database: str, valkey_url: str
) -> None:
    """A correction is renamed over a file that is being loaded."""
    point = "stop@load.copying"
    env = {"SENSORFLOW_LEASE": "60"}
    rule = {"on_change": "supersede"}
    with fleet(project, database, valkey_url, environment=env, source=rule) as f:
        drops = DroppedFiles(f)
        f.put("a.csv", text(rows(99, 500, random.Random(99))))
        f.start("daemon", "beat")
        f.start("worker", env=armed(f, point))
        f.wait(lambda: failpoint_hits(f, point) > 0)
        wait_until_stopped(failpoint_hits(f, point))
        drops.put("a.csv", 20)
        f.wait(lambda: f.counts()["superseded"] == 1)
        os.kill(failpoint_hits(f, point), signal.SIGCONT)
        f.wait(lambda: f.counts()["loaded"] == 1 and "lease.lost" in f.logs())
        (newer,) = f.ledger.files(State.LOADED)
        name = f"file-{newer.file_id}-v2.parquet"
        f.wait(lambda: [p.name for p in (project / "data/silver").rglob("*.parquet")] == [name])
        assert drops.manifest.of_database(f.database) == drops.manifest.readings


def stopped_while_reading(f: Fleet) -> int:
    """Start a daemon that stops when it has read its first file; returns its process."""
    point = "stop@land.copied"
    f.start("daemon", env=armed(f, point))
    f.wait(lambda: failpoint_hits(f, point) > 0)
    wait_until_stopped(failpoint_hits(f, point))
    return failpoint_hits(f, point)


def test_fault_19_a_file_is_not_taken_before_it_is_whole(line: SharedFleet) -> None:
    content = line.drops.content(200)
    with (line.fleet.drop / "slow.csv").open("wb") as stream:
        (line.fleet.drop / "copy.csv.part").write_bytes(content[:500])
        stream.write(content[:1000])
        stream.flush()
        # settled by its size and time, seen by several rescans, and yet open
        line.drops.put("meanwhile.csv")
        line.wait_for("meanwhile.csv", State.LOADED)
        time.sleep(4)
        assert line.views("slow.csv") == []
        stream.write(content[1000:])
    (slow,) = line.wait_for("slow.csv", State.LOADED)
    assert (slow.version, slow.counts.loaded) == (1, 200)
    assert line.views("copy.csv.part") == []
    full_content = line.drops.content(7)
    (line.fleet.drop / "copy.csv.part").write_bytes(full_content)
    os.rename(line.fleet.drop / "copy.csv.part", line.fleet.drop / "copy.csv")
    (copy,) = line.wait_for("copy.csv", State.LOADED)
    assert (copy.version, copy.counts.loaded) == (1, 7)
    line.drops.manifest.files += 2


def renamed_over(path: Path, content: bytes) -> None:
    path.with_suffix(".part").write_bytes(content)
    os.rename(path.with_suffix(".part"), path)


def rewritten(path: Path, content: bytes) -> None:
    path.write_bytes(content)


@pytest.mark.parametrize("write", [renamed_over, rewritten])
def test_fault_20_new_content_replaces_what_it_states_again_and_deletes_nothing(
    line: SharedFleet, write: Callable[[Path, bytes], None]
) -> None:
    name, readings = f"{write.__name__}.csv", line.drops.manifest.readings
    before = set(readings)
    old = line.drops.content(12)
    mine = sorted(readings - before)
    write(line.fleet.drop / name, old)
    line.wait_for(name, State.LOADED)
    again = [(t, s, v + 100) for t, s, v in mine[:5]]
    readings.difference_update(mine[:5])
    readings.update(again)
    content = text(again)
    write(line.fleet.drop / name, content)
    first, second = line.wait_for(name, State.LOADED, State.LOADED)
    assert (line.rows_of(first), line.rows_of(second)) == (7, 5)
    assert second.supersedes == first.file_id
    assert (line.landed(old), line.landed(content)) == (old, content)
    # and nothing is overwritten in the archive either: fault 22
    assert sorted(line.archived(f"{write.__name__}*")) == sorted([old, content])


def test_fault_21_the_same_content_under_two_names_and_twice_is_loaded_once(
    line: SharedFleet,
) -> None:
    content = line.drops.content(11)
    line.fleet.put("twin.csv", content)
    (duplicate,) = line.wait_for("twin.csv", State.LOADED)
    line.fleet.put("other-twin.csv", content)
    line.fleet.put("twin.csv", content)
    line.fleet.wait(lambda: len(line.fleet.ledger.arrivals(duplicate.file_id)) == 3)
    arrivals = line.fleet.ledger.arrivals(duplicate.file_id)
    assert [a.kind for a in arrivals] == ["new", "alias", "alias"]
    assert {a.name for a in arrivals} == {"twin.csv", "other-twin.csv"}
    assert line.views("other-twin.csv") == []
    assert line.rows_of(duplicate) == 11


def test_fault_25_times_of_files_in_the_future_and_the_past_do_no_harm(line: SharedFleet) -> None:
    for name, when in (("future.csv", 4_102_444_800), ("past.csv", 1)):
        path = line.fleet.drop / f"{name}.part"
        path.write_bytes(line.drops.content(4))
        os.utime(path, (when, when))
        os.rename(path, line.fleet.drop / name)
        line.wait_for(name, State.LOADED)


# --- files that would take all ---


def test_fault_28_bombs_and_nested_archives_are_stopped_and_say_so(line: SharedFleet) -> None:
    row = b"2026-02-01T00:00:00Z,s,temperature,1,degC\n"
    plain = b"time,sensor,type,value,unit\n" + row * (80_000_000 // len(row))
    bomb = lzma.compress(plain, preset=0)
    line.fleet.put("bomb.csv.xz", bomb)
    line.fleet.put("twice.csv.gz", gzip.compress(bomb))
    line.fleet.put("nested.zip", zipped("inner.zip", zipped("a.csv", b"a,b\n1,2\n")))
    for name, code in (("bomb.csv.xz", "F210"), ("twice.csv.gz", "F216"), ("nested.zip", "F216")):
        (view,) = line.wait_for(name, State.QUARANTINED)
        assert view.error_code.startswith(code)
        assert line.rows_of(view) == 0


def zipped(name: str, content: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return sink.getvalue()


# --- names, and things that are no files ---


def test_fault_31_what_is_no_file_is_left_alone_and_blocks_nothing(line: SharedFleet) -> None:
    drop, outside = line.fleet.drop, line.fleet.project / "outside.csv"
    outside.write_bytes(DroppedFiles(line.fleet).content(5))
    os.mkfifo(drop / "fifo.csv")
    os.mknod(drop / "device.csv", 0o600 | 0o020000, os.makedev(1, 3))  # /dev/null
    (drop / "passwd.csv").symlink_to("/etc/passwd")
    (drop / "outside.csv").symlink_to(outside)
    (drop / "d.csv").mkdir()
    (drop / "elsewhere").symlink_to("/etc")
    with socket.socket(socket.AF_UNIX) as server:
        cwd = os.getcwd()
        os.chdir(drop)  # the path of a socket is short
        server.bind("s.csv")
        os.chdir(cwd)
    line.drops.put("d.csv/inner.csv")
    line.wait_for("d.csv/inner.csv", State.LOADED)
    # a second name of the file is no way around either: it is put away under its own
    linked = line.fleet.project / "linked.csv"
    linked.write_bytes(line.drops.content(6))
    os.link(linked, drop / "hard.csv")
    line.wait_for("hard.csv", State.LOADED)
    assert linked.exists()
    seen = {v.name for v in line.fleet.ledger.files(limit=10_000)}
    nothing = {"fifo.csv", "device.csv", "passwd.csv", "outside.csv", "d.csv", "s.csv"}
    assert seen & nothing == set()
    assert not any(name.startswith("elsewhere/") for name in seen)
    assert (drop / "passwd.csv").is_symlink()
    assert outside.exists()


def test_fault_32_odd_names_are_kept_byte_for_byte(line: SharedFleet) -> None:
    folder = os.path.join(os.fsencode(line.fleet.drop), b"odd")
    os.mkdir(folder)
    for name in NAMES:
        Path(os.fsdecode(os.path.join(folder, name))).write_bytes(line.drops.content(5))
    expected = {b"odd/" + name for name in NAMES}
    query = "SELECT key FROM files WHERE state = 'loaded' AND starts_with(key_text, 'odd/')"
    with psycopg.connect(line.fleet.database, autocommit=True) as connection:
        line.fleet.wait(
            lambda: {bytes(k) for (k,) in connection.execute(query).fetchall()} == expected
        )
    archived = line.fleet.project / "data" / "archive"
    archived_names = {os.fsencode(p.name) for p in archived.rglob("odd/*") if p.is_file()}
    assert archived_names == set(NAMES)
    shown = {v.name for v in line.fleet.ledger.files(limit=10_000)}
    assert {printable(key) for key in expected} <= shown
    assert list(line.fleet.project.rglob("hacked*")) == []


def test_faults_18_to_32_together_leave_the_rows_that_belong_there(line: SharedFleet) -> None:
    """The last of this file: what the others did is in the database once, and no more."""
    expected = line.drops.manifest
    assert expected.of_database(line.fleet.database) == expected.readings
