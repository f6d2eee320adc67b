"""Sources that people pause, resume and drain, in a running fleet."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import warm
from fleet import LONG_LEASE, Fleet, fleet, rows, text

from sensorflow.core.controls import Mode
from sensorflow.core.heartbeat import Role

SOURCES = {"roof": {"path": "roof", "stability_window": 0.2, "weight": 2, "max_in_flight": 5}}
SILENT = {"silent_after": "1h", "gate": "{name}.done", "overdue_after": "1s"}


@pytest.fixture
def f(project: Path, database: str, valkey_url: str) -> Iterator[Fleet]:
    (project / "roof").mkdir()
    with fleet(
        project, database, valkey_url, environment=LONG_LEASE, sources=SOURCES, source=SILENT
    ) as result:
        yield result


def drop(f: Fleet, name: str, number: int, folder: str = "drop") -> None:
    f.put(name, text(rows(number, 3, random.Random(number))), f.project / folder)
    if folder == "drop":
        f.put(f"{name}.done", b"", f.project / folder)


def sensorflow(f: Fleet, *words: str, code: int = 0) -> str:
    done = warm.run(["sensorflow", *words], f.env, f.project)
    assert done.returncode == code, done
    return (done.stdout + done.stderr).decode()


def parsed(f: Fleet, *words: str, code: int = 0) -> Any:
    done = warm.run(["sensorflow", *words, "--json"], f.env, f.project)
    assert done.returncode == code, done
    return json.loads(done.stdout)


def files(f: Fleet) -> dict[str, str]:
    return {view.name: str(view.state) for view in f.ledger.files()}


def intake(f: Fleet) -> dict[str, Any]:
    beats = [b for b in f.ledger.heartbeats() if b.report.role is Role.INTAKE]
    return beats[0].report.state if beats else {}


def test_a_paused_source_waits_through_a_restart_and_others_go_on(f: Fleet) -> None:
    f.start("daemon", "worker")
    drop(f, "first.csv", 1)
    f.wait(lambda: files(f) == {"first.csv": "loaded"})
    output = sensorflow(f, "sources", "pause", "plant", "--reason", "a new\nlogger")
    assert "plant: paused since" in output
    f.wait(lambda: intake(f).get("controls") == {"plant": "paused"})
    drop(f, "second.csv", 2)
    f.put("without-gate.csv", b"")
    drop(f, "roof.csv", 3, "roof")
    f.wait(lambda: files(f).get("roof.csv") == "loaded")
    f.kill("daemon")
    f.start("daemon")
    drop(f, "roof2.csv", 4, "roof")
    f.wait(lambda: files(f).get("roof2.csv") == "loaded")
    assert "second.csv" not in files(f)
    assert "its files wait until" in sensorflow(f, "replay", "first.csv")
    _shown_with_who_and_why(f)
    assert "source.paused" in (f.project / "daemon.log").read_text()
    assert files(f)["first.csv"] == "pending"
    sensorflow(f, "sources", "resume", "plant")
    f.wait(lambda: files(f).get("second.csv") == files(f)["first.csv"] == "loaded")
    assert "source.resumed" in (f.project / "daemon.log").read_text()


def _shown_with_who_and_why(f: Fleet) -> None:
    """And nothing cries that no file comes, or that a file waits for long."""
    with psycopg.connect(f.database) as c:
        c.execute("UPDATE files SET landed_at = now() - interval '1 day'")
        c.execute("UPDATE arrivals SET at = now() - interval '1 day'")
    plant, roof = parsed(f, "sources", "ls")
    assert (plant["state"], plant["unfinished"], plant["waiting"]) == ("paused", 1, 2)
    assert plant["control"]["reason"] == "a new logger"
    assert (roof["state"], roof["weight"], roof["max_in_flight"]) == ("active", 2.0, 5)
    assert roof["control"] is None
    shown = sensorflow(f, "status")
    assert "source plant: paused since" in shown
    assert "a new logger; 1 file waits" in shown
    assert "silent" not in shown
    assert "OVERDUE" not in shown
    found = [c for c in parsed(f, "doctor", code=1) if c["what"] == "source plant"]
    assert [c["found"][:12] for c in found if c["verdict"] != "ok"] == ["paused since"]


def test_a_source_that_is_no_longer_defined_stays_paused_while_files_wait(f: Fleet) -> None:
    """A worker would quarantine its files."""
    f.start("daemon")
    drop(f, "a.csv", 1)
    f.wait(lambda: files(f) == {"a.csv": "pending"})
    f.kill("daemon")
    with psycopg.connect(f.database) as c:
        c.execute("UPDATE files SET source = 'gone'")
    f.ledger.hold_back("gone", Mode.PAUSED, "me", None)
    output = sensorflow(f, "sources", "resume", "gone", code=2)
    assert "1 file waits" in output
    assert "Define [sources.gone] again" in output
    assert "gone stays as it is" in sensorflow(f, "sources", "resume", "--all")
    assert list(f.ledger.controls()) == ["gone"]
    with psycopg.connect(f.database) as c:
        c.execute("UPDATE files SET source = 'plant'")
    assert "gone: resumed" in sensorflow(f, "sources", "resume", "gone")


def test_a_source_is_drained_when_all_that_is_registered_is_loaded(f: Fleet) -> None:
    f.start("daemon")
    for number in range(3):
        drop(f, f"{number}.csv", number)
    f.wait(lambda: len(files(f)) == 3)
    log = (f.project / "drain.out").open("ab")
    words = ["sensorflow", "sources", "drain", "plant", "roof", "--wait"]
    with log:
        drained = warm.Process(words, f.env, f.project, log.fileno(), log.fileno())
    f.wait(lambda: intake(f).get("controls") == {"plant": "draining", "roof": "draining"})
    drop(f, "late.csv", 8)
    f.wait(lambda: "3 files are pending or running" in (f.project / "drain.out").read_text())
    f.start("worker")
    assert drained.wait(60) == 0
    assert files(f) == {f"{number}.csv": "loaded" for number in range(3)}
    assert "plant: drained" in (f.project / "drain.out").read_text()
    assert (f.drop / "late.csv").exists()
    again = parsed(f, "sources", "drain", "--all", "--wait")
    assert [(s["source"], s["state"], s["drained"]) for s in again] == [
        ("plant", "draining", True),
        ("roof", "draining", True),
    ]
    assert parsed(f, "sources", "resume", "--all")[0] == {
        "source": "plant",
        "state": "active",
        "resumed": True,
    }
    f.wait(lambda: files(f).get("late.csv") == "loaded")


def test_a_drain_ends_with_an_error_when_somebody_resumes_the_source(f: Fleet) -> None:
    f.start("daemon")
    drop(f, "a.csv", 1)
    f.wait(lambda: len(files(f)) == 1)
    with (f.project / "drain.out").open("ab") as log:
        words = ["sensorflow", "sources", "drain", "plant", "--wait"]
        drained = warm.Process(words, f.env, f.project, log.fileno(), log.fileno())
    f.wait(lambda: "plant" in f.ledger.controls())
    assert f.ledger.controls()["plant"].mode is Mode.DRAINING
    f.ledger.resume("plant")
    assert drained.wait(60) == 1
    assert "not drained, because it is active" in (f.project / "drain.out").read_text()


def test_a_source_that_does_not_exist_is_refused_with_those_that_do(f: Fleet) -> None:
    output = sensorflow(f, "sources", "pause", "roof", "plnt", code=2)
    assert "no source plnt; did you mean 'plant'?" in output
    assert f.ledger.controls() == {}
    assert "or --all" in sensorflow(f, "sources", "drain", code=2)
    assert "not both" in sensorflow(f, "sources", "resume", "plant", "--all", code=2)
