"""sensorflow up"""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow.cli.show import line
from sensorflow.cli.up.edits import Edits
from sensorflow.cli.up.live import live, print_addresses
from sensorflow.cli.up.stack import Stack, require_sources
from sensorflow.embedded.log_target import LogTarget
from sensorflow.environment import folder as here
from sensorflow.errors import UsageError

if TYPE_CHECKING:
    from sensorflow.settings import Settings


def up(
    reset: Annotated[
        bool,
        typer.Option(
            "--reset",
            help="First remove all data of this project, after a confirmation. "
            "Works only with the embedded database.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Only with --reset: do not ask.")] = False,
    logs: Annotated[
        LogTarget,
        typer.Option(help="Write the logs to files in data/logs, to stdout, or to the journal."),
    ] = LogTarget.FILES,
) -> None:
    """Run PostgreSQL, Valkey, daemon, workers, beat and Flower on this host, until Ctrl-C."""
    from sensorflow import bootstrap, lossy_stream
    from sensorflow.embedded import state
    from sensorflow.folders import require_data
    from sensorflow.service.notify import notify
    from sensorflow.settings import find

    settings = bootstrap.settings()
    require_sources(settings)
    require_data(settings)
    if reset and settings.database_url is not None:
        raise UsageError(
            "--reset works only with the embedded database: the database of database_url would still refer "
            "to the removed files. Empty that database yourself, then remove the data folder"
        )
    if reset and (zone := settings.storage.elsewhere()) is not None:
        raise UsageError(
            f"--reset empties only the data folder, but {zone} is not in that folder: its old files would "
            "conflict with new ones. Empty it yourself, then remove the data folder"
        )
    lossy_stream.install()
    with (
        state.exclusive(settings.data_folder) as place,
        _record_signals() as stopped,
        ExitStack() as stack,
    ):
        if reset:
            _reset(settings, place, yes)
        edits = Edits(find(here()), settings)
        running = Stack(settings, place, stack, logs)
        print_addresses(settings, running.running)
        flower = running.running.flower_url
        notify("READY=1", f"STATUS=Flower: {flower}" if flower else "STATUS=no Flower")
        live(running, edits, stopped)
        notify("STOPPING=1", "STATUS=workers finish their current files")
        line("stopping: workers finish their current files")
        sys.stdout.flush()


@contextmanager
def _record_signals() -> Iterator[list[int]]:
    """Provides a list to which the signals SIGINT, SIGTERM and SIGHUP are added when they arrive."""
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
        raise UsageError("not confirmed: nothing was removed")
    for folder in (*place.iterdir(), *(data.iterdir() if data.is_dir() else ())):
        if folder.name == "lock" or folder == place:
            continue
        shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
