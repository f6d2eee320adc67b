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
        typer.Option(
            "-c",
            min=1,
            help="Number of processes; with Celery, the maximum. Default: the setting `workers`.",
        ),
    ] = None,
    beat: Annotated[
        bool,
        typer.Option(
            "--beat",
            help="Only with Celery: also run beat, the scheduler of the reconciler. Use this for one "
            "worker only.",
        ),
    ] = False,
) -> None:
    """Run a worker, which loads files.

    With Celery, this is `celery -A workers worker` with autoscaling. With a broker that an installed
    package adds, a fixed number of processes receive the messages.
    """
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
    scale = f"--autoscale={count},1"
    command = celery("worker", scale, f"--loglevel={settings.log_level}", *(["-B"] if beat else []))
    os.execv(command[0], command)


def _loop(settings: Settings, count: int) -> None:
    from sensorflow import bootstrap, memory, stores

    memory.configure_allocator()  # before Arrow is imported, whose heap alone can exceed max_memory
    stores.require_access(settings, bootstrap.project_of(settings))
    bootstrap.require_sessions(settings)
    from sensorflow.engine import loop

    loop.run(settings, count)
