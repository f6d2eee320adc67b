"""Broker and stores of packages beside sensorflow: the whole product on them, with kills on the way."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psycopg
import warm
from fleet import Fleet, Manifest, fleet, generate, ports_in_a_row, rows, text
from installed import install
from patience import PATIENCE

from sensorflow.core.heartbeat import Role

STORES = {"landing": "shelf:landing.sqlite", "quarantine": "shelf:quarantine.sqlite"}
FILES = 60


def plugged(project: Path, database: str, **options: Any) -> Any:
    site = project / "site"
    for package in ("sensorflow-line", "sensorflow-shelf"):
        install(package, site)
    path = {"PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{site}"}
    return fleet(project, database, "line:line.sqlite", environment=path, **options)


def command(f: Fleet, *words: str) -> tuple[int, str]:
    done = warm.run(["sensorflow", *words], f.env, f.project)
    return done.returncode, (done.stdout + done.stderr).decode()


def test_files_go_through_a_broker_and_stores_of_packages_exactly_once(
    project: Path, database: str
) -> None:
    with plugged(project, database, inline_below=4000, storage=STORES) as f:
        f.start("daemon", "loop")
        manifest, large = Manifest(), rows(1000, 200, random.Random(1))
        for manifest, drops in generate(FILES, 20, seed=5):
            for name, content in drops:
                f.put(name, content)
            if manifest.files == FILES // 3:
                f.wait(lambda: f.counts()["loaded"] > 3)  # the others are in hand, or wait
                kill_child(f)
            if manifest.files == FILES * 2 // 3:
                f.kill("loop")  # and its children with it
                f.start("loop-again")
        f.put("large.csv", text(large))
        manifest.readings.update(large)
        f.wait(lambda: f.counts()["files"] == FILES + 1 and f.finished() == FILES + 1)
        assert manifest.of_database(database) == manifest.readings
        assert f.counts()["quarantined"] == len(manifest.corrupt)
        history = [e.stage for e in f.ledger.history(of(f, "large.csv")) if e.what == "published"]
        assert history[:3] == ["validate", "transform", "load"]  # by the outbox, stage by stage
        code, output = command(f, "audit", "--checksum", "--json")
        assert code == 0, output
        assert not (project / "data" / "landing").exists()
        assert not (project / "data" / "quarantine").exists()
        assert objects(project / "landing.sqlite") >= FILES - 10
        assert objects(project / "quarantine.sqlite") == 2 * len(manifest.corrupt)

        health = {c["what"]: c for c in json.loads(command(f, "doctor", "--json")[1])}
        assert health["broker"]["found"] == "line of line.sqlite, 0 messages waiting"
        assert health["workers"]["verdict"] == "ok"
        assert health["landing"] == {
            "what": "landing",
            "verdict": "ok",
            "found": "shelf:landing.sqlite; `sensorflow storage check` also writes",
            "todo": "",
        }
        assert "beat" not in health
        assert command(f, "doctor", "--only", "beat")[0] == 0
        assert command(f, "quarantine", "show", min(manifest.corrupt))[0] == 0
        code, output = command(f, "backup", "elsewhere")
        assert code == 0, output
        landed = [p for p in (project / "elsewhere").glob("*/data/landing/*/*") if p.is_file()]
        assert len(landed) >= FILES - 10

        with psycopg.connect(database) as connection:
            begun = {row[0] for row in connection.execute("SELECT name FROM leases")}
        assert {"sweep begun", "tidy begun", "retain begun"} <= begun  # without beat


TROUBLE = {
    "max_attempts": 1,
    "max_memory": "1 GiB",
    "lease": 30,  # so long that the file is still its child's when that is ended
    "storage": STORES,
    "sources": {"stuck": {"profile": "stuck"}, "greedy": {"profile": "greedy"}},
    "profiles": {"stuck": {"format": "stuck", "max_seconds": 1}, "greedy": {"format": "greedy"}},
}
DECODERS = """
import re

def stuck(stream, profile, resolve):
    re.search("(a|aa)+$", "a" * 80 + "!")
    yield

def greedy(stream, profile, resolve):
    bytearray(3 << 30)
    yield
"""


def test_a_child_that_is_stuck_is_ended_and_none_takes_more_memory_than_it_may(
    project: Path, database: str
) -> None:
    about = project / "site" / "trouble-1.0.dist-info"
    about.mkdir(parents=True)
    (project / "site" / "trouble.py").write_text(DECODERS)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: trouble\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[sensorflow.decoders]\nstuck = trouble:stuck\ngreedy = trouble:greedy\n"
    )
    own = ports_in_a_row(2)
    with plugged(project, database, **TROUBLE, metrics_port=own) as f:
        for source in ("stuck", "greedy"):
            (project / source).mkdir()
            (project / source / "a.csv").write_bytes(b"anything")
        f.start("daemon", "loop")
        f.wait(lambda: sum(totals.quarantined for totals in f.ledger.totals().values()) == 2)
        codes = {view.source: view.error_code for view in f.ledger.files()}
        assert codes == {"stuck": "F215 too-slow", "greedy": "F217 out-of-memory"}
        f.put("after.csv", text(rows(1, 20, random.Random(1))))
        f.wait(lambda: f.counts()["loaded"] == 1)
        metrics = urlopen(f"http://127.0.0.1:{own + 1}/metrics").read().decode()
        assert 'log_events_total{event="file.quarantined",level="warning"} 2.0\n' in metrics
        done, printed = command(f, "metrics", "--once")
        assert done == 0
        assert 'sensorflow_broker_messages{queue="all"} 0.0\n' in printed
        f.running["loop"].send_signal(signal.SIGTERM)
        assert f.running.pop("loop").wait(PATIENCE) == 0
        assert [b for b in f.ledger.heartbeats() if b.report.role is Role.WORKER] == []


def kill_child(f: Fleet) -> None:
    """Another one is there in its place."""
    killed, *_ = f.children("loop")
    os.kill(killed, signal.SIGKILL)
    f.wait(lambda: killed not in (pids := f.children("loop")) and len(pids) == 2)
    assert '"event": "work.ended"' in (f.project / "loop.log").read_text()


def of(f: Fleet, name: str) -> int:
    [view] = [view for view in f.ledger.files(limit=1000) if view.name == name]
    return view.file_id


def objects(path: Path) -> int:
    """Of a store, without those that describe the location."""
    with closing(sqlite3.connect(path)) as shelf:
        return int(
            shelf.execute(
                "SELECT count(*) FROM shelf WHERE substr(name, 1, 1) != x'2e'"
            ).fetchone()[0]
        )
