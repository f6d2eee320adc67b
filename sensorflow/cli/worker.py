"""sensorflow worker"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow.cli.show import line

if TYPE_CHECKING:
    from sensorflow.settings import Settings


def worker(
    concurrency: Annotated[
        int | None, typer.Option("-c", min=1, help="Processes at most; default: the setting.")
    ] = None,
    beat: Annotated[
        bool, typer.Option("--beat", help="Also schedule the sweeper; in one worker only.")
    ] = False,
) -> None:
    """Work on files: `celery -A workers worker`, autoscaled; or, where broker_url is of another package,
    so many processes that ask it for messages."""
    from sensorflow import bootstrap
    from sensorflow.embedded.stack import celery

    settings = bootstrap.settings()
    count = concurrency or settings.workers
    if not settings.by_celery:
        if beat:
            line("--beat has no effect: only Celery needs it, and broker_url is of another package")
        _loop(settings, count)
        return
    bootstrap.require_sessions(settings)
    bootstrap.broker_url(settings)
    scale = f"--autoscale={count},1"
    command = celery("worker", scale, f"--loglevel={settings.log_level}", *(["-B"] if beat else []))
    os.execv(command[0], command)


def _loop(settings: Settings, count: int) -> None:
    from sensorflow import bootstrap, memory

    memory.frugal()  # before Arrow is imported: its own heap alone is as large as max_memory may be
    bootstrap.require_sessions(settings)
    from sensorflow.engine import loop

    loop.run(settings, count)
