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
from sensorflow.errors import Misuse, Transient

if TYPE_CHECKING:
    from sensorflow.embedded.process import Process
    from sensorflow.embedded.stack import Supervisor
    from sensorflow.embedded.state import Running
    from sensorflow.ports import Ledger
    from sensorflow.settings import Settings

REFRESH = 1.0
RESTART = "sensorflow.toml was edited: daemon, workers and beat start again with it"


def up(
    reset: Annotated[
        bool, typer.Option("--reset", help="First remove all data of this project, after asking.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Run everything here: PostgreSQL, Valkey, daemon, workers, beat and Flower. Ctrl-C stops all."""
    from sensorflow import bootstrap, steady
    from sensorflow.cli import init
    from sensorflow.embedded import state
    from sensorflow.settings import find, require_folders

    if find(Path.cwd()) is None:
        line(f"no sensorflow.toml here: wrote {init.write(Path())}, with the folder drop/readings/")
    settings = bootstrap.settings()
    require_folders(settings)
    if not settings.sources:
        raise Misuse("no [sources.*] in sensorflow.toml: nothing to watch; see `sensorflow init`")
    if reset and settings.database_url is not None:
        raise Misuse(
            "--reset removes landed files, and the ledger of database_url still needs them; "
            "empty that database yourself, then remove the data folder"
        )
    steady.streams()
    with state.held(settings.data_folder) as place, _stopping() as stopped, ExitStack() as stack:
        if reset:
            _reset(settings, place, yes)
        running, servers = _servers(settings, place, stack)
        supervisor, running = _fleet(settings, place, running, stack)
        supervisor.servers = servers
        state.announce(place, running)
        _welcome(settings, running)
        _live(settings, supervisor, _Edits(find(Path.cwd())), stopped)
        line("stopping: workers finish the file in hand")


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


def _servers(settings: Settings, place: Path, stack: ExitStack) -> tuple[Running, list[Process]]:
    """Start what is not given by URL, and bring the schema up to date."""
    from sensorflow.adapters.postgres import migrate, settle
    from sensorflow.embedded.postgres import Postgres
    from sensorflow.embedded.state import Running
    from sensorflow.embedded.valkey import Valkey

    logs = settings.data_folder / "logs"
    urls = {"database_url": "", "broker_url": ""}
    servers: list[Process] = []
    if settings.database_url is None:
        server = Postgres(place, logs)
        stack.callback(server.process.end, 60.0)
        server.start()
        servers.append(server.process)
        urls["database_url"] = server.url
    else:
        urls["database_url"] = settings.database_url.get_secret_value()
    if settings.broker_url is None:
        broker = Valkey(place, logs)
        stack.callback(broker.process.end, 30.0)
        broker.start()
        servers.append(broker.process)
        urls["broker_url"] = broker.url
    else:
        urls["broker_url"] = settings.broker_url.get_secret_value()
    migrate.upgrade(settings.database or urls["database_url"])
    if told := settle.settle(settings.database or urls["database_url"], settings.deferred):
        line(told)
    return Running(pid=os.getpid(), **urls), servers


def _fleet(
    settings: Settings, place: Path, running: Running, stack: ExitStack
) -> tuple[Supervisor, Running]:
    from sensorflow.embedded.process import free_port
    from sensorflow.embedded.stack import Supervisor, fleet
    from sensorflow.settings import FILE_NAME, find

    port = free_port(settings.flower_port)
    env = {
        "SENSORFLOW_DATABASE_URL": running.database_url,
        "SENSORFLOW_BROKER_URL": running.broker_url,
        "SENSORFLOW_CONFIG": str(find(Path.cwd()) or settings.home / FILE_NAME),
    }
    supervisor = Supervisor(fleet(settings, place, env, port))
    stack.callback(supervisor.stop)
    supervisor.start()
    return supervisor, replace(running, flower_url=f"http://127.0.0.1:{port}")


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
    sys.stdout.flush()


class _Edits:
    """Tells when sensorflow.toml was edited, once for each edit."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen = self._stamp()

    def _stamp(self) -> int | None:
        try:
            return None if self._path is None else self._path.stat().st_mtime_ns
        except OSError:
            return self._seen

    def accepted(self) -> str | None:
        """What to tell the person about a new edit; the fleet is to start again if it is RESTART."""
        from sensorflow import bootstrap
        from sensorflow.settings import require_folders

        now = self._stamp()
        if now == self._seen:
            return None
        self._seen = now
        try:
            require_folders(bootstrap.settings())
        except Misuse as error:
            return f"{error}\nthe stack goes on with the settings that it has"
        return RESTART


def _live(settings: Settings, supervisor: Supervisor, edits: _Edits, stopped: list[int]) -> None:
    """Until a signal: watch the processes and the settings, and show what the ledger says."""
    from rich.console import Console
    from rich.live import Live

    from sensorflow import bootstrap

    ledger = bootstrap.ledger(settings, "up")
    console = Console()
    view = _View(ledger, supervisor)
    if not console.is_terminal:
        while not stopped:
            supervisor.check()
            _heed(edits, supervisor)
            time.sleep(0.2)
        return
    with Live(console=console, auto_refresh=False) as live:
        while not stopped:
            supervisor.check()
            _heed(edits, supervisor)
            live.update(view.render(), refresh=True)
            for _ in range(int(REFRESH / 0.1)):
                if not stopped:
                    time.sleep(0.1)


def _heed(edits: _Edits, supervisor: Supervisor) -> None:
    """New settings hold for every file from now on: all but the servers start again."""
    news = edits.accepted()
    if news is None:
        return
    line(news)
    sys.stdout.flush()
    if news == RESTART:
        supervisor.renew()


class _View:
    """The live table: files by state, rows a second, backlog, processes."""

    def __init__(self, ledger: Ledger, supervisor: Supervisor) -> None:
        self._ledger = ledger
        self._supervisor = supervisor
        self._last: tuple[float, int] | None = None

    def render(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        from sensorflow.cli import status
        from sensorflow.cli.show import made_table

        down = [p.name for p in self._supervisor.all if not p.alive]
        health = f"starting again: {', '.join(down)}" if down else "all processes run"
        try:
            totals = self._ledger.totals()
        except Transient as error:
            return Text(f"{health} | {error}")
        heads = ("source", "files", *status.STATES, "rows loaded")
        table = made_table("", heads, status.rows(totals))
        backlog = sum(s["pending"] + s["running"] for s in totals.values())
        rate = self._rate(status.sums_of(totals)["rows_loaded"])
        words = f"{rate:,.0f} rows/s | backlog {backlog:,} files | {health}"
        return Group(table, Text(words), Text(status.balance(totals)))

    def _rate(self, rows: int) -> float:
        now, before = time.monotonic(), self._last
        self._last = (now, rows)
        if before is None or now <= before[0]:
            return 0.0
        return max(0.0, (rows - before[1]) / (now - before[0]))
