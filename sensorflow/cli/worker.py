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
        int | None,
        typer.Option("-c", min=1, help="Maximum processes. Default: the setting `workers`."),
    ] = None,
    beat: Annotated[
        bool, typer.Option("--beat", help="Also schedule the reconciler. Only for one worker.")
    ] = False,
) -> None:
    """Run a worker: `celery -A workers worker` with autoscaling or, if broker_url belongs to another
    package, a fixed number of processes that consume its messages."""
    from sensorflow import bootstrap
    from sensorflow.embedded.stack import celery

    settings = bootstrap.settings(warn=False)
    count = concurrency or settings.workers
    if not settings.by_celery:
        if beat:
            line(
                "--beat has no effect: broker_url is not a Celery broker, and only Celery needs beat"
            )
        _loop(settings, count)
        return
    bootstrap.require_sessions(settings)
    bootstrap.broker_url(settings)
    scale = f"--autoscale={count},1"
    command = celery("worker", scale, f"--loglevel={settings.log_level}", *(["-B"] if beat else []))
    os.execv(command[0], command)


def _loop(settings: Settings, count: int) -> None:
    from sensorflow import bootstrap, memory

    memory.configure_allocator()  # before Arrow is imported, whose heap alone can exceed max_memory
    bootstrap.require_sessions(settings)
    from sensorflow.engine import loop

    loop.run(settings, count)
