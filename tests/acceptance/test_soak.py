"""A soak in short: everything that could grow is measured. `make soak` is long enough to say what does."""

from __future__ import annotations

from pathlib import Path

import pytest
from elastic.soak import Lengths, run
from elastic.stand import Stand, fleet_of, names
from servers import RabbitMQ, flush

from sensorflow.embedded.postgres import Postgres
from sensorflow.embedded.valkey import Valkey

WORKERS = 2
SECONDS = 6.0
"""Each sample of RabbitMQ costs two seconds of CPU."""
OF_BOTH = {
    *("database connections", "files dead tuples", "heartbeats bytes", "log bytes of a file"),
    *("broker memory", "broker messages", "broker unacked"),
    *("worker1 prefetch", "worker1 messages held"),
    *("daemon: resident memory", "worker1: private memory"),
    *("worker1: files", "beat: threads"),
}
OF_COLD = {
    *("daemon: allocated memory", "worker1: Python objects", "beat: Python objects"),
    "metrics: Python objects",
}
"""Processes that start Python anew record their heaps."""
OF = {
    "valkey": {"broker keys", "broker connections, without children", *OF_COLD},
    "rabbitmq": {"broker consumers", "broker prefetch, largest"},
}


@pytest.mark.parametrize("kind", ["valkey", "rabbitmq"])
def test_all_that_could_grow_is_measured(
    kind: str, request: pytest.FixtureRequest, project: Path, database: str
) -> None:
    postgres: Postgres = request.getfixturevalue("postgres")
    server: Valkey | RabbitMQ = request.getfixturevalue(kind)
    if isinstance(server, Valkey):
        flush(server.url)
    url = server.url if isinstance(server, Valkey) else server.new_vhost()
    fleet = fleet_of(project, database, url, WORKERS, cold=kind == "valkey")
    lengths = Lengths(
        SECONDS, capacity=2.0, idle=2.0, most_rate=5.0, most_waiting=20, fewest_samples=6
    )
    try:
        found = run(Stand(fleet, names(1), postgres, server), lengths, print)
    finally:
        fleet.stop()
    assert found.account.clean, "\n".join(found.details())
    assert not found.errors
    assert found.series.keys() >= OF_BOTH | OF[kind]
    assert {p for _, p in found.series["worker1 prefetch"].points} == {float(WORKERS)}
    assert max(claim for _, claim in found.series["worker1 messages held"].points) <= WORKERS
    assert found.idle.keys() >= {"daemon", "worker1", "worker1 child", "beat", "flower"}
    assert found.line.startswith(f"soak: minutes={SECONDS / 60:.2g}")
