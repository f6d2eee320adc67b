"""Start-up of a worker and of its children."""

from __future__ import annotations

import os
import time
from typing import Any

from billiard import current_process
from celery.signals import (
    task_received,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutdown,
)

from sensorflow import failpoints, tracing
from sensorflow.engine import child, watchdog
from sensorflow.errors import Code, Transient
from sensorflow.telemetry import Event, emit
from workers import process
from workers.configured import settings


@worker_init.connect
def warm(**_: Any) -> None:
    """Prepare the parent before it forks."""
    process.parent = os.getpid()
    child.warm(settings())


@worker_process_init.connect
def started(**_: Any) -> None:
    """Set up a child: open its own connections, and let it end when the parent ends."""
    process.forget()
    child.limit_memory(int(settings().max_memory))
    if process.parent != os.getpid():  # a pool that does not fork (solo) has no separate child
        try:
            child.join(process.board, current_process().index, process.parent)
            process.keeper()
        except (Transient, MemoryError) as error:  # no claims yet; its replacement may succeed
            emit(Event.WORK_REFUSED, code=Code.HOST, reason=str(error))
            time.sleep(1.0)
            os._exit(1)
    else:
        tracing.start("worker")


@worker_process_shutdown.connect
@worker_shutdown.connect
def ended(**_: Any) -> None:
    """Send the remaining spans, for a few seconds at most. Called at the end of a child, and at the end of
    a worker, because the pool of a worker may run tasks without forking children."""
    tracing.stop()


@task_received.connect
def received(**_: Any) -> None:
    """Called in the parent before a child gets the message."""
    failpoints.hit(failpoints.Failpoint.RECEIVED)


@worker_ready.connect
def watched(**_: Any) -> None:
    watchdog.watch(process.board, settings())
