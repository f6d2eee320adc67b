"""What is said of processes that are alive and do not answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import warm
from fleet import Fleet, fleet

from sensorflow import bootstrap, settings
from sensorflow.adapters.feeds.folder import backlog
from sensorflow.adapters.postgres.audit import PostgresAuditStore
from sensorflow.cli import drops
from sensorflow.core.heartbeat import ALIVE_SECONDS, Role
from sensorflow.embedded.valkey import Valkey


@pytest.fixture
def running(project: Path, database: str, valkey: Valkey) -> Iterator[Fleet]:
    with fleet(project, database, valkey.url) as f:
        yield f


def doctor(f: Fleet) -> tuple[int, list[dict[str, Any]]]:
    done = warm.run(["sensorflow", "doctor", "--json"], f.env, f.project)
    return done.returncode, json.loads(done.stdout)


def status(f: Fleet) -> str:
    return _status(f).stdout.decode()


def _status(f: Fleet, *options: str) -> subprocess.CompletedProcess[bytes]:
    return warm.run(["sensorflow", "status", *options], f.env, f.project)


def _age(f: Fleet, seconds: float) -> None:
    with psycopg.connect(f.database) as connection:
        connection.execute(
            "UPDATE heartbeats SET beat_at = beat_at - make_interval(secs => %s)", [seconds]
        )


def live(f: Fleet) -> set[Role]:
    return {beat.report.role for beat in f.ledger.heartbeats() if beat.is_alive}


def test_who_runs_and_who_was_stopped_is_named(running: Fleet) -> None:
    f = running
    f.start("daemon", "worker", "beat")
    f.wait(lambda: live(f) == set(Role))
    f.wait(lambda: not any(b.report.paused for b in f.ledger.heartbeats()))
    f.wait(lambda: "health: ok" in status(f))
    assert _status(f, "--check").returncode == 0
    worker = next(b.report for b in f.ledger.heartbeats() if b.report.role is Role.WORKER)
    assert (worker.pid, worker.state["most"]) == (f.running["worker"].pid, 2)
    child = f.children("worker")[0]
    os.kill(child, signal.SIGSTOP)
    f.wait(lambda: "1 processes of worker" in status(f))
    os.kill(child, signal.SIGCONT)
    for process in f.running.values():
        os.kill(process.pid, signal.SIGSTOP)
    _age(f, ALIVE_SECONDS - 12)  # one that still lived would say so within ten seconds
    f.wait(lambda: not live(f))
    code, checks = doctor(f)
    failed = {check["what"] for check in checks if check["verdict"] == "fail"}
    assert (code, failed - {"source plant"}) == (1, {"daemon", "workers", "beat"})
    assert "daemon" in status(f).split("health: ")[1]
    assert [_status(f, *o).returncode for o in ((), ("--check",), ("--check", "--json"))] == [
        0,
        1,
        1,
    ]
    for process in f.running.values():
        os.kill(process.pid, signal.SIGCONT)
    f.wait(lambda: live(f) == set(Role))
    f.stop()
    f.running.clear()
    assert f.ledger.heartbeats() == []


def test_what_lies_in_a_drop_folder_and_is_not_taken_is_named(
    project: Path, database: str, valkey: Valkey
) -> None:
    with fleet(project, database, valkey.url) as f:
        for name in (
            "report.pdf",
            "data.log",
            "other.log",
            ".hidden",
            "whole.csv",
            "left.csv.part",
        ):
            (f.drop / name).write_bytes(b"x")
        long_ago = time.time() - 7200
        for name in ("left.csv.part", "whole.csv"):
            os.utime(f.drop / name, (long_ago, long_ago))
        _, checks = doctor(f)
        messages = [c["found"] for c in checks if c["what"] == "source plant"]
        assert any("2 files *.log (data.log, other.log)" in found for found in messages)
        assert any("1 file *.pdf (report.pdf)" in found for found in messages)
        assert not any(".hidden" in found for found in messages)
        none = {c["what"]: c["found"] for c in checks if c["found"] == "none is running"}
        assert set(none) == {"daemon", "workers", "beat"}


@pytest.mark.parametrize("after", ["archive", "keep"])
def test_what_waits_in_a_flood_is_no_failure_while_a_daemon_goes_on(
    project: Path, database: str, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    """A ledger that fails while it is asked about kept files costs no other finding, and doubles none."""
    monkeypatch.setattr(drops, "LATE", 0.0)
    with fleet(project, database, "redis://127.0.0.1:1/0", source={"after": after}) as f:
        for name in ("a.csv", "b.csv", "report.pdf"):
            (f.drop / name).write_bytes(b"x")
        read = settings.load(project / "sensorflow.toml", {"SENSORFLOW_DATABASE_URL": database})
        read = read.model_copy(update={"rescan": 0.0})
        time.sleep(1)  # four times as long as a file has to rest
        waiting, audit_store = bootstrap.backlogs(read, None), bootstrap.audit_store(read)
        for taken_in, verdict in ((True, "warn"), (False, "fail")):
            found = list(drops.checks(read, waiting, audit_store, taken_in))
            assert [c.verdict for c in found if "not ingested after a long time" in c.found] == [
                verdict
            ]
        gone = PostgresAuditStore("postgresql://nobody@127.0.0.1:1/none", "audit", None)
        found = list(drops.checks(read, waiting, gone, True))
        assert len([c for c in found if "report.pdf" in c.found]) == 1
        assert any("not ingested after a long time" in c.found for c in found) == (
            after == "archive"
        )
        monkeypatch.setattr(backlog, "MAX_FILES", 2)
        found = list(drops.checks(read, waiting, audit_store, True))
        assert "only the first 2 files of its drop folder were checked" in found[-1].found
        audit_store.close()
