"""The Celery tasks. Each task takes one message (a CloudEvents object), and uses only the ids of the files
in it."""

from __future__ import annotations

import gc
from typing import Any

from celery import shared_task

from sensorflow.adapters.queues.celery import INGEST, RETAIN, SWEEP, task_name
from sensorflow.core.arrival import file_ids_of
from sensorflow.core.states import Stage
from sensorflow.errors import SensorflowError
from sensorflow.flow.gold import GOLD
from sensorflow.flow.housekeeping import TIDY
from sensorflow.flow.process import process
from sensorflow.ports.queue import Task
from workers.outcome import report_results
from workers.process import housekeeping, keep, publisher, services
from workers.request import Message, PoolRequest

EXPECTED = (SensorflowError,)
"""Faults of files, and unavailable servers. Celery logs them as one line without a traceback."""

# sweep and retain send no events, because an event every 15 s would fill Flower's first page


def _run(message: dict[str, Any], only: Stage | None = None) -> str:
    """Process the files of a message. only: the stage to run; None for all stages. If a message is for one
    stage, its chain contains the messages for the following stages."""
    return report_results(
        process(services(), Task(file_ids_of(message), only, next_sent=True), keep)
    )


@shared_task(name=task_name(INGEST), throws=EXPECTED, Request=Message)
def ingest(message: dict[str, Any]) -> str:
    """Run all stages for one file, or for several small files."""
    return _run(message)


@shared_task(name=task_name(Stage.VALIDATE), throws=EXPECTED, Request=Message)
def validate(message: dict[str, Any]) -> str:
    return _run(message, Stage.VALIDATE)


@shared_task(name=task_name(Stage.TRANSFORM), throws=EXPECTED, Request=Message)
def transform(message: dict[str, Any]) -> str:
    return _run(message, Stage.TRANSFORM)


@shared_task(name=task_name(Stage.LOAD), throws=EXPECTED, Request=Message)
def load(message: dict[str, Any]) -> str:
    return _run(message, Stage.LOAD)


@shared_task(name=task_name(Stage.QUARANTINE), throws=EXPECTED, Request=Message)
def quarantine(message: dict[str, Any]) -> str:
    return _run(message, Stage.QUARANTINE)


@shared_task(name=task_name(SWEEP), throws=EXPECTED, Request=PoolRequest, send_events=False)
def sweep() -> str:
    """Reconcile: send stale messages again, and collect the garbage of finished files. Refresh the
    aggregates, if no daemon does."""
    return _done(SWEEP, TIDY, GOLD) or "another process has just done it"


@shared_task(name=task_name(RETAIN), throws=EXPECTED, Request=PoolRequest, send_events=False)
def retain() -> str:
    """Apply retention, seal past months, and create, drop and index months."""
    return _done(RETAIN) or "nothing expires"


def _done(*steps: str) -> str:
    try:
        done = housekeeping().run(*steps)
    finally:
        publisher().disconnect()  # a child publishes rarely: of forty, none keeps a connection for it
        # For example, a closed connection of py-amqp is a reference cycle that holds 128 KiB, and the
        # collector of a child runs after 10,000 new objects: it would keep hundreds of connections.
        gc.collect()
    return " ".join(f"{what}={count}" for what, count in done.items())
