"""sensorflow worker"""

from __future__ import annotations

import os
from typing import Annotated

import typer


def worker(
    concurrency: Annotated[
        int | None, typer.Option("-c", min=1, help="Processes at most; default: the setting.")
    ] = None,
    beat: Annotated[
        bool, typer.Option("--beat", help="Also schedule the sweeper; in one worker only.")
    ] = False,
) -> None:
    """Work on files: `celery -A workers worker`, autoscaled."""
    from sensorflow import bootstrap
    from sensorflow.embedded.stack import celery

    settings = bootstrap.settings()
    bootstrap.require_sessions(settings)
    bootstrap.broker_url(settings)
    scale = f"--autoscale={concurrency or settings.workers},1"
    command = celery("worker", scale, f"--loglevel={settings.log_level}", *(["-B"] if beat else []))
    os.execv(command[0], command)
