"""Flower as `celery -A workers flower` starts it: never open, whoever forgot to say so."""

from __future__ import annotations

import base64
import http.client
import json
import random
import shutil
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from fleet import Fleet, fleet, rows, text
from patience import PATIENCE

from sensorflow.embedded import state

CLOSED = (
    *("/", "/workers", "/worker/x", "/tasks", "/tasks/datatable", "/task/x", "/broker"),
    *("/api/workers", "/api/tasks", "/api/task/types", "/api/queues/length"),
)
POSTS = ("/api/worker/shutdown/x", "/api/task/send-task/sensorflow.sweep", "/api/task/revoke/x")


@pytest.fixture
def plain(project: Path, database: str, valkey_url: str) -> Iterator[Fleet]:
    with fleet(project, database, valkey_url) as f:
        f.env = {k: v for k, v in f.env.items() if not k.startswith("FLOWER_")}
        yield f
    shutil.rmtree(state.home(project / "data"), ignore_errors=True)  # as root it lies elsewhere


def started(f: Fleet) -> Fleet:
    f.start("flower")
    f.wait(lambda: get(f, "/healthcheck") == 200)
    return f


def tasks(f: Fleet) -> list[str]:
    """The names of all tasks that it shows."""
    request = urllib.request.Request(f"http://127.0.0.1:{f.flower_port}/api/tasks?limit=1000")
    request.add_header("Authorization", f"Basic {base64.b64encode(b'ann:pw').decode()}")
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return [task["name"] for task in json.load(answer).values()]


def get(f: Fleet, path: str, word: str | None = None, method: str = "GET") -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{f.flower_port}{path}", method=method)
    if word is not None:
        given = base64.b64encode(word.encode()).decode()
        request.add_header("Authorization", f"Basic {given}")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def test_pages_and_api_want_a_password_that_nobody_had_to_set(plain: Fleet) -> None:
    started(plain)
    assert [path for path in CLOSED if get(plain, path) != 401] == []
    assert [path for path in POSTS if get(plain, path, method="POST") != 401] == []
    assert get(plain, "/workers", "sensorflow:") == 401
    path = state.home(plain.project / "data") / "flower-password"
    assert str(path) in (plain.project / "flower.log").read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert get(plain, "/workers", f"sensorflow:{path.read_text()}") == 200


def test_it_listens_on_the_loopback_address_alone(plain: Fleet) -> None:
    started(plain)
    process = psutil.Process(plain.running["flower"].pid)
    listening = {c.laddr.ip for c in process.net_connections() if c.status == "LISTEN"}
    assert listening == {"127.0.0.1"}


def test_its_password_may_hold_a_comma(plain: Fleet) -> None:
    """FLOWER_BASIC_AUTH would take it for two accounts, the second one without a user."""
    plain.env["SENSORFLOW_FLOWER_PASSWORD"] = "a,b:c"
    started(plain)
    assert get(plain, "/workers", "b:c") == 401
    assert get(plain, "/workers", "sensorflow:a,b:c") == 200


def test_its_own_environment_goes_over_ours(plain: Fleet) -> None:
    plain.env["FLOWER_BASIC_AUTH"] = "ann:pw"
    started(plain)
    assert get(plain, "/workers") == 401
    assert get(plain, "/workers", "ann:pw") == 200
    assert not (state.home(plain.project / "data") / "flower-password").exists()


def test_an_empty_environment_opens_nothing(plain: Fleet) -> None:
    plain.env["FLOWER_BASIC_AUTH"] = ""
    started(plain)
    assert get(plain, "/workers") == 401
    assert get(plain, "/api/workers") == 401


def test_other_commands_make_no_password(plain: Fleet) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "workers", "report"],
        env=plain.env,
        cwd=plain.project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (state.home(plain.project / "data") / "flower-password").exists()


def hosted(f: Fleet, host: str, path: str = "/workers") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", f.flower_port, timeout=PATIENCE)
    path_word = state.home(f.project / "data") / "flower-password"
    given = base64.b64encode(f"sensorflow:{path_word.read_text()}".encode()).decode()
    connection.request("GET", path, headers={"Host": host, "Authorization": f"Basic {given}"})
    return connection.getresponse().status


def test_it_answers_to_no_name_but_its_own(plain: Fleet) -> None:
    """A page of evil.example, whose name leads here by now, reads nothing."""
    plain.env["SENSORFLOW_FLOWER_HOSTS"] = "plant.example, other.example"
    started(plain)
    port = plain.flower_port
    ours = (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", "Plant.Example")
    assert [host for host in ours if hosted(plain, host) != 200] == []
    others = (
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1.evil.example",
        "localhost.evil",
        "",
    )
    for path in ("/workers", "/healthcheck", "/static/css/flower.css", "/api/workers"):
        assert [host for host in others if hosted(plain, host, path) not in (400, 421)] == []


def test_its_history_outlives_it_and_holds_no_sweep(plain: Fleet) -> None:
    """Also a history that cannot be read keeps it from nothing: it is put aside."""
    plain.env["FLOWER_BASIC_AUTH"] = "ann:pw"
    started(plain)
    plain.start("daemon", "worker", "beat")
    plain.put("a.csv", text(rows(0, 5, random.Random(0))))
    plain.wait(lambda: plain.counts()["loaded"] == 1)
    log = plain.project / "worker.log"
    plain.wait(lambda: log.read_text().count("Task sensorflow.sweep") > 2)
    plain.wait(lambda: tasks(plain) == ["sensorflow.ingest"])
    flower = plain.running.pop("flower")
    flower.terminate()
    flower.wait(PATIENCE)
    assert tasks(started(plain)) == ["sensorflow.ingest"]
    plain.kill("flower")
    history = state.home(plain.project / "data") / "flower" / "history"
    assert stat.S_IMODE(history.parent.stat().st_mode) == 0o700
    for part in history.parent.glob("history*"):
        part.write_bytes(b"no history")
    assert tasks(started(plain)) == []
    assert list(history.parent.glob("*.corrupt"))
