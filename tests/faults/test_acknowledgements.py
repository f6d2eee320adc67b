"""A broker that breaks while a task is in flight: no acknowledgement ends a worker, and no file is lost.

ACKNOWLEDGEMENTS=20 does each of them so often.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from dropped_files import DroppedFiles, assert_exact
from fleet import Fleet, fleet
from proxy import Proxy
from servers import RabbitMQ, ServerFolder

from sensorflow.embedded.valkey import Valkey

TIMES = int(os.environ.get("ACKNOWLEDGEMENTS", "2"))


@pytest.fixture
def server(place: ServerFolder, tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey of the test's own, to be killed."""
    root = place.root / tmp_path.name
    root.mkdir()
    root.chmod(0o755)
    valkey = Valkey(root, place.logs)
    valkey.start()
    yield valkey
    valkey.process.terminate(30)


@contextmanager
def working(
    project: Path, database: str, broker: str, lease: int = 30
) -> Iterator[tuple[Fleet, DroppedFiles]]:
    """At the end the worker is the one that was started, and all files are loaded. lease: seconds, more
    than a child is stopped that may hold a file."""
    with fleet(project, database, broker, environment={"SENSORFLOW_LEASE": str(lease)}) as f:
        drops = DroppedFiles(f)
        f.start("daemon", "worker", "beat")
        drops.put("first.csv")
        loaded(f, drops)
        worker = f.running["worker"]
        yield f, drops
        drops.put("last.csv")
        loaded(f, drops)
        assert worker.poll() is None, f.logs()
        assert f.running["worker"] is worker
        assert_exact(f, drops.manifest)
        assert {v.attempts for v in f.ledger.files(limit=1000)} == {1}


def loaded(f: Fleet, drops: DroppedFiles) -> None:
    f.wait(
        lambda: (
            f.running["worker"].poll() is not None or f.counts()["loaded"] == drops.manifest.files
        )
    )
    assert f.running["worker"].poll() is None, f.logs()


def log(f: Fleet) -> str:
    return (f.project / "worker.log").read_text(errors="replace")


def in_flight(
    f: Fleet, drops: DroppedFiles, name: str, spoil: Callable[[], None], first: bool
) -> None:
    """Spoil the broker while messages are with children that stand still, or (`first`) just go on.

    As many as the worker takes at once, so that it does not wait for another: the files', or sweeps
    that came before them.
    """
    received, until = log(f).count(" received"), time.monotonic() + 10

    def is_unacked() -> bool:
        for child in f.children("worker"):  # new ones too
            os.kill(child, signal.SIGSTOP)
        return log(f).count(" received") >= received + 2 or time.monotonic() > until

    is_unacked()
    for number in range(3):
        drops.put(f"{number}-{name}")
    f.wait(is_unacked)
    if not first:
        spoil()
    for child in f.children("worker"):
        os.kill(child, signal.SIGCONT)
    if first:
        time.sleep(0.01)
        spoil()


@pytest.mark.parametrize("way", ["killed", "asked", "down"])
def test_fault_41_valkey_ends_with_a_task_in_flight(
    project: Path, database: str, server: Valkey, way: str
) -> None:
    def restart() -> None:
        pid = server.process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL if way == "killed" else signal.SIGTERM)
        server.process.terminate(30)
        if way == "down" and not number % 2:
            time.sleep(5)

    with working(project, database, server.url) as (f, drops):
        for number in range(TIMES):
            in_flight(f, drops, f"{number}.csv", restart, bool(number % 2))
            server.start()
            loaded(f, drops)


def test_fault_41_valkey_is_full_with_a_task_in_flight(
    project: Path, database: str, server: Valkey
) -> None:
    """What is in hand is acknowledged, and a message that comes is worked on."""
    with (
        redis.Redis.from_url(server.url) as client,
        working(project, database, server.url) as (f, drops),
    ):

        def fill() -> None:
            """With a message in the queue: it is handed over when the server takes nothing any more."""
            for other in range(4):
                drops.put(f"{number}-{other}.csv")
            f.wait(lambda: client.llen("sensorflow.ingest") > 0)
            client.config_set("maxmemory", 1)

        for number in range(TIMES):
            in_flight(f, drops, f"{number}.csv", fill, first=False)
            f.wait(lambda: client.llen("sensorflow.ingest") + client.hlen("unacked") == 0)
            client.config_set("maxmemory", 0)
            loaded(f, drops)
        assert "broker.lost" not in log(f), f.logs()


def test_fault_41_a_channel_is_closed_by_rabbitmq_for_it_waited_too_long(
    project: Path, database: str, rabbitmq: RabbitMQ
) -> None:
    with (
        rabbitmq._x(1000),
        working(project, database, rabbitmq.new_vhost()) as (f, drops),
    ):
        for number in range(TIMES):
            in_flight(f, drops, f"{number}.csv", lambda: time.sleep(5), first=False)
            loaded(f, drops)
        assert log(f).count("consumer: Connection to broker lost") >= TIMES, f.logs()


def test_fault_41_the_connection_is_cut_in_an_acknowledgement(
    project: Path, database: str, broker: str
) -> None:
    parts = urlsplit(broker)
    assert parts.hostname is not None
    assert parts.port is not None
    with (
        Proxy(parts.hostname, parts.port) as proxy,
        working(project, database, proxy.url(broker)) as (f, drops),
    ):
        for number in range(TIMES):
            in_flight(f, drops, f"{number}.csv", lambda: bool(proxy.reset()), bool(number % 2))
            loaded(f, drops)
