"""sensorflow up"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorflow.cli.show import line
from sensorflow.embedded.where import Where
from sensorflow.environment import folder as here
from sensorflow.errors import Misuse, Transient

if TYPE_CHECKING:
    from sensorflow.cli.ready import News
    from sensorflow.embedded.postgres import Postgres
    from sensorflow.embedded.process import Process
    from sensorflow.embedded.state import Running
    from sensorflow.embedded.valkey import Valkey
    from sensorflow.ports.catalog import Catalog
    from sensorflow.settings import Settings

REFRESH = 1.0
STARTING = 30.0
"""Seconds in which the processes may come up before their heartbeats are missed."""
AGAIN = 3.0
"""Seconds between tries of an edit that was refused."""
RESTART = "{} edited: daemon, workers and beat start again with it"


def up(
    reset: Annotated[
        bool, typer.Option("--reset", help="First remove all data of this project, after asking.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    logs: Annotated[
        Where,
        typer.Option(
            help="Where the programs log to: data/logs, this stdout, or systemd's journal."
        ),
    ] = Where.FILES,
) -> None:
    """Run everything here: PostgreSQL, Valkey, daemon, workers, beat and Flower. Ctrl-C stops all."""
    from sensorflow import bootstrap, steady
    from sensorflow.embedded import state
    from sensorflow.folders import require_data
    from sensorflow.service.notify import notify
    from sensorflow.settings import find

    settings = bootstrap.settings()
    _require_sources(settings)
    require_data(settings)
    if reset and settings.database_url is not None:
        raise Misuse(
            "--reset removes landed files, and the ledger of database_url still needs them; "
            "empty that database yourself, then remove the data folder"
        )
    steady.streams()
    with state.held(settings.data_folder) as place, _stopping() as stopped, ExitStack() as stack:
        if reset:
            _reset(settings, place, yes)
        edits = _Edits(find(here()), settings)
        running = _Stack(settings, place, stack, logs)
        _welcome(settings, running.running)
        notify("READY=1", f"STATUS=Flower: {running.running.flower_url}")
        _live(running, edits, stopped)
        notify("STOPPING=1", "STATUS=workers finish the file in hand")
        line("stopping: workers finish the file in hand")
        sys.stdout.flush()


def _require_sources(settings: Settings) -> None:
    """Raises Misuse."""
    from sensorflow.folders import require_folders

    require_folders(settings)
    if not settings.sources:
        raise Misuse("no [sources.*] in sensorflow.toml: nothing to watch; see `sensorflow init`")


@contextmanager
def _stopping() -> Iterator[list[int]]:
    """Collects the signals that ask us to end."""
    seen: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        seen.append(number)

    before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reset(settings: Settings, place: Path, yes: bool) -> None:
    data = settings.data_folder
    if not yes and not typer.confirm(f"Remove all data in {data} and {place}?"):
        raise Misuse("nothing was removed")
    for folder in (*place.iterdir(), *(data.iterdir() if data.is_dir() else ())):
        if folder.name == "lock" or folder == place:
            continue
        shutil.rmtree(folder) if folder.is_dir() else folder.unlink()


class _Stack:
    """What runs: servers, and a fleet that works with the newest settings that could be applied."""

    def __init__(
        self, settings: Settings, place: Path, stack: ExitStack, logs: Where = Where.FILES
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
        """The whole of sensorflow.toml as it is by now, or nothing of it. Raises Misuse or Transient."""
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
        """Whether the files still hold what the fleet works with."""
        from sensorflow.settings import copied

        try:
            return copied(self._path) == self._copy.read_text("utf-8")
        except (Misuse, OSError):
            return False

    def _apply(self, copy: Path) -> None:
        from sensorflow import bootstrap
        from sensorflow.embedded import state

        settings = bootstrap.settings(copy=copy)
        _require_sources(settings)
        if settings.data_folder != self.settings.data_folder:
            raise Misuse(
                f"data = {str(settings.data)!r} is another folder: restart `sensorflow up`"
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
        """Another program took its port before it could: another one is taken, unless it was asked for."""
        from sensorflow.cli import flower
        from sensorflow.embedded import state

        port = flower.another_port(self.supervisor.processes, self.settings, self._port)
        if port != self._port:
            self._port = port
            self.running = replace(self.running, flower_url=f"http://127.0.0.1:{port}")
            state.announce(self.place, self.running)

    def _servers(self, settings: Settings) -> Running:
        """Start what is not given by URL and does not run yet, and bring the schema up to date."""
        from sensorflow.adapters.postgres import inspect, migrate, settle
        from sensorflow.embedded.state import Running

        database = settings.database or self._embedded_postgres().url
        given = settings.database_url
        plain = given.get_secret_value() if given else database
        broker = settings.broker_url
        inspect.require_sessions(database)
        migrate.upgrade(database)
        if told := settle.settle(database, settings.deferred):
            line(told)
        url = broker.get_secret_value() if broker else self._embedded_valkey().url
        digest = settings.digest(plain, url)
        return Running(
            pid=os.getpid(), database_url=plain, broker_url=url, digest=digest, logs=self._logs
        )

    def _embedded_postgres(self) -> Postgres:
        from sensorflow.embedded.postgres import Postgres

        if self._postgres is None:
            server = Postgres(self.place, self.settings.data_folder / "logs")
            server.process.where = self._logs
            self._stack.callback(server.process.end, 60.0)
            _report(server.moved)
            server.start()
            self._postgres = server
        return self._postgres

    def _embedded_valkey(self) -> Valkey:
        from sensorflow.embedded.valkey import Valkey

        if self._valkey is None:
            server = Valkey(self.place, self.settings.data_folder / "logs")
            server.process.where = self._logs
            self._stack.callback(server.process.end, 30.0)
            _report(server.moved)
            server.start()
            _report(server.damage)
            self._valkey = server
        return self._valkey

    def _processes(self) -> list[Process]:
        """The servers, also one that the settings name no more: a worker may still finish with it."""
        return [s.process for s in (self._postgres, self._valkey) if s is not None]

    def _fleet(self, settings: Settings) -> list[Process]:
        from sensorflow.cli import flower
        from sensorflow.embedded.stack import fleet
        from sensorflow.settings import COPY

        same = settings.flower_port == self.settings.flower_port and self._generation
        port = self._port if same else flower.port_for(settings)
        self._port = port
        self.running = replace(self.running, flower_url=f"http://127.0.0.1:{port}")
        env = {
            "SENSORFLOW_DATABASE_URL": self.running.database_url,
            "SENSORFLOW_BROKER_URL": self.running.broker_url,
        }
        below = None
        if self._path is None:  # of variables alone: paths are below the folder that we are in
            below = settings.home
        else:
            env |= {"SENSORFLOW_CONFIG": str(self._path), COPY: str(self._copy)}
        made = fleet(settings, self.place, env, port, self._generation, below)
        return [replace(process, where=self._logs) for process in made]


def _report(*lines: str) -> None:
    for text in filter(None, lines):
        line(text)
        sys.stdout.flush()


def _news(running: _Stack) -> News:
    from sensorflow import bootstrap
    from sensorflow.cli.ready import News

    settings = running.settings
    folders = (settings.data_folder, running.place)
    return News(running.supervisor, lambda: bootstrap.ledger(settings, "up"), folders)


def _copied(place: Path, generation: int, path: Path | None) -> Path:
    """A copy of sensorflow.toml and of its profile files as they are now, which may hold passwords. Raises
    Misuse."""
    from sensorflow.embedded.state import write_secret
    from sensorflow.settings import copied

    copy = place / f"settings-{generation}.json"
    write_secret(copy, copied(path))
    return copy


def _welcome(settings: Settings, running: Running) -> None:
    from sensorflow import bootstrap

    for name, source in settings.sources.items():
        line(f"drop files into  {settings.path(source.path)}  (source {name})")
    line(f"Flower           {running.flower_url}")
    word, where = bootstrap.flower_password(settings)
    shown = f"password {word}" if sys.stdout.isatty() else where  # a terminal is no log
    line(f"                 user {settings.flower_user}, {shown}")
    line("elsewhere        sensorflow status | files ls | quarantine ls | db shell")
    line("Ctrl-C stops all; nothing in hand is lost")
    line("starting         daemon, workers, beat and Flower")
    sys.stdout.flush()


class _Edits:
    """Applies edits of sensorflow.toml and of its profile files. One that is refused for a reason outside
    of the file (a folder that is missing, a database that is away) is tried again; the reason is printed
    once. Whatever it is, what runs goes on."""

    def __init__(self, path: Path | None, settings: Settings) -> None:
        self._path = path
        self._seen = self._stamps(settings)
        self._next = 0.0
        self._refused = ""
        self._edited: list[str] = []

    def _stamps(self, settings: Settings) -> dict[Path, tuple[int, int, int] | None]:
        """Of sensorflow.toml, and of the profile files that it names."""
        paths = [*([self._path] if self._path else []), *settings.profile_files.values()]
        return {path: _stamp(path) for path in paths}

    def apply(self, running: _Stack) -> bool:
        """Whether there are new settings by now."""
        now = self._stamps(running.settings)
        edited = [path.name for path, stamp in now.items() if stamp != self._seen.get(path)]
        if not edited and not (self._refused and time.monotonic() >= self._next):
            return False
        if edited and not self._refused and running.as_copied():
            self._seen = now  # a profile file that the last edit was the first to name, or a touch
            return False
        if edited:
            self._refused, self._edited = "", edited
        self._seen, self._next = now, time.monotonic() + AGAIN
        try:
            running.apply()
        except Exception as error:  # noqa: BLE001 - no edit ends what runs
            known = isinstance(error, Misuse | Transient)
            what = " ".join(str(error).split())[:300]
            reason = str(error) if known else f"{type(error).__name__}: {what}"
            if reason != self._refused:
                line(f"{reason}\nthe stack goes on with the settings that it has")
                sys.stdout.flush()
            self._refused = reason
            return False
        self._refused = ""
        line(RESTART.format(", ".join(self._edited)))
        sys.stdout.flush()
        return True


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _live(running: _Stack, edits: _Edits, stopped: list[int]) -> None:
    """Until a signal: watch the processes and the settings, and show what the ledger says."""
    from rich.console import Console
    from rich.live import Live

    console, news = Console(), _news(running)
    if not console.is_terminal:
        while not stopped:
            _report(*news.lines())
            running.tend_flower()
            running.supervisor.check()
            if edits.apply(running):
                news = _news(running)
            time.sleep(0.2)
        return
    view = _View(running)
    with Live(console=console, auto_refresh=False) as live:
        while not stopped:
            _report(*news.lines())
            running.tend_flower()
            running.supervisor.check()
            if edits.apply(running):
                view, news = _View(running), _news(running)
            live.update(view.render(), refresh=True)
            for _ in range(int(REFRESH / 0.1)):
                if not stopped:
                    time.sleep(0.1)


class _View:
    """The live table: files by state, rows a second, backlog, processes."""

    def __init__(self, running: _Stack) -> None:
        from sensorflow import bootstrap

        self._ledger: Catalog = bootstrap.ledger(running.settings, "up")
        self._supervisor = running.supervisor
        self._last: tuple[float, int] | None = None
        self._began = time.monotonic()

    def render(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        from sensorflow.cli import status
        from sensorflow.cli.show import made_table

        try:
            health, totals = self._health(), self._ledger.totals()
        except Transient as error:
            return Text(str(error))
        heads = ("source", "files", *status.STATES, "rows loaded")
        table = made_table("", heads, status.rows(totals))
        backlog = sum(s.pending + s.running for s in totals.values())
        rate = self._rate(status.sums_of(totals).rows_loaded)
        words = f"{rate:,.0f} rows/s | backlog {backlog:,} files | {health}"
        return Group(table, Text(words), Text(status.balance(totals)))

    def _health(self) -> str:
        """By the word of the processes themselves: one that is stopped or hangs is alive and does not
        answer."""
        from sensorflow.adapters.host import has_ended
        from sensorflow.core.health import health, summary

        down = [p.name for p in self._supervisor.all if not p.alive]
        if down:
            return f"starting again: {', '.join(down)}"
        if time.monotonic() - self._began < STARTING:
            return "all processes run"
        told = summary(list(health(self._ledger.heartbeats(), None, has_ended)))
        return "all processes run and answer" if told == "ok" else told

    def _rate(self, rows: int) -> float:
        now, before = time.monotonic(), self._last
        self._last = (now, rows)
        if before is None or now <= before[0]:
            return 0.0
        return max(0.0, (rows - before[1]) / (now - before[0]))
