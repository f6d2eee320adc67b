"""The servers of a run and a database of its own."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import amqp
import kombu
import psycopg
import redis
from chaos.store import ChaosStore
from servers import RabbitMQ, ServerFolder, place_for_servers

from sensorflow.adapters.postgres import migrate
from sensorflow.adapters.queues.celery import TASKS, normal, task_name
from sensorflow.embedded.postgres import Postgres
from sensorflow.embedded.valkey import Valkey


@dataclass(frozen=True)
class ChaosFleet:
    """broker: its URL. database: the URL of a migrated, empty database. store: the server with the zones;
    None if they are on this disk."""

    postgres: Postgres
    broker: str
    database: str
    store: ChaosStore | None = None

    def wipe(self) -> None:
        """The broker loses everything."""
        if not self.broker.startswith("amqp"):
            with redis.Redis.from_url(normal(self.broker)) as client:
                client.flushall()
            return
        with kombu.Connection(self.broker) as connection:
            for task in TASKS:
                try:
                    connection.default_channel.queue_delete(task_name(task))
                except amqp.exceptions.NotFound:
                    connection.close()

    def crash_database(self) -> None:
        """As `pg_ctl stop -m immediate`, and back again; from the main thread only."""
        process = self.postgres.process
        assert process.pid is not None
        os.kill(process.pid, signal.SIGQUIT)
        while process.is_alive:
            time.sleep(0.02)
        self.postgres.start()


@contextmanager
def servers(broker: str, also: str = "") -> Iterator[tuple[Postgres, Valkey | RabbitMQ, str]]:
    """PostgreSQL, a broker and its URL, on free ports of 127.0.0.1; also: another address of theirs."""
    with place_for_servers() as place, ExitStack() as stack:
        postgres = Postgres(place.root, place.logs)
        if also:
            postgres.process.command.append(f"--listen_addresses=127.0.0.1,{also}")
        stack.callback(postgres.process.terminate, 30)
        postgres.start()
        if also:
            _let_in(postgres, place, f"{also}/24")
        if broker == "rabbitmq":
            rabbit = RabbitMQ(place, also)
            stack.callback(rabbit.stop)
            rabbit.start()
            yield postgres, rabbit, rabbit.new_vhost()
            return
        valkey = Valkey(place.root, place.logs)
        if also:
            valkey.process.command += ["--bind", "127.0.0.1", also]
        stack.callback(valkey.process.terminate, 30)
        valkey.start()
        yield postgres, valkey, valkey.url


def _let_in(postgres: Postgres, place: ServerFolder, network: str) -> None:
    with (place.root / "postgres" / "pg_hba.conf").open("a") as rules:
        rules.write(f"host all all {network} scram-sha-256\n")
    with psycopg.connect(postgres.url) as connection:
        connection.execute("SELECT pg_reload_conf()")


def scene(postgres: Postgres, broker: str, store: ChaosStore | None = None) -> ChaosFleet:
    """On servers that run, with a new database."""
    name = f"chaos_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    database = postgres.url.rsplit("/", 1)[0] + "/" + name
    migrate.upgrade(database)
    chaos_fleet = ChaosFleet(postgres, broker, database, store)
    if not broker.startswith("amqp"):
        chaos_fleet.wipe()
    return chaos_fleet


class Observer:
    """Reads the database beside the fleet, over restarts of it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection: psycopg.Connection[Any] | None = None

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        for _ in range(3):
            try:
                if self._connection is None or self._connection.closed:
                    options = "-c timezone=UTC"
                    self._connection = psycopg.connect(self.url, autocommit=True, options=options)
                return self._connection.execute(query, values).fetchall()  # type: ignore[arg-type]
            except psycopg.OperationalError as error:
                self.close()
                last = error
        raise last

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
