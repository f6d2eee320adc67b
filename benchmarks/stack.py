"""Runs a fleet: broker, daemon and worker as processes that use the database of a `stand`."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.stand import BenchmarkFleet
from sensorflow.adapters.queues.celery import CeleryPublisher
from sensorflow.embedded.process import Process
from sensorflow.embedded.stack import celery
from sensorflow.embedded.valkey import Valkey

DRAINED = ("loaded", "quarantined", "superseded", "undone")


class Broker:
    """A running broker. kind: "rabbitmq" or "valkey". url: its URL. pid: id of its process. stop: a
    function that stops it."""

    def __init__(self, kind: str, root: Path) -> None:
        if kind == "rabbitmq":
            from servers import RabbitMQ, ServerFolder

            self._rabbit = RabbitMQ(ServerFolder(root, root / "logs"))
            self._rabbit.start()
            self.url, self.stop = self._rabbit.new_vhost(), self._rabbit.stop
            self.pid = self._rabbit._popen.pid if self._rabbit._popen else None
        else:
            valkey = Valkey(root, root / "logs")
            valkey.start()
            self.url, self.pid = valkey.url, valkey.process.pid
            self.stop = lambda: valkey.process.terminate(30)


class Fleet:
    """A daemon and one worker. Both stop at the end of `fleet`. pool: number of child processes of the
    worker."""

    def __init__(self, bench_fleet: BenchmarkFleet, broker: Broker, pool: int) -> None:
        self.stand, self.broker = bench_fleet, broker
        self.env = {
            "SENSORFLOW_DATABASE_URL": bench_fleet.server.url,
            "SENSORFLOW_BROKER_URL": broker.url,
            "SENSORFLOW_CONFIG": str(bench_fleet.project / "sensorflow.toml"),
        }
        self._queue = CeleryPublisher(broker.url, "landing")
        quick = ("--loglevel=WARNING", "--without-mingle", "--without-gossip")
        self.daemon = self._process("daemon", [sys.executable, "-m", "sensorflow", "watch"])
        self.worker = self._process("worker", celery("worker", f"--concurrency={pool}", *quick))

    def _process(self, name: str, command: list[str]) -> Process:
        folder = self.stand.project
        return Process(name, command, folder / f"{name}.log", env=self.env, cwd=folder)

    def counts(self) -> dict[str, int]:
        query = "SELECT state, count(*) FROM files GROUP BY state"
        return {state: int(n) for state, n in self.stand.sql.execute(query).fetchall()}

    def published(self) -> int:
        query = "SELECT count(*) FROM files WHERE state = 'pending' AND published_at IS NOT NULL"
        return int((self.stand.sql.execute(query).fetchone() or (0,))[0])

    def drained(self, files: int) -> bool:
        found = self.counts()
        return sum(found.get(state, 0) for state in DRAINED) >= files

    def is_idle(self) -> bool:
        """Return whether no message is queued in the broker."""
        return self._queue.depth() == 0

    def wait(self, done: Callable[[], bool], seconds: float = 600, every: float = 0.1) -> None:
        until = time.monotonic() + seconds
        while not done():
            if time.monotonic() > until:
                logs = [
                    p.read_text(errors="replace")[-2000:] for p in self.stand.project.glob("*.log")
                ]
                raise SystemExit(f"not done after {seconds} s: {self.counts()}\n" + "\n".join(logs))
            time.sleep(every)

    def hold(self) -> None:
        """Suspend all processes of the worker. They stay connected and use no CPU time, and messages stay
        queued."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self.worker.pid is not None
        for pid in machine.tree(self.worker.pid):
            os.kill(pid, number)

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds that each part of the fleet has used so far."""
        return {
            "daemon": machine.cpu(self.daemon.pid),
            "worker": machine.cpu(self.worker.pid),
            "database": machine.cpu(self.stand.server.process.pid),
            "broker": machine.cpu(self.broker.pid),
        }

    def span(self) -> tuple[float, int]:
        """Return (seconds from the first claim to the last commit, number of loaded rows), from the
        ledger."""
        row: Any = self.stand.sql.execute(
            "SELECT extract(epoch FROM max(finished_at) - min(started_at)), sum(rows_loaded) FROM files"
        ).fetchone()
        return float(row[0]), int(row[1])


@contextmanager
def fleet(bench_fleet: BenchmarkFleet, broker: Broker, pool: int) -> Iterator[Fleet]:
    new_fleet = Fleet(bench_fleet, broker, pool)
    try:
        yield new_fleet
    finally:
        for process in (new_fleet.worker, new_fleet.daemon):
            if process.is_alive:
                process.terminate(20)


def cpu_seconds(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return {part: round(after[part] - before[part], 2) for part in before}
