"""Prepares each child process of a worker, with or without Celery."""

from __future__ import annotations

import gc
import io
import os
import resource
import time

from sensorflow import bootstrap, telemetry, threads, tracing
from sensorflow.engine.board import Board
from sensorflow.flow import deadlines
from sensorflow.settings import Settings

_SAMPLE = b"t,s,k,v\n2026-01-01T00:00:00Z,s,k,1\n2026-01-01,s,k,x\n"
_PROFILE = {"format": "csv", "time": "t", "sensor": "s", "type": "k", "value": "v"}


def warm(settings: Settings) -> None:
    """Read a tiny file in the parent before the fork. Libraries then import their lazily imported modules,
    and the children share the memory of these modules.

    Turns off pyarrow's signal handlers, which would start a thread for each small file and intercept
    SIGTERM. Raises UsageError if tracing is requested but not installed.
    """
    tracing.require()
    import pyarrow as pa

    import sensorflow.adapters.postgres.batch_loading  # noqa: F401 - a ledger imports this at its first load
    from sensorflow.core.binding.file_path import FilePath
    from sensorflow.core.deduplicate import Deduplicator
    from sensorflow.core.keys import keys
    from sensorflow.core.profile import Profile
    from sensorflow.core.quality import QualityFlagger
    from sensorflow.core.reading import read
    from sensorflow.core.reshape import reshape

    pa.enable_signal_handlers(False)
    profile = Profile.model_validate(_PROFILE)
    for accepted in read(io.BytesIO(_SAMPLE), profile, FilePath("warm.csv"), io.BytesIO):
        keys(reshape(accepted.bronze, QualityFlagger({}), Deduplicator()).silver, "warm.csv")
    ledger = bootstrap.ledger(settings, "warm")  # loads the driver; connects to nothing
    bootstrap.services(settings, "warm", ledger)
    ledger.close()
    gc.collect()
    gc.freeze()  # the garbage collector of a child skips the shared objects
    # with the default of 700, the collector runs three times per small file
    gc.set_threshold(10_000, 10, 10)


def limit_memory(limit: int) -> None:
    """Limit the data memory of this process to `limit` bytes (`max_memory`), unless its hard limit is
    lower."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if hard == resource.RLIM_INFINITY or limit <= hard:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def join(board: Board, number: int, parent: int) -> None:
    """Attach this child to the watchdog, let the child end when the parent ends, and start tracing if it is
    requested. Raises Transient HOST or MemoryError.

    parent: the parent's pid, recorded before the fork, because the parent may end before the child can
    query the pid. The kernel's parent-death signal cannot be used, because it is sent when the thread that
    has forked ends, even if the parent process continues.
    """
    board.join(number)
    telemetry.count_into(board.event_counts(number))
    deadlines.set_watcher(board.mark)
    threads.start(lambda: _end_with(parent, board))
    tracing.start("worker")


def _end_with(parent: int, board: Board) -> None:
    while os.getppid() == parent:
        board.beat()
        time.sleep(0.5)
    os._exit(1)
