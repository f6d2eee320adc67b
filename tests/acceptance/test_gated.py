"""Files whose senders say when they are complete, through a daemon, workers and commands."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from pathlib import Path
from typing import Any

import warm
from fleet import Fleet, Manifest, fleet, rows, text
from patience import PATIENCE

from sensorflow.core.heartbeat import Role
from sensorflow.core.states import State
from sensorflow.testing.project import settings_text


def settings(**flags: str) -> str:
    """flags: further keys of that source."""
    sources = {
        "sums": {"path": "drop", "gate": "{name}.sha256"},
        "sets": {"polling": True, "gate": {"manifest": "*.manifest.json"}},
        "flags": {"overdue_after": "1s", "gate": "ready/{stem}.done", **flags},
    }
    quick = {name: {"stability_window": 0.2, **table} for name, table in sources.items()}
    return settings_text(quick, rescan=2, reconcile=2, lease=3)


class Senders:
    """What was sent to a fleet, and what is to come of it."""

    def __init__(self, f: Fleet) -> None:
        self.f = f
        self.expected: set[tuple[str, str, float]] = set()
        self.readings: dict[str, list[tuple[str, str, float]]] = {}
        for name in ("sets", "flags", "flags/ready"):
            (f.project / name).mkdir()

    def file(self, source: str, name: str) -> bytes:
        number = len(self.readings)
        self.readings[name] = rows(number, 5, random.Random(number))
        content = text(self.readings[name])
        return self.put(source, name, gzip.compress(content) if name.endswith(".gz") else content)

    def put(self, source: str, name: str, content: bytes) -> bytes:
        self.f.put(name, content, self.f.project / source)
        return content

    def loaded(self, *names: str) -> None:
        """Wait until these are loaded, and nothing else but what was before."""
        for name in names:
            self.expected |= set(self.readings[name])
        self.f.wait(lambda: Manifest().of_database(self.f.database) == self.expected)

    def states(self, *names: str) -> list[list[State]]:
        return [[view.state for view in self.f.ledger.named(name)] for name in names]


def status(f: Fleet, *options: str) -> Any:
    done = warm.run(["sensorflow", "status", "--json", *options], f.env, f.project)
    return done.returncode, json.loads(done.stdout)


def stdout_of(f: Fleet, *words: str) -> str:
    return warm.run(["sensorflow", *words], f.env, f.project).stdout.decode()


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def intake(f: Fleet) -> dict[str, Any]:
    """What the daemon says of its gates."""
    beats = [b for b in f.ledger.heartbeats() if b.report.role is Role.INTAKE]
    newest = max(beats, key=lambda b: b.beat_at, default=None)
    return dict(newest.report.state.get("gates", {})) if newest else {}


def test_files_are_loaded_when_their_senders_say_so(
    project: Path, database: str, valkey_url: str
) -> None:
    with fleet(project, database, valkey_url, settings=settings(after="keep")) as f:
        sent = Senders(f)
        late = sent.file("drop", "late.csv")
        sent.file("drop", "wrong.csv")
        sent.put("drop", "wrong.csv.sha256", f"{sha(b'other')}  wrong.csv\n".encode())
        right = sent.file("drop", "right.csv")
        sent.put("drop", "right.csv.sha256", f"SHA256 (right.csv) = {sha(right)}\n".encode())
        sent.file("flags", "flag.csv.gz")
        parts = [sent.file("sets", f"{name}.csv") for name in "ab"]
        f.start("daemon", "worker", "beat")
        sent.loaded("right.csv")
        f.wait(lambda: sent.states("wrong.csv") == [[State.QUARANTINED]])
        assert "F223 gate-mismatch" in stdout_of(f, "quarantine", "ls")
        assert not (f.drop / "right.csv.sha256").exists()

        f.kill("daemon")
        f.start("daemon")
        f.wait(lambda: intake(f).get("flags", {}).get("overdue") == 1)
        listed = stdout_of(f, "files", "ls", "--source", "sums")
        assert "late.csv of sums waits for its gate late.csv.sha256, for" in listed
        code, seen = status(f, "--check")
        assert code == 1
        [overdue] = [one for one in seen["gates"] if one["overdue"]]
        assert (overdue["name"], overdue["kind"]) == ("flag.csv.gz", "file")
        assert "OVERDUE: 1 file waiting for a gate: flag.csv.gz" in stdout_of(f, "doctor")
        assert sent.states("late.csv", "flag.csv.gz", "a.csv", "b.csv") == [[]] * 4
        sent.put("drop", "late.csv.sha256", b"")
        sent.put("drop", "late.csv.sha256", sha(late).encode())
        sent.loaded("late.csv")

        sent.put("flags", "ready/flag.done", b"")
        sent.loaded("flag.csv.gz")
        assert (f.project / "flags" / "ready" / "flag.done").exists()
        sent.file("flags", "flag.csv.gz")  # the gate that is there was that of another version
        f.wait(lambda: intake(f)["flags"]["waiting"] == 1)
        sent.put("flags", "ready/flag.done", b"")
        sent.loaded("flag.csv.gz")

        third = text(rows(99, 5, random.Random(99)))
        named = [
            {"name": f"{name}.csv", "sha256": sha(content), "size": len(content), "rows": count}
            for name, content, count in zip("abc", [*parts, third], (5, 6, 5), strict=True)
        ]
        sent.put("sets", "day.manifest.json", json.dumps({"files": named}).encode())
        f.wait(lambda: "waits for c.csv, of day.manifest.json" in stdout_of(f, "files", "ls"))
        sent.put("sets", "c.csv", third[:90])  # a transfer that stopped
        f.wait(lambda: "has 90 of the" in stdout_of(f, "files", "ls"))
        assert sent.states("a.csv", "b.csv", "c.csv") == [[]] * 3
        sent.put("sets", "c.csv", third)
        ended = [[State.LOADED], [State.QUARANTINED], [State.LOADED]]
        f.wait(lambda: sent.states("a.csv", "b.csv", "c.csv") == ended)
        [view] = f.ledger.named("b.csv")
        assert "has 5 rows, but day.manifest.json announces 6" in view.error_detail
        f.wait(lambda: not any((f.project / "sets").iterdir()))
        assert status(f)[1]["gates"] == []


def test_a_killed_daemon_leaves_no_gate_that_opens_for_the_next_version(
    project: Path, database: str, valkey_url: str
) -> None:
    with fleet(project, database, valkey_url, settings=settings()) as f:
        sent = Senders(f)
        flags, ready = project / "flags", project / "flags" / "ready"
        for point in ("daemon.registered", "daemon.put-away"):
            sent.file("flags", "a.csv")
            sent.put("flags", "ready/a.done", b"")
            f.start("daemon", crash=point)
            f.running.pop("daemon").wait(PATIENCE)
            f.start("daemon")
            f.wait(lambda: not (flags / "a.csv").exists() and not (ready / "a.done").exists())
            f.kill("daemon")
        # as a daemon leaves it that is killed while it puts a gate away
        (ready / ".sensorflow-1").mkdir()
        (ready / ".sensorflow-1" / "a.done").touch()
        sent.file("flags", "a.csv")
        f.start("daemon")
        f.wait(lambda: intake(f).get("flags", {}).get("waiting") == 1)
        assert len(f.ledger.named("a.csv")) == 2
        assert not (ready / "a.done").exists()
