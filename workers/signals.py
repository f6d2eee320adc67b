"""What a worker does when it starts."""

from __future__ import annotations

import gc
import io
import os
import resource
import time
from functools import partial
from typing import Any

import pyarrow as pa
from billiard import current_process
from celery.signals import task_received, worker_init, worker_process_init, worker_ready

from sensorflow import bootstrap, crash, threads
from sensorflow.core.binding.place import Place
from sensorflow.core.keys import keys
from sensorflow.core.occurrences import Occurrences
from sensorflow.core.profile import Profile
from sensorflow.core.quality import Watch
from sensorflow.core.reading import read
from sensorflow.core.reshape import reshape
from sensorflow.engine import watchdog
from sensorflow.errors import Code, Transient
from sensorflow.flow import deadlines
from sensorflow.telemetry import Event, emit
from workers import process
from workers.configured import settings

_SAMPLE = b"t,s,k,v\n2026-01-01T00:00:00Z,s,k,1\n2026-01-01,s,k,x\n"
_PROFILE = {"format": "csv", "time": "t", "sensor": "s", "type": "k", "value": "v"}


@worker_init.connect
def warm(**_: Any) -> None:
    """Before the fork: read a tiny file once, so that what libraries import late is shared.

    pyarrow's own handlers of signals would begin a thread for each small file, and take Celery's SIGTERM.
    """
    pa.enable_signal_handlers(False)
    process.parent = os.getpid()
    profile = Profile.model_validate(_PROFILE)
    for accepted in read(io.BytesIO(_SAMPLE), profile, Place("warm.csv"), io.BytesIO):
        keys(reshape(accepted.bronze, Watch({}), Occurrences()).silver, "warm.csv")
    import sensorflow.adapters.postgres.together  # noqa: F401 - a ledger does so at its first load

    ledger = bootstrap.ledger(settings(), "warm")  # loads the driver; connects to nothing
    bootstrap.world(settings(), "warm", ledger)
    ledger.close()
    gc.collect()
    gc.freeze()  # what is shared is left alone, and a child looks for cycles among its own alone
    gc.set_threshold(10_000, 10, 10)  # 700 is a look for every third of a small file


@worker_process_init.connect
def started(**_: Any) -> None:
    """In each child: connections of its own, and an end when the parent is gone.

    It is told by the number known before the fork: a parent may end before its child has asked for it.
    The kernel's own parent-death signal will not do: it comes when the forking thread ends, and the
    autoscaler forks from a thread of its own.
    """
    process.forget()
    limit = int(settings().max_memory)
    most = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if most == resource.RLIM_INFINITY or limit <= most:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, most))
    if process.parent != os.getpid():  # a pool that does not fork (solo) is its own
        process.board.join(current_process().index)
        deadlines.watched_by(process.board.mark)
        try:
            threads.start(partial(_end_with, process.parent))
            process.keeper()
        except (Transient, MemoryError) as error:  # nothing is in hand; the next one may be luckier
            emit(Event.WORK_REFUSED, code=Code.HOST, reason=str(error))
            time.sleep(1.0)
            os._exit(1)


@task_received.connect
def received(**_: Any) -> None:
    """In the parent, before a child has the message."""
    crash.point(crash.Point.RECEIVED)


@worker_ready.connect
def watched(**_: Any) -> None:
    watchdog.watch(process.board, settings())


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        process.board.beat()
        time.sleep(0.5)
    os._exit(1)
