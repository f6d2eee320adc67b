"""What each child of a worker begins with, whoever forks it."""

from __future__ import annotations

import gc
import io
import os
import resource
import time

from sensorflow import bootstrap, threads
from sensorflow.engine.board import Board
from sensorflow.flow import deadlines
from sensorflow.settings import Settings

_SAMPLE = b"t,s,k,v\n2026-01-01T00:00:00Z,s,k,1\n2026-01-01,s,k,x\n"
_PROFILE = {"format": "csv", "time": "t", "sensor": "s", "type": "k", "value": "v"}


def warm(settings: Settings) -> None:
    """Before the fork: read a tiny file once, so that what libraries import late is shared.

    pyarrow's own handlers of signals would begin a thread for each small file, and take our SIGTERM.
    """
    import pyarrow as pa

    import sensorflow.adapters.postgres.together  # noqa: F401 - a ledger does so at its first load
    from sensorflow.core.binding.place import Place
    from sensorflow.core.keys import keys
    from sensorflow.core.occurrences import Occurrences
    from sensorflow.core.profile import Profile
    from sensorflow.core.quality import Watch
    from sensorflow.core.reading import read
    from sensorflow.core.reshape import reshape

    pa.enable_signal_handlers(False)
    profile = Profile.model_validate(_PROFILE)
    for accepted in read(io.BytesIO(_SAMPLE), profile, Place("warm.csv"), io.BytesIO):
        keys(reshape(accepted.bronze, Watch({}), Occurrences()).silver, "warm.csv")
    ledger = bootstrap.ledger(settings, "warm")  # loads the driver; connects to nothing
    bootstrap.world(settings, "warm", ledger)
    ledger.close()
    gc.collect()
    gc.freeze()  # what is shared is left alone, and a child looks for cycles among its own alone
    gc.set_threshold(10_000, 10, 10)  # 700 is a look for every third of a small file


def limit_memory(most: int) -> None:
    """Bytes that one file may take."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if hard == resource.RLIM_INFINITY or most <= hard:
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def join(board: Board, number: int, parent: int) -> None:
    """Be watched, and end when the parent is gone. Raises Transient HOST, or MemoryError.

    It is told by the number known before the fork: a parent may end before its child has asked for it.
    The kernel's own parent-death signal will not do: it comes when the forking thread ends, which need
    not be the parent's main one.
    """
    board.join(number)
    deadlines.watched_by(board.mark)
    threads.start(lambda: _end_with(parent, board))


def _end_with(parent: int, board: Board) -> None:
    while os.getppid() == parent:
        board.beat()
        time.sleep(0.5)
    os._exit(1)
