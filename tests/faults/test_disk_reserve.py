"""The intake stops before a disk is full, on a file system of 64 MB in memory."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import warm
from dropped_files import DroppedFiles, assert_exact, events
from fleet import LONG_LEASE, Fleet, fleet, rows, text
from test_disk import small_disk

from sensorflow.core.heartbeat import Role

MB = 1 << 20
RESERVE = 20 * MB


@pytest.fixture
def f(project: Path, database: str, valkey_url: str) -> Iterator[Fleet]:
    """A fleet whose data folder has 64 MB, of which 23 MB are free."""
    (project / "roof").mkdir()
    sources = {"roof": {"path": "roof", "stability_window": 0.2}}
    options: dict[str, Any] = {"environment": LONG_LEASE, "sources": sources, "min_free": RESERVE}
    with small_disk(project / "data") as disk, fleet(project, database, valkey_url, **options) as f:
        with (disk / "ballast").open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, shutil.disk_usage(disk).free - 23 * MB)
        yield f


def test_the_intake_pauses_while_what_is_registered_still_fits(f: Fleet) -> None:
    drops, data = DroppedFiles(f), f.project / "data"
    for number in range(12):
        drops.put(f"{number}.csv", 10_000)
    f.start("daemon")
    f.wait(lambda: bool(events(f, "daemon", "intake.paused")))
    alert = events(f, "daemon", "intake.paused")[0]
    assert "registered files need about" in alert["reason"]
    assert "min_free" in alert["do"]
    f.wait(lambda: f.counts()["files"] > 0)
    registered = f.counts()["files"]
    assert registered < 12
    f.start("worker")  # what is registered is loaded, beside the reserve
    f.wait(lambda: f.counts()["loaded"] >= registered)
    assert shutil.disk_usage(data).free >= RESERVE - MB
    (data / "ballast").unlink()
    f.wait(lambda: f.counts()["loaded"] == 12)
    assert_exact(f, drops.manifest)
    assert {v.attempts for v in f.ledger.files()} == {1}
    assert all(e["code"][:4] == "I513" for e in events(f, "daemon", "intake.paused"))


def test_a_file_that_does_not_fit_delays_no_other_source(f: Fleet) -> None:
    with (f.project / "roof" / "huge.csv").open("wb") as stream:
        stream.truncate(50 * MB)
    f.start("daemon")
    f.wait(lambda: "roof" in (intake(f).get("short") or {}))
    assert "the next file needs about" in intake(f)["short"]["roof"]
    f.put("small.csv", text(rows(1, 3, random.Random(1))))
    f.wait(lambda: f.counts()["files"] == 1)
    assert {e.get("source") for e in events(f, "daemon", "intake.paused")} == {"roof"}
    (f.project / "data" / "ballast").unlink()
    with (f.project / "roof" / "huge.csv").open("r+b") as stream:
        stream.truncate(MB)
    f.wait(lambda: f.ledger.totals().get("roof") is not None)
    f.wait(lambda: "short" not in intake(f))


def test_doctor_warns_of_the_disk_by_min_free_and_by_the_rate_of_arrivals(f: Fleet) -> None:
    assert disk_space(f)["verdict"] == "ok", "23 MB are free, and 20 MB are to stay free"
    f.start("daemon")
    f.put("first.csv", text(rows(1, 500, random.Random(1))))
    f.wait(lambda: f.counts()["files"] == 1)
    warning = disk_space(f)
    assert warning["verdict"] == "warn"
    assert "at the rate of the last hour, this is in" in warning["found"]
    (f.project / "data" / "ballast-2").write_bytes(bytes(4 * MB))
    assert disk_space(f)["verdict"] == "fail"


def disk_space(f: Fleet) -> dict[str, str]:
    output = warm.run(["sensorflow", "doctor", "--json"], f.env, f.project).stdout
    [found] = [check for check in json.loads(output) if check["what"] == "disk space"]
    return dict(found)


def intake(f: Fleet) -> dict[str, Any]:
    beats = [b for b in f.ledger.heartbeats() if b.report.role is Role.INTAKE]
    return beats[0].report.state if beats else {}
