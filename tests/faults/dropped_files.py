"""Files with an account of their own, crash points with their traces, and what must hold at the end."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path
from typing import Any

import psycopg
from fleet import Fleet, Manifest, rows, text
from patience import PATIENCE

from sensorflow.core.states import State
from sensorflow.failpoints import TESTING, VARIABLE
from sensorflow.ports.files import HistoryEvent


class DroppedFiles:
    """Drops files into a fleet's folder and knows what is in them."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.manifest = Manifest()

    def put(self, name: str, count: int = 10) -> None:
        self._fleet.put(name, self.content(count))
        self.manifest.files += 1

    def content(self, count: int = 10) -> bytes:
        """A new file's bytes, which are to be loaded."""
        number = len(self.manifest.readings)
        readings = rows(number, count, random.Random(number))
        self.manifest.readings.update(readings)
        return text(readings)

    def corrupt(self, name: str) -> None:
        self._fleet.put(name, b"\x1f\x8b" + random.Random(name).randbytes(500))
        self.manifest.corrupt.add(name)
        self.manifest.files += 1


def assert_exact(f: Fleet, manifest: Manifest) -> None:
    """Nothing lost, nothing doubled, nothing unexpected, and every file accounted for."""
    found = manifest.of_database(f.database)
    assert found - manifest.readings == set(), "unexpected"
    assert manifest.readings - found == set(), "lost"
    files = f.ledger.files(limit=10_000)
    assert {v.state for v in files} <= {State.LOADED, State.QUARANTINED}
    assert {v.name for v in files if v.state is State.QUARANTINED} == manifest.corrupt
    assert len(files) == manifest.files
    assert all(v.counts.balanced for v in files if v.state is State.LOADED)
    with psycopg.connect(f.database) as connection:
        assert connection.execute(_DISAGREE).fetchall() == []


_DISAGREE = """
SELECT f.id, f.state, f.rows_loaded, count(r.ts)
  FROM files f LEFT JOIN raw_readings r ON r.file_id = f.id
 GROUP BY f.id HAVING count(r.ts) <> CASE f.state WHEN 'loaded' THEN f.rows_loaded ELSE 0 END
"""
"""Files whose rows the ledger and the database do not count alike."""


def armed(f: Fleet, *points: str) -> dict[str, str]:
    """Variables that have one process killed (or stopped, "stop@") at each of these points."""
    plans = [f"{point}:1:{_marker(f, point)}" for point in points]
    return {TESTING: "1", VARIABLE: ",".join(plans)}


def _marker(f: Fleet, point: str) -> Path:
    return f.project / f"crash-{point.replace('@', '-')}"


def failpoint_hits(f: Fleet, point: str) -> int:
    """The process that was killed or stopped at a point; 0 when none was yet."""
    try:
        return int(_marker(f, point).read_text() or 0)
    except FileNotFoundError:
        return 0


def wait_for_death(f: Fleet, name: str) -> None:
    """A process of the fleet kills itself at a crash point."""
    f.wait(lambda: f.running[name].poll() is not None)
    assert f.running.pop(name).returncode == -signal.SIGKILL


def wait_until_stopped(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline
        time.sleep(0.02)


def history(f: Fleet, name: str) -> list[HistoryEvent]:
    (view,) = [v for v in f.ledger.files(limit=10_000) if v.name == name]
    return f.ledger.history(view.file_id)


def history_of(f: Fleet, name: str) -> list[str]:
    """What happened to a file, in order."""
    return [event.what for event in history(f, name)]


def log_of(f: Fleet, name: str) -> list[dict[str, Any]]:
    """The structured lines of a process's log."""
    lines = (f.project / f"{name}.log").read_text(errors="replace").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def events(f: Fleet, name: str, event: str) -> list[dict[str, Any]]:
    return [line for line in log_of(f, name) if line["event"] == event]


def children(pid: int) -> list[int]:
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _parent(entry) == pid
    ]


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
