"""A fleet of autoscaled nodes with servers of its own, for the runs of this package."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from chaos.scene import scene, servers
from fleet import Fleet
from servers import RabbitMQ

from sensorflow.embedded.postgres import Postgres
from sensorflow.embedded.valkey import Valkey

Say = Callable[[str], object]
Server = Valkey | RabbitMQ
BROKERS = ("valkey", "rabbitmq")


class Stand:
    """nodes: names of the workers. postgres, broker: the servers, for what is asked of them directly."""

    def __init__(
        self,
        fleet: Fleet,
        nodes: Sequence[str],
        postgres: Postgres,
        broker: Server | None = None,
    ) -> None:
        self.fleet, self.nodes = fleet, tuple(nodes)
        self.postgres, self.broker = postgres, broker

    @property
    def vhost(self) -> str:
        """Of RabbitMQ."""
        return self.fleet.env["SENSORFLOW_BROKER_URL"].rpartition("/")[2]


def names(nodes: int) -> tuple[str, ...]:
    return tuple(f"worker{number}" for number in range(1, nodes + 1))


@contextmanager
def stand(
    broker: str, folder: Path, nodes: int, workers: int, also: str = "", **options: Any
) -> Iterator[Stand]:
    """Servers, and a fleet whose processes are not started yet. options: of `Fleet`. also: another
    address of the servers."""
    with servers(broker, also) as (postgres, server, url):
        place = scene(postgres, url)
        made = fleet_of(folder, place.database, place.broker, workers, cold=True, **options)
        try:
            yield Stand(made, names(nodes), postgres, server)
        finally:
            made.stop()


def fleet_of(folder: Path, database: str, broker: str, workers: int, **options: Any) -> Fleet:
    """With the timings that users have, but for the stability window."""
    options = {"rescan": 30, "reconcile": 15, "lease": 30, **options}
    return Fleet(folder, database, broker, autoscale=f"{workers},1", **options)


class Result(Protocol):
    """What a run found. line: for people and programs, the last line."""

    @property
    def line(self) -> str: ...

    @property
    def clean(self) -> bool: ...


def runs(program: str, options: Namespace, once: Callable[[str, Path], Result]) -> int:
    """Run once for each broker that was asked for; returns the exit code. Keeps the files of a run
    that found something."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the fleet and the servers end with us
    os.environ.pop("SENSORFLOW_CONFIG", None)
    clean = True
    for broker in [options.broker] if options.broker else BROKERS:
        folder = Path(tempfile.mkdtemp(prefix=f"{program}-"))
        print(f"{program}: {broker}, load of the machine {load()}")
        try:
            found = once(broker, folder)
        except BaseException:
            print(f"logs and files are kept in {folder}", file=sys.stderr)
            raise
        print(f"  load of the machine {load()}")
        print(found.line)
        clean &= found.clean
        if found.clean:
            shutil.rmtree(folder)
        else:
            print(f"logs and files are kept in {folder}", file=sys.stderr)
    return 0 if clean else 1


def parser(program: str, description: str | None) -> ArgumentParser:
    made = ArgumentParser(prog=program, description=description)
    made.add_argument("--broker", choices=BROKERS)
    return made


def load() -> str:
    """Of this machine: of the last minute, five minutes, a quarter of an hour."""
    return ", ".join(f"{value:.1f}" for value in os.getloadavg())
