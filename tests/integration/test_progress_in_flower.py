"""A file that takes long, in a real worker: the ledger and Flower show how far it is."""

from __future__ import annotations

import json
import random
import urllib.request
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
from fleet import Fleet, fleet, rows, text

from sensorflow.core.states import State

FLOWER = {"SENSORFLOW_FLOWER_PASSWORD": "pw", "SENSORFLOW_FLOWER_USER": "me"}


def tasks(f: Fleet) -> list[dict[str, Any]]:
    request = urllib.request.Request(f"http://127.0.0.1:{f.flower_port}/api/tasks")
    request.add_header("Authorization", "Basic " + b64encode(b"me:pw").decode())
    with suppress(OSError), urllib.request.urlopen(request, timeout=10) as answer:
        return list(json.load(answer).values())
    return []


def test_a_task_shows_how_far_it_is_until_it_succeeds(
    project: Path, database: str, valkey_url: str
) -> None:
    with fleet(project, database, valkey_url, environment=FLOWER) as f:
        f.start("flower")
        f.wait(lambda: b"Visit me" in (project / "flower.log").read_bytes())
        f.start("daemon", "worker")
        with psycopg.connect(
            database
        ) as blocker:  # the load waits, and the worker goes on renewing
            blocker.execute("LOCK TABLE raw_readings IN SHARE MODE")
            f.put("large.csv", text(rows(1, 500, random.Random(1))))
            f.wait(lambda: any(v.progress_rows == 500 for v in f.ledger.files()))
            [view] = f.ledger.files()
            assert (view.state, view.percent) == (State.RUNNING, 100)
            [large] = f.ledger.large_files(3)
            assert (large.rows, large.name, large.worker) == (500, "large.csv", view.lease_owner)
            f.wait(lambda: [t["state"] for t in tasks(f)] == ["PROGRESS"])
            assert tasks(f)[0]["result"] == "100 % read, 500 readings so far"
        f.wait(lambda: f.counts()["loaded"] == 1)
        f.wait(lambda: [t["state"] for t in tasks(f)] == ["SUCCESS"])
        assert "loaded large.csv" in tasks(f)[0]["result"]
        [view] = f.ledger.files()
        assert (view.progress_bytes, view.progress_rows) == (None, None)
