"""Servers, daemons and workers, each on a host of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from hosts.network import Host, Network
from hosts.store import StoreOnHost
from servers import RabbitMQ, ServerFolder, place_for_servers

from sensorflow.adapters.postgres import migrate
from sensorflow.embedded.postgres import DATABASE, USER, Postgres
from sensorflow.embedded.user import server_user
from sensorflow.embedded.valkey import Valkey
from sensorflow.testing.project import write_settings

CELERY = [sys.executable, "-m", "celery", "-A", "workers"]
QUICK = ["--loglevel=INFO", "--without-mingle", "--without-gossip"]
RUNS = {
    "daemon": [[sys.executable, "-m", "sensorflow", "watch"]],
    "standby": [[sys.executable, "-m", "sensorflow", "watch"]],
    "worker1": [[*CELERY, "worker", "--autoscale=2,1", *QUICK]],
    "worker2": [
        [*CELERY, "worker", "--autoscale=2,1", *QUICK],
        [*CELERY, "beat", "--loglevel=INFO", "--pidfile="],
    ],
}
"""What runs on a host, beside database and broker."""


class HostsFleet:
    """watch: a connection to the database that no cut concerns, through the disk. store: the server with
    the zones, on a host of its own; None if the zones are in a folder that all hosts share. With a store,
    each host has a data folder of its own."""

    def __init__(
        self,
        network: Network,
        place: ServerFolder,
        folder: Path,
        broker: str,
        in_bucket: bool = False,
        **keys: Any,
    ) -> None:
        self.folder, self.drop = folder, folder / "drop"
        self.drop.mkdir(parents=True)
        names = ("store",) if in_bucket else ()
        self.hosts = {name: network.add(name) for name in (*names, "database", "broker", *RUNS)}
        self.store = StoreOnHost(place, self.hosts["store"]) if in_bucket else None
        if self.store is not None:
            keys["storage"] = self.store.table
        write_settings(folder, {"plant": {"path": "drop", "stability_window": 0.2}}, **keys)
        self._place = place
        self._postgres = _postgres(place)
        self._valkey: Valkey | None = None
        self._rabbit: RabbitOnHost | None = None
        if broker == "valkey":
            self._valkey = Valkey(place.root, place.logs)
        else:
            self._rabbit = RabbitOnHost(place, self.hosts["broker"])
        self.url = self._postgres.url.replace("127.0.0.1", self.hosts["database"].address)
        self._broker = self._valkey.url if self._valkey else ""
        for name in self.hosts:
            self.serve(name)

    def env(self, host: str) -> dict[str, str]:
        own = {"SENSORFLOW_DATA": str(self.folder / f"data-{host}")} if self.store else {}
        return {
            **own,
            **{k: v for k, v in os.environ.items() if not k.startswith("SENSORFLOW_")},
            "SENSORFLOW_DATABASE_URL": self.url,
            "SENSORFLOW_BROKER_URL": self._broker.replace(
                "127.0.0.1", self.hosts["broker"].address
            ),
            "SENSORFLOW_CONFIG": str(self.folder / "sensorflow.toml"),
        }

    def serve(self, name: str) -> None:
        """Start what runs on a host."""
        host, log = self.hosts[name], self.folder / f"{name}.log"
        if name == "database":
            command = [*self._postgres.process.command, "--listen_addresses=*"]
            command += [f"--unix_socket_directories={self._place.root / 'socket'}"]
            (self._place.root / "postgres" / "postmaster.pid").unlink(missing_ok=True)
            host.run(command, log, user=server_user())
            self._wait_for_database()
        elif name == "store":
            assert self.store is not None
            self.store.serve(log)
        elif name == "broker" and self._rabbit:
            self._rabbit.start()
            self._broker = self._broker or self._rabbit.new_vhost()
        elif name == "broker":
            assert self._valkey is not None
            command = [*self._valkey.process.command, "--bind", "0.0.0.0"]
            host.run(command, log, user=server_user())
        else:
            for command in RUNS[name]:
                host.run(command, log, self.env(name), self.folder)

    def start_again(self, name: str) -> None:
        self.hosts[name].start()
        self.serve(name)

    @contextmanager
    def watch(self) -> Iterator[psycopg.Connection[Any]]:
        port = self._postgres.url.rpartition(":")[2].partition("/")[0]
        where = f"host={self._place.root / 'socket'} port={port} user={USER} dbname={DATABASE}"
        with psycopg.connect(where + " options='-c timezone=UTC'", autocommit=True) as connection:
            yield connection

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.watch() as connection:
            return connection.execute(query, values).fetchall()  # type: ignore[arg-type]

    def _wait_for_database(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                self.ask("SELECT 1")
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def logs(self) -> str:
        return "\n".join(
            f"--- {p.name}\n" + "\n".join(p.read_text(errors="replace").splitlines()[-12:])
            for p in sorted(self.folder.glob("*.log"))
        )


class RabbitOnHost(RabbitMQ):
    """RabbitMQ that listens on its host's network, and is asked there."""

    def __init__(self, place: ServerFolder, host: Host) -> None:
        super().__init__(place)
        self._host = host

    def _env(self) -> dict[str, str]:
        env = super()._env()
        config = Path(env["RABBITMQ_CONFIG_FILE"])
        text = config.read_text().replace("= 127.0.0.1:", "= 0.0.0.0:")
        config.write_text(text.replace("loopback_users.guest = true", "loopback_users = none"))
        return env

    def start(self) -> None:
        self._host.run([self._program], self._log, self._env(), self._folder)
        deadline = time.monotonic() + 90
        while self._ctl("await_startup", "--timeout", "5") != 0:
            assert time.monotonic() < deadline, self._log.read_text()

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        ctl = str(Path(self._program).with_name("rabbitmqctl"))
        command = [*self._host.entering, ctl, "-q", "-n", self._env()["RABBITMQ_NODENAME"]]
        return subprocess.run(
            [*command, *arguments], env=self._env(), capture_output=True, check=False
        )


def _postgres(place: ServerFolder) -> Postgres:
    """Migrated, and stopped: it starts on its host."""
    server = Postgres(place.root, place.logs)
    server.start()
    try:
        migrate.upgrade(server.url)
    finally:
        server.process.terminate(30)
    data = place.root / "postgres"
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("local all all trust\nhost all all 10.77.0.0/24 scram-sha-256\n")
    text = (data / "pg_hba.conf").read_text()
    first = "local all all trust\n"
    (data / "pg_hba.conf").write_text(first + text.replace(first, ""))
    socket = place.root / "socket"
    socket.mkdir()
    if user := server_user():
        os.chown(socket, *user)
    return server


@contextmanager
def stand(
    folder: Path, broker: str = "valkey", in_bucket: bool = False, **keys: Any
) -> Iterator[HostsFleet]:
    """in_bucket: the zones are in a bucket. keys: of the settings, above all tables."""
    with place_for_servers() as place:
        network = Network()
        try:
            yield HostsFleet(network, place, folder, broker, in_bucket, **keys)
        finally:
            network.end()


__all__ = ["Host", "HostsFleet", "stand"]
