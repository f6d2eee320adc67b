"""Workers that cannot use a store: they do not start, or `status` and `doctor` name their host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
import warm
from object_servers import BUCKET, Seaweed
from samples import add, batch, claim, load

from sensorflow import bootstrap, stores
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.heartbeat import LoopReport, Role
from sensorflow.errors import Code, Transient, UsageError
from sensorflow.testing.project import write_settings

LACKING = "import sys; sys.modules['obstore'] = None"
"""Makes a host without obstore, as the module sitecustomize."""
WORKERS = [["sensorflow", "worker"], ["celery", "-A", "workers", "worker"]]
AWAY = "http://127.0.0.1:1"


def written(project: Path, endpoint: str, **keys: Any) -> Path:
    """A project whose zones are in a bucket. Its broker is away."""
    storage = {"data": f"s3://{BUCKET}/{uuid.uuid4()}", "endpoint": endpoint}
    urls = {"database_url": "postgresql://x@127.0.0.1:1/x", "broker_url": "redis://127.0.0.1:1"}
    write_settings(project, {}, **{**urls, "storage": storage, **keys})
    return project


def environment(**variables: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SENSORFLOW_")}
    return {**clean, **variables}


def require_access(home: Path) -> None:
    settings = bootstrap.settings(home)
    stores.require_access(settings, bootstrap.project_of(settings))


def lacking(words: Sequence[str], project: Path) -> subprocess.CompletedProcess[str]:
    (project / "sitecustomize.py").write_text(LACKING)
    paths = f"{project}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=project,
        env=environment(PYTHONPATH=paths),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("words", WORKERS, ids=["sensorflow", "celery"])
def test_a_worker_without_obstore_does_not_start(project: Path, words: list[str]) -> None:
    done = lacking(words, written(project, AWAY))
    assert done.returncode == 2
    assert done.stderr.startswith("sensorflow: a bucket needs the package obstore")
    assert "`pip install '.[s3]'`" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_package_that_is_removed_later_is_logged_as_an_error(project: Path) -> None:
    look = (
        "import sys; sys.modules['obstore'] = None; from sensorflow import telemetry; "
        "from workers import process; telemetry.configure(); process.services()"
    )
    done = subprocess.run(
        [sys.executable, "-c", look],
        cwd=written(project, AWAY),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    logged = json.loads(done.stderr.splitlines()[0])
    assert (logged["event"], logged["level"]) == ("work.refused", "error")
    assert "obstore" in logged["reason"]


def test_doctor_reports_missing_obstore_once_at_a_zone_and_not_at_the_broker(project: Path) -> None:
    shown = lacking(["sensorflow", "doctor", "--json"], written(project, AWAY)).stdout
    lacked = [check["what"] for check in json.loads(shown) if "obstore" in check["found"]]
    assert lacked == ["landing"]  # the other zones are in the same bucket


@pytest.mark.parametrize("words", WORKERS, ids=["sensorflow", "celery"])
def test_a_worker_whose_credentials_are_refused_does_not_start(
    project: Path, seaweed: Seaweed, s3_environment: None, words: list[str]
) -> None:
    wrong = environment(AWS_SECRET_ACCESS_KEY="no")
    done = warm.run(words, wrong, written(project, seaweed.endpoint))
    shown = done.stderr.decode()
    assert done.returncode == 2
    assert shown.startswith(f"sensorflow: s3://{BUCKET}/")
    assert "refuses this host: I503 storage-unavailable" in shown
    assert "the provider refuses the credentials" in shown
    assert "if they are in variables, restart the processes" in shown
    assert len(shown.splitlines()) == 1


def test_the_credentials_of_a_previous_location_are_tried_too(
    project: Path, seaweed: Seaweed, s3_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = {"previous": f"s3://{BUCKET}/{uuid.uuid4()}", "endpoint": seaweed.endpoint}
    home = written(project, AWAY, storage=storage)
    require_access(home)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    with pytest.raises(UsageError, match="refuses this host: I503") as caught:
        require_access(home)
    assert caught.value.code is Code.STORAGE


class NoTokens(BaseHTTPRequestHandler):
    """A login server that refuses each secret as those of Google and Azure do: with status 400."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"error":"invalid_client"}'
        self.send_response(400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_a_secret_that_the_login_server_refuses_is_no_outage(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), NoTokens) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        login = {"CLIENT_ID": "c", "CLIENT_SECRET": "s", "TENANT_ID": "t", "AUTHORITY_HOST": url}
        for name, value in {**login, "STORAGE_ACCOUNT_NAME": "a"}.items():
            monkeypatch.setenv(f"AZURE_{name}", value)
        home = written(project, AWAY, storage={"data": "az://c/p", "endpoint": url})
        try:
            with pytest.raises(UsageError, match="the provider refuses the credentials"):
                require_access(home)
        finally:
            server.shutdown()
            thread.join()


def test_a_worker_starts_in_an_outage_and_leaves_obstore_to_its_children(
    project: Path, seaweed: Seaweed, s3_environment: None
) -> None:
    look = (
        "import sys; from sensorflow import bootstrap, stores; "
        "settings = bootstrap.settings(); project = bootstrap.project_of(settings); "
        "stores.require_access(settings, project); assert 'obstore' not in sys.modules"
    )
    for endpoint in (AWAY, seaweed.endpoint):
        subprocess.run(
            [sys.executable, "-c", look],
            cwd=written(project, endpoint),
            env=environment(),
            check=True,
            timeout=120,
        )


class Hosts:
    """Workers on two hosts, of which one cannot use the store."""

    def __init__(self, project: Path, database: str, broker: str) -> None:
        self.project, self.database = project, database
        write_settings(project, {}, database_url=database, broker_url=broker)
        self.bad = PostgresLedger(database, "worker@bad:17")
        self.good = PostgresLedger(database, "worker@good:18")
        self.beat("bad")
        self.beat("good")

    def beat(self, host: str, **state: Any) -> None:
        self.good.record_report(LoopReport(Role.WORKER, host, 7, f"process {host}", "d", state))

    def fail(self, file_id: int, times: int) -> None:
        refused = Transient(Code.STORAGE, "cannot read s3://b/p: no permission", do="grant it")
        for _ in range(times):
            self.bad.nack(claim(self.bad, file_id), refused, 0, counts_as_attempt=False)

    def later(self, minutes: int) -> None:
        with psycopg.connect(self.database) as connection:
            connection.execute(
                "UPDATE file_events SET at = at - make_interval(mins => %s)", (minutes,)
            )
            connection.execute(
                "UPDATE heartbeats SET started_at = started_at - make_interval(mins => %s)",
                (minutes,),
            )

    def run(self, *words: str) -> str:
        return warm.run(["sensorflow", *words], environment(), self.project).stdout.decode()

    def storage(self, *words: str) -> list[tuple[str, str]]:
        """(verdict, text) of doctor's checks."""
        checks = json.loads(self.run("doctor", "--json"))
        return [
            (c["verdict"], f"{c['found']} {c['todo']}") for c in checks if c["what"] == "storage"
        ]


@pytest.fixture
def hosts(project: Path, database: str, valkey_url: str) -> Iterator[Hosts]:
    found = Hosts(project, database, valkey_url)
    with closing(found.bad), closing(found.good):
        yield found


def test_a_host_that_fails_beside_one_that_loads_is_named(hosts: Hosts) -> None:
    ids = [add(hosts.good, key, key[0]) for key in (b"a.csv", b"b.csv")]
    hosts.fail(ids[0], 2)
    assert hosts.storage() == []
    hosts.fail(ids[1], 1)
    ((verdict, _),) = hosts.storage()
    assert verdict == "warn"  # it may be an outage
    load(hosts.good, claim(hosts.good, ids[0]), batch())
    ((verdict, text),) = hosts.storage()
    assert verdict == "fail"
    assert "worker@bad has failed 3 times at 2 files since " in text
    assert "I503 storage-unavailable: cannot read s3://b/p: no permission" in text
    assert "other hosts load files: run `sensorflow storage check` on this host" in text
    status = json.loads(hosts.run("status", "--json"))
    assert "worker@bad has failed 3 times" in status["health"]
    assert not status["well"]
    shown = hosts.run("files", "show", str(ids[1]))
    assert "once since " in shown
    assert "by worker@bad:17" in shown
    load(hosts.bad, claim(hosts.bad, ids[1]), batch(start=9))
    assert hosts.storage() == []  # it has loaded a file


def test_a_host_is_not_blamed_after_its_worker_was_restarted(hosts: Hosts) -> None:
    file_id = add(hosts.good)
    hosts.fail(file_id, 3)
    hosts.later(11)
    ((verdict, text),) = hosts.storage()
    assert (verdict, "other hosts" in text) == ("fail", False)  # too long for an outage
    hosts.good.remove_reports("process bad")
    assert hosts.storage() == []
    hosts.beat("bad")
    assert hosts.storage() == []


def test_a_host_whose_zones_are_elsewhere_is_named(hosts: Hosts) -> None:
    here = {"landing": "a folder", "quarantine": "a folder", "lake": "a folder"}
    hosts.beat("good", storage=here)
    assert hosts.storage() == []
    hosts.beat("bad", storage=here | {"landing": "s3://b/p/landing"})
    ((verdict, text),) = hosts.storage()
    assert verdict == "fail"
    assert text.startswith(
        "storage.landing: s3://b/p/landing at bad:7; but a folder for this command"
    )
    hosts.beat("bad", storage=here | {"landing": "s3://b/p/landing", "previous": "a folder"})
    assert {verdict for verdict, _ in hosts.storage()} == {"warn"}  # processes are being restarted


def test_heartbeats_have_the_locations_without_secrets(project: Path) -> None:
    home = written(project, AWAY, storage={"landing": "s3://b/p/", "lake": "file:///srv/lake"})
    sender = bootstrap.heartbeat_sender(bootstrap.settings(home), None, "p")  # type: ignore[arg-type]
    loop = sender.add_loop(Role.WORKER)
    loop.set_facts(children=2)
    report = loop.report()
    assert report is not None
    zones = {"landing": "s3://b/p", "quarantine": "a folder", "lake": "a folder"}
    assert report.state == {"storage": zones, "children": 2}
