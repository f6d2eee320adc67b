"""sensorflow logs"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow.cli import times
from sensorflow.environment import folder as here
from sensorflow.errors import UsageError
from sensorflow.flow.choose import suggestion

if TYPE_CHECKING:
    from sensorflow.cli.loglines import LogLine, LogTail
    from sensorflow.settings import Settings

NAMES = ("daemon", "worker", "beat", "flower", "postgres", "valkey")
COLOURS = ("cyan", "green", "magenta", "blue", "yellow", "red")
LINES = 100
POLL_SECONDS = 0.3
"""Seconds between polls of the files."""


def logs(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help=f"Only these logs: {', '.join(NAMES)}."),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep printing new lines.")
    ] = False,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Only lines since TIME: {times.SINCE}")
    ] = None,
    lines: Annotated[
        int | None,
        typer.Option(
            "--lines",
            "-n",
            min=0,
            help=f"Number of lines to show. Default: {LINES}; with --since, all.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
) -> None:
    """Show the logs of daemon, workers, beat, Flower and the servers, in order of time."""
    from sensorflow import bootstrap
    from sensorflow.cli.loglines import LogTail, merged

    wanted = _known(names or [])
    after = times.given(since, "--since")
    settings = bootstrap.settings()
    _elsewhere(settings, wanted, follow, after, lines, json)
    folder = settings.data_folder / "logs"
    tails = [LogTail(folder / f"{name}.log") for name in wanted]
    if not folder.is_dir():
        raise UsageError(
            f"no logs in {folder}: `sensorflow up` writes them there; processes started by hand log to "
            "stderr, systemd services to the journal: see `sensorflow service status`"
        )
    show = _Shown(json)
    limit = lines if lines is not None else (None if after else LINES)
    found = merged(tails, None if after else limit, after)
    show.all(deque((line for line in found if after is None or line.at >= after), limit))
    while follow:
        time.sleep(POLL_SECONDS)
        show.all(_more(tails))


def _known(names: list[str]) -> tuple[str, ...]:
    """Returns the names of the logs to show, in the order of `NAMES`; all logs if `names` is empty. Raises
    UsageError for an unknown name."""
    for name in names:
        if name not in NAMES:
            raise UsageError(f"no log of {name!r}; {suggestion(name, NAMES)}")
    return tuple(name for name in NAMES if not names or name in names)


def _more(tails: list[LogTail]) -> list[LogLine]:
    return sorted((line for tail in tails for line in tail.new()), key=lambda line: line.at)


def _elsewhere(
    settings: Settings,
    wanted: tuple[str, ...],
    follow: bool,
    after: datetime | None,
    lines: int | None,
    json: bool,
) -> None:
    """Replace this process by journalctl if the logs are in the journal. Returns if the logs are in files.
    Raises UsageError if they are on the stdout of the stack."""
    from sensorflow.embedded import state
    from sensorflow.service.manager import journal, units_of
    from sensorflow.settings import find

    running = state.running(settings.data_folder)
    if running is not None and running.logs == "stdout":
        raise UsageError(f"the stack (pid {running.pid}) logs to its own stdout (--logs stdout)")
    path = find(here())
    found = units_of(path.absolute()) if path else None
    if found is None or (running is not None and running.logs == "files"):
        return
    command = journal(*found)
    if len(wanted) < len(NAMES):
        command += [f"--identifier={name}" for name in wanted]
    if follow:
        command.append("--follow")
    if after is not None:
        command.append(f"--since=@{after.timestamp():.0f}")
    if lines is not None or after is None:
        command.append(f"--lines={LINES if lines is None else lines}")
    command.append("--output=json" if json else "--output=short-iso")
    try:
        os.execvp(command[0], command)
    except OSError as error:
        raise UsageError(
            f"the logs are in the journal, but journalctl cannot run: {error.strerror}"
        ) from error


class _Shown:
    """Prints log lines. On a terminal, each process name has its own colour."""

    def __init__(self, json: bool) -> None:
        self._json = json
        self._colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def all(self, lines: Iterable[LogLine]) -> None:
        for line in lines:
            sys.stdout.write(self._one(line) + "\n")
        sys.stdout.flush()

    def _one(self, line: LogLine) -> str:
        from sensorflow.escaping import escape, to_json

        if self._json:
            at = line.at.astimezone(UTC).isoformat(timespec="milliseconds")
            return to_json({"time": at, "process": line.name, "text": line.text})
        known = line.at.timestamp() > 0
        at = f"{line.at.astimezone():%Y-%m-%d %H:%M:%S.%f}"[:-3] if known else " " * 23
        name = f"{line.name:<8}"
        if self._colour:
            name = typer.style(name, fg=COLOURS[NAMES.index(line.name)])
        return f"{at}  {name}  {escape(line.text)}"
