"""Runs the servers and the other processes of `sensorflow up`."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sensorflow.cli.show import line
from sensorflow.embedded.log_target import LogTarget
from sensorflow.environment import folder as here
from sensorflow.errors import UsageError

if TYPE_CHECKING:
    from sensorflow.embedded.postgres import Postgres
    from sensorflow.embedded.process import Process
    from sensorflow.embedded.state import RunningStack
    from sensorflow.embedded.valkey import Valkey
    from sensorflow.settings import Settings


def require_sources(settings: Settings) -> None:
    """Raises UsageError if the settings have no source, or if a drop folder is not usable."""
    from sensorflow.folders import require_folders

    require_folders(settings)
    if not settings.sources:
        raise UsageError(
            "sensorflow.toml has no [sources.NAME] table: nothing to watch; "
            "add one with `sensorflow sources add`"
        )


class Stack:
    """The running stack: the servers and the fleet. The constructor starts the stack; the end of `stack`
    ends it.

    place: folder with the data of the embedded servers. stack: an ExitStack, to which the functions that
    end the processes are added. logs: where the processes write their logs. running: the record of the
    stack for other processes.
    """

    def __init__(
        self, settings: Settings, place: Path, stack: ExitStack, logs: LogTarget = LogTarget.FILES
    ) -> None:
        from sensorflow.embedded import state
        from sensorflow.embedded.logs import Rotation
        from sensorflow.embedded.stack import Supervisor
        from sensorflow.settings import find

        self.settings, self.place, self._logs = settings, place, logs
        self._stack = stack
        self._postgres: Postgres | None = None
        self._valkey: Valkey | None = None
        self._generation = self._port = 0
        self._path = find(here())
        self._copy = _copied(place, 0, self._path)
        self.running = self._servers(settings)
        self._rotation = Rotation(settings.data_folder / "logs", settings)
        self.supervisor = Supervisor(
            self._fleet(settings), self._processes(), each_turn=self._rotation.turn
        )
        stack.callback(self.supervisor.stop)
        self.supervisor.start()
        state.announce(place, self.running)

    def apply(self) -> None:
        """Read sensorflow.toml again, and restart the fleet with the new settings. If this raises
        UsageError or Transient, the stack is unchanged."""
        copy = _copied(self.place, self._generation + 1, self._path)
        before, self._copy = self._copy, copy
        try:
            self._apply(copy)
        except BaseException:
            self._copy = before
            copy.unlink(missing_ok=True)
            raise
        before.unlink(missing_ok=True)

    def as_copied(self) -> bool:
        """Returns whether the content of the settings files is the same as at the start of the fleet."""
        from sensorflow.settings import copied

        try:
            return copied(self._path) == self._copy.read_text("utf-8")
        except (UsageError, OSError):
            return False

    def _apply(self, copy: Path) -> None:
        from sensorflow import bootstrap
        from sensorflow.embedded import state

        settings = bootstrap.settings(copy=copy)
        require_sources(settings)
        if settings.data_folder != self.settings.data_folder:
            raise UsageError(
                f"data = {str(settings.data)!r} is a new data folder: restart `sensorflow up`"
            )
        before = self.running
        self.running = self._servers(settings)
        self._generation += 1
        try:
            processes = self._fleet(settings)
        except BaseException:
            self.running, self._generation = before, self._generation - 1
            raise
        self.settings = self._rotation.settings = settings
        self.supervisor.servers = self._processes()
        state.announce(self.place, self.running)
        self.supervisor.renew(processes)

    def tend_flower(self) -> None:
        """Change the port of Flower if Flower has ended because another program uses its port. A port that
        is set by `flower_port` is never changed."""
        from sensorflow.cli import flower
        from sensorflow.embedded import state

        port = flower.another_port(self.supervisor.processes, self.settings, self._port)
        if port != self._port:
            self._port = port
            self.running = replace(self.running, flower_url=f"http://127.0.0.1:{port}")
            state.announce(self.place, self.running)

    def _servers(self, settings: Settings) -> RunningStack:
        """Start the embedded servers that the settings need, if they are not running, and upgrade the
        database schema. Returns the record of the stack."""
        from sensorflow import bootstrap
        from sensorflow.adapters.postgres import index_mode, inspect, migrate, project
        from sensorflow.embedded.state import RunningStack

        database = settings.database or self._embedded_postgres().url
        given = settings.database_url
        plain = given.get_secret_value() if given else database
        broker = settings.broker_url
        inspect.require_sessions(database)
        migrate.upgrade(database)
        bootstrap.require_own_locations(settings, partial(project.project, database))
        if message := index_mode.set_index_mode(database, settings.deferred):
            line(message)
        url = broker.get_secret_value() if broker else self._embedded_valkey().url
        digest = settings.digest(plain, url)
        return RunningStack(
            pid=os.getpid(), database_url=plain, broker_url=url, digest=digest, logs=self._logs
        )

    def _embedded_postgres(self) -> Postgres:
        from sensorflow.embedded.postgres import Postgres

        if self._postgres is None:
            server = Postgres(self.place, self.settings.data_folder / "logs")
            server.process.where = self._logs
            self._stack.callback(server.process.terminate, 60.0)
            report(server.former, server.moved)
            server.start()
            self._postgres = server
        return self._postgres

    def _embedded_valkey(self) -> Valkey:
        from sensorflow.embedded.valkey import Valkey

        if self._valkey is None:
            server = Valkey(self.place, self.settings.data_folder / "logs")
            server.process.where = self._logs
            self._stack.callback(server.process.terminate, 30.0)
            report(server.former, server.moved)
            server.start()
            report(server.damage)
            self._valkey = server
        return self._valkey

    def _processes(self) -> list[Process]:
        """Returns the processes of all servers that were started. A server is included even if new settings
        no longer use it, because a worker with the old settings may need it to finish its file."""
        return [s.process for s in (self._postgres, self._valkey) if s is not None]

    def _fleet(self, settings: Settings) -> list[Process]:
        from sensorflow.cli import flower
        from sensorflow.embedded.stack import fleet
        from sensorflow.settings import COPY

        same = settings.flower_port == self.settings.flower_port and self._port
        if settings.by_celery:
            self._port = self._port if same else flower.port_for(settings)
        url = f"http://127.0.0.1:{self._port}" if settings.by_celery else None
        self.running = replace(self.running, flower_url=url)
        env = {
            "SENSORFLOW_DATABASE_URL": self.running.database_url,
            "SENSORFLOW_BROKER_URL": self.running.broker_url,
        }
        below = None
        if (
            self._path is None
        ):  # settings from the environment: paths are relative to the current folder
            below = settings.home
        else:
            env |= {"SENSORFLOW_CONFIG": str(self._path), COPY: str(self._copy)}
        processes = fleet(settings, self.place, env, self._port, self._generation, below)
        return [replace(process, where=self._logs) for process in processes]


def report(*lines: str) -> None:
    for text in filter(None, lines):
        line(text)
        sys.stdout.flush()


def _copied(place: Path, generation: int, path: Path | None) -> Path:
    """Write a copy of sensorflow.toml and its profile files, which only this user can read because it may
    contain passwords. Returns the path of the copy. Raises UsageError."""
    from sensorflow.embedded.state import write_secret
    from sensorflow.settings import copied

    copy = place / f"settings-{generation}.json"
    write_secret(copy, copied(path))
    return copy
