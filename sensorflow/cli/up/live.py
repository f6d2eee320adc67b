"""Prints the output of `sensorflow up`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from sensorflow.cli.show import line
from sensorflow.cli.up.edits import Edits
from sensorflow.cli.up.stack import Stack, report
from sensorflow.errors import Transient

if TYPE_CHECKING:
    from sensorflow.cli.ready import ReadinessReport
    from sensorflow.embedded.state import RunningStack
    from sensorflow.ports.catalog import Catalog
    from sensorflow.settings import Settings

REFRESH = 1.0

STARTING = 30.0
"""Seconds after the start during which missing heartbeats are not reported."""


def _readiness(running: Stack) -> ReadinessReport:
    from sensorflow import bootstrap
    from sensorflow.cli.ready import ReadinessReport

    settings = running.settings
    folders = (settings.data_folder, running.place)
    return ReadinessReport(running.supervisor, lambda: bootstrap.ledger(settings, "up"), folders)


def print_addresses(settings: Settings, running: RunningStack) -> None:
    for name, source in settings.folders.items():
        line(f"drop files into  {settings.path(source.path)}  (source {name})")
    _flower(settings, running)
    line("other terminal   sensorflow status | files ls | quarantine ls | db shell")
    line("Ctrl-C stops everything; no data is lost")
    line(f"starting         daemon, workers{', beat and Flower' if settings.by_celery else ''}")
    sys.stdout.flush()


def _flower(settings: Settings, running: RunningStack) -> None:
    from sensorflow.embedded.flower import flower_password
    from sensorflow.plugins import scheme

    if running.flower_url is None:
        line(
            f"no Flower        Flower shows Celery tasks, and {scheme(running.broker_url)}:// has none"
        )
        return
    line(f"Flower           {running.flower_url}")
    word, where = flower_password(settings)
    shown = f"password {word}" if sys.stdout.isatty() else where  # a log must not contain it
    line(f"                 user {settings.flower_user}, {shown}")


def live(running: Stack, edits: Edits, stopped: list[int]) -> None:
    """Supervise the processes, apply changes of the settings, and show the state of the files, until a
    signal arrives. stopped: a list to which a signal handler adds the signals that end the stack."""
    from rich.console import Console
    from rich.live import Live

    console, news = Console(), _readiness(running)
    if not console.is_terminal:
        while not stopped:
            report(*news.lines())
            running.tend_flower()
            running.supervisor.check()
            if edits.apply(running):
                news = _readiness(running)
            time.sleep(0.2)
        return
    view = _View(running)
    with Live(console=console, auto_refresh=False) as screen:
        while not stopped:
            report(*news.lines())
            running.tend_flower()
            running.supervisor.check()
            if edits.apply(running):
                view, news = _View(running), _readiness(running)
            screen.update(view.render(), refresh=True)
            for _ in range(int(REFRESH / 0.1)):
                if not stopped:
                    time.sleep(0.1)


class _View:
    """The live view of `sensorflow up`: files by state, rows per second, backlog, and health of the
    processes."""

    def __init__(self, running: Stack) -> None:
        from sensorflow import bootstrap

        self._ledger: Catalog = bootstrap.ledger(running.settings, "up")
        self._supervisor = running.supervisor
        self._by_celery = running.settings.by_celery
        self._last: tuple[float, int] | None = None
        self._began = time.monotonic()

    def render(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        from sensorflow.cli import status
        from sensorflow.cli.show import empty_table

        try:
            health, totals = self._health(), self._ledger.totals()
        except Transient as error:
            return Text(str(error))
        heads = ("source", "files", *status.STATES, "rows loaded")
        table = empty_table("", heads, status.rows(totals))
        backlog = sum(s.pending + s.running for s in totals.values())
        rate = self._rate(sum(t.rows_loaded for t in totals.values()))
        words = f"{rate:,.0f} rows/s | backlog {backlog:,} files | {health}"
        return Group(table, Text(words), Text(status.balance(totals)))

    def _health(self) -> str:
        """Returns a text about the health of the processes. It is based on heartbeats, because a suspended
        (SIGSTOP) or hung process exists but sends no heartbeats."""
        from sensorflow.adapters.host import has_ended
        from sensorflow.core.health import health, summary

        down = [p.name for p in self._supervisor.all if not p.is_alive]
        if down:
            return f"restarting: {', '.join(down)}"
        if time.monotonic() - self._began < STARTING:
            return "all processes are running"
        beats = self._ledger.heartbeats()
        text = summary(list(health(beats, None, has_ended, self._by_celery)))
        return "all processes are running and answer" if text == "ok" else text

    def _rate(self, rows: int) -> float:
        now, before = time.monotonic(), self._last
        self._last = (now, rows)
        if before is None or now <= before[0]:
            return 0.0
        return max(0.0, (rows - before[1]) / (now - before[0]))
