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
from sensorflow.errors import Misuse
from sensorflow.flow.choose import near

if TYPE_CHECKING:
    from sensorflow.cli.loglines import Line, Tail
    from sensorflow.settings import Settings

NAMES = ("daemon", "worker", "beat", "flower", "postgres", "valkey")
COLOURS = ("cyan", "green", "magenta", "blue", "yellow", "red")
LINES = 100
LOOK = 0.3
"""Seconds between looks for more."""


def logs(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help=f"Of {', '.join(NAMES)}.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Only what was said since: {times.SINCE}")
    ] = None,
    lines: Annotated[
        int | None,
        typer.Option("--lines", "-n", min=0, help=f"The last ones; default: {LINES}."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="A JSON object each line.")] = False,
) -> None:
    """What daemon, workers, beat, Flower and the servers say, together in the order of time."""
    from sensorflow import bootstrap
    from sensorflow.cli.loglines import Tail, merged

    wanted = _known(names or [])
    after = times.given(since, "--since")
    settings = bootstrap.settings()
    _elsewhere(settings, wanted, follow, after, lines, json)
    folder = settings.data_folder / "logs"
    tails = [Tail(folder / f"{name}.log") for name in wanted]
    if not folder.is_dir():
        raise Misuse(
            f"no logs in {folder}: `sensorflow up` writes them there; what is started by hand logs to its "
            "own stderr, and services of systemd to the journal, see `sensorflow service status`"
        )
    show = _Shown(json)
    most = lines if lines is not None else (None if after else LINES)
    found = merged(tails, None if after else most, after)
    show.all(deque((line for line in found if after is None or line.at >= after), most))
    while follow:
        time.sleep(LOOK)
        show.all(_more(tails))


def _known(names: list[str]) -> tuple[str, ...]:
    """Raises Misuse."""
    for name in names:
        if name not in NAMES:
            raise Misuse(f"no log of {name!r}; {near(name, NAMES)}")
    return tuple(name for name in NAMES if not names or name in names)


def _more(tails: list[Tail]) -> list[Line]:
    return sorted((line for tail in tails for line in tail.new()), key=lambda line: line.at)


def _elsewhere(
    settings: Settings,
    wanted: tuple[str, ...],
    follow: bool,
    after: datetime | None,
    lines: int | None,
    json: bool,
) -> None:
    """Become journalctl where the logs are in the journal; go on where they are in files."""
    from sensorflow.embedded import state
    from sensorflow.service.manager import journal, units_of
    from sensorflow.settings import find

    running = state.running(settings.data_folder)
    if running is not None and running.logs == "stdout":
        raise Misuse(f"the stack (pid {running.pid}) was started with --logs stdout: look there")
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
        raise Misuse(f"the logs are in the journal, and journalctl: {error.strerror}") from error


class _Shown:
    """Prints lines, the names of processes in colours on a terminal."""

    def __init__(self, json: bool) -> None:
        self._json = json
        self._colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def all(self, lines: Iterable[Line]) -> None:
        for line in lines:
            sys.stdout.write(self._one(line) + "\n")
        sys.stdout.flush()

    def _one(self, line: Line) -> str:
        from sensorflow.shown import json_of, shown

        if self._json:
            at = line.at.astimezone(UTC).isoformat(timespec="milliseconds")
            return json_of({"time": at, "process": line.name, "text": line.text})
        known = line.at.timestamp() > 0
        at = f"{line.at.astimezone():%Y-%m-%d %H:%M:%S.%f}"[:-3] if known else " " * 23
        name = f"{line.name:<8}"
        if self._colour:
            name = typer.style(name, fg=COLOURS[NAMES.index(line.name)])
        return f"{at}  {name}  {shown(line.text)}"
