"""A real Prometheus scrapes a fleet, and sees every metric move."""

from __future__ import annotations

import gzip
import json
import math
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from fleet import Fleet, fleet, ports_in_a_row
from manual.metrics import queried_names
from patience import PATIENCE
from project_driver import content
from proxy import Proxy
from servers import flush

from sensorflow.core.controls import Mode
from sensorflow.core.heartbeat import Role
from sensorflow.core.metrics import Kind, Metric, Place
from sensorflow.core.states import Stage
from sensorflow.embedded.process import free_port
from sensorflow.errors import Code, Transient

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "docker" / "prometheus"
STILL = {Metric.DISK_FULL_SECONDS}
"""The metrics that need not move within a minute: +Inf until two minutes have been measured."""
APPEAR = {
    *(Metric.RETRIES, Metric.QUARANTINES, Metric.QUARANTINED_FILES),  # by code
    *(Metric.WORKERS_PRESENT, Metric.LOOP_UP, Metric.PROCESS_CHILDREN),  # of processes that start
}
"""The metrics that have no value before something happens."""


def test_alerts_and_configuration_are_valid() -> None:
    for what, file in (("rules", "alerts.yml"), ("config", "prometheus.yml")):
        subprocess.run(["promtool", "check", what, PROMETHEUS / file], check=True)
    rules = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"][0]["rules"]
    assert len(rules) == 6
    assert unknown("\n".join(rule["expr"] for rule in rules)) == set()
    page = (ROOT / "docs" / "how-to" / "monitor.md").read_text()
    assert all(f"`{rule['alert']}`" in page for rule in rules)
    assert (PROMETHEUS / "prometheus.yml").read_text().partition("\n")[2] in page


def test_the_dashboard_names_every_metric_and_no_other() -> None:
    board = json.loads((ROOT / "docker" / "grafana" / "sensorflow.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert unknown("\n".join(queries)) == set()
    shown = {
        m for m in Metric if any(name in names("\n".join(queries)) for name in queried_names(m))
    }
    assert shown == set(Metric)


def names(queries: str) -> set[str]:
    return set(re.findall(r"\bsensorflow_\w+", queries))


def unknown(queries: str) -> set[str]:
    return names(queries) - {name for metric in Metric for name in queried_names(metric)}


class Prometheus:
    """port: of its API."""

    def __init__(self, folder: Path, targets: list[int]) -> None:
        self.port = free_port()
        job = {
            "job_name": "sensorflow",
            "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in targets]}],
        }
        config = {"global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"}}
        (folder / "prometheus.yml").write_text(json.dumps({**config, "scrape_configs": [job]}))
        with (folder / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'tsdb'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdout=log,
                stderr=log,
            )

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        what = urllib.parse.urlencode({"query": expression})
        url = f"http://127.0.0.1:{self.port}/api/v1/query?{what}"
        try:
            with urllib.request.urlopen(url, timeout=30) as reply:
                found: Any = json.load(reply)["data"]["result"]
        except OSError:
            return []
        return [(series["metric"], float(series["value"][1])) for series in found]

    def value(self, expression: str) -> float:
        return sum(value for _, value in self.query(expression))

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


@contextmanager
def exporter(f: Fleet, port: int, **urls: str) -> Iterator[None]:
    env = {**f.env, **{f"SENSORFLOW_{name.upper()}_URL": url for name, url in urls.items()}}
    with (f.project / "metrics.log").open("ab") as log:
        command = [sys.executable, "-m", "sensorflow", "metrics", f"--port={port}"]
        process = subprocess.Popen(command, env=env, cwd=f.project, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0


def page(port: int, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError:
        return 0, None


def test_prometheus_sees_every_metric_move(project: Path, database: str, valkey_url: str) -> None:
    port, own = free_port(), ports_in_a_row(3)
    with (
        Proxy(*address(database)) as to_database,
        Proxy(*address(valkey_url)) as to_broker,
        fleet(project, database, valkey_url, metrics_port=own) as f,
    ):
        prometheus = Prometheus(project, [port, *range(own, own + 3)])
        urls = {"database": to_database.url(database), "broker": to_broker.url(valkey_url)}
        try:
            with exporter(f, port, **urls):
                wait(f, lambda: prometheus.value("sensorflow_database_up") == 1)
                assert not [metric for metric in APPEAR if prometheus.query(metric)]
                let_much_happen(f, prometheus, valkey_url)
                wait(f, lambda: page(port, "/readyz")[0] == 200)
                fail_and_recover(f, prometheus, port, [to_database, to_broker])
                before = counters(prometheus)
            with exporter(f, port):
                wait(f, lambda: prometheus.value("sensorflow_ledger_age_seconds") > 0)
                wait(f, lambda: page(port, "/readyz")[0] == 200)
                wait(f, lambda: not missing(prometheus))
                wait(f, lambda: roles_up(prometheus) == set(Role))
                time.sleep(1.0)  # a scrape of the new process
                after = counters(prometheus)
        finally:
            prometheus.stop()
        assert sum(before.values()) > 10
        assert {key: after.get(key) for key in before} == before, "a restart loses nothing"


def address(url: str) -> tuple[str, int]:
    parts = urllib.parse.urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def let_much_happen(f: Fleet, prometheus: Prometheus, broker: str) -> None:
    f.start("daemon")
    f.put("first.csv", content(1))
    wait(f, lambda: f.counts()["pending"] == 1)
    [waiting] = f.ledger.files()
    wait(f, lambda: (f.ledger.file(waiting.file_id) or waiting).published_at is not None)
    claim = f.ledger.claim(waiting.file_id, (Stage.VALIDATE,), "test", 60.0)
    assert claim is not None
    f.ledger.nack(claim, Transient(Code.STORAGE, "a disk is away"), 0.0, counts_as_attempt=False)
    lost = f.ledger.claim(waiting.file_id, (Stage.VALIDATE,), "test", 0.1)
    assert lost is not None
    wait(f, lambda: told(prometheus, "lease expired") > 0)
    flush(broker)
    wait(f, lambda: told(prometheus, "message missing") > 0)
    wait(f, lambda: prometheus.value("sensorflow_broker_messages") > 0)
    wait(f, lambda: prometheus.value("sensorflow_backlog_oldest_seconds") > 0)
    f.start("worker", "beat")
    f.put("rejects.csv", content(2) + b"not a time,s,temperature,1,degC\n")
    f.put("twice.csv", content(3) + content(3).split(b"\n", 1)[1])
    f.put("bad.csv.gz", gzip.compress(content(4))[:30])
    wait(f, lambda: f.counts()["loaded"] == 3 and f.counts()["quarantined"] == 1)
    f.ledger.replay(waiting.file_id)
    wait(f, lambda: f.finished() == 4)
    f.ledger.hold_back("plant", Mode.PAUSED, "test", None)
    with psycopg.connect(f.database) as other_refresher:
        other_refresher.execute("SELECT pg_advisory_lock(hashtextextended('sensorflow.gold', 0))")
        other_refresher.execute(
            "INSERT INTO readings_touched (source, low, high) VALUES ('plant', now(), now())"
        )
        other_refresher.commit()
        wait(f, lambda: prometheus.value("sensorflow_gold_lag_seconds") > 0)
        wait(f, lambda: prometheus.value("sensorflow_source_paused") > 0)
    f.ledger.resume("plant")
    with (f.project / "drop" / "huge.csv").open("wb") as stream:
        stream.truncate(shutil.disk_usage(f.project).free + (1 << 30))
    wait(f, lambda: prometheus.value("sensorflow_source_without_room") > 0)
    (f.project / "drop" / "huge.csv").unlink()


def fail_and_recover(f: Fleet, prometheus: Prometheus, port: int, proxies: list[Proxy]) -> None:
    for proxy in proxies:
        proxy.refuse()
        proxy.reset()
    wait(f, lambda: page(port, "/readyz")[0] == 503)
    wait(f, lambda: not prometheus.value("sensorflow_database_up + sensorflow_broker_up"))
    assert page(port, "/healthz")[0] == 200
    for proxy in proxies:
        proxy.pass_all()
    wait(f, lambda: page(port, "/readyz")[0] == 200)


def wait(f: Fleet, done: Callable[[], bool]) -> None:
    f.wait(done)


def roles_up(prometheus: Prometheus) -> set[str]:
    return {labels["role"] for labels, up in prometheus.query(Metric.LOOP_UP) if up}


def told(prometheus: Prometheus, event: str) -> float:
    return prometheus.value(f'sensorflow_file_events_total{{event="{event}"}}')


def missing(prometheus: Prometheus) -> set[str]:
    """The metrics that have not moved, or have not been seen."""
    found: set[str] = set()
    for metric in Metric:
        name = queried_names(metric)[-1]  # of a histogram the sum
        window = f"[{math.ceil(PATIENCE)}s]"
        moved = f"max_over_time({name}{window}) - min_over_time({name}{window}) > 0"
        if not prometheus.query(
            f"max_over_time({name}{window})" if metric in STILL | APPEAR else moved
        ):
            found.add(metric)
    return found


def counters(prometheus: Prometheus) -> dict[tuple[str, ...], float]:
    """The counters of the ledger, without events that nobody has caused."""
    return {
        (metric, *(labels[name] for name in metric.labels)): value
        for metric in Metric
        if metric.kind is Kind.COUNTER and metric.place is Place.FLEET
        for labels, value in prometheus.query(f"{metric} > 0")
    }


@pytest.mark.parametrize("once", [True, False])
def test_the_command_prints_the_metrics_once_or_says_that_its_port_is_in_use(
    once: bool, project: Path, database: str, valkey_url: str
) -> None:
    with fleet(project, database, valkey_url) as f, socket.create_server(("127.0.0.1", 0)) as taken:
        option = "--once" if once else f"--port={taken.getsockname()[1]}"
        command = [sys.executable, "-m", "sensorflow", "metrics", option]
        done = subprocess.run(
            command, env=f.env, cwd=project, capture_output=True, text=True, check=False
        )
    if once:
        assert (done.returncode, done.stderr) == (0, "")
        assert 'sensorflow_files{source="plant",state="loaded"} 0.0' in done.stdout
        assert 'sensorflow_broker_messages{queue="sensorflow.ingest"} 0.0' in done.stdout
    else:
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "the port is in use" in done.stderr


def test_the_metrics_are_printed_once_although_the_broker_hangs(
    project: Path, database: str, broker: str
) -> None:
    """It accepts connections, and answers nothing."""
    with Proxy(*address(broker)) as proxy, fleet(project, database, proxy.url(broker)) as f:
        proxy.black_hole()
        command = [sys.executable, "-m", "sensorflow", "metrics", "--once"]
        done = subprocess.run(
            command, env=f.env, cwd=project, capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert "I502 broker-unavailable: the broker has not answered for 5 s" in done.stderr
    assert "\nsensorflow_broker_up 0.0\n" in done.stdout
    assert "sensorflow_broker_messages{" not in done.stdout
    assert 'sensorflow_files{source="plant",state="loaded"} 0.0' in done.stdout
