"""Servers of a former run that did not end with it: stopped (SIGSTOP), or hanging."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

from sensorflow.adapters.host import has_ended, identity
from sensorflow.embedded.process import tree
from sensorflow.errors import UsageError

PATIENCE = 15.0
"""Seconds that it has after each signal."""
_POLL = 0.05


def end_former(
    name: str, pid: int, signals: Sequence[signal.Signals], patience: float = PATIENCE
) -> str:
    """End a process that the caller has proved to be a server of this data folder, and its children: by
    each signal in turn, and by SIGKILL at last.

    Returns a line to report where the first signal was not enough, else "". Raises UsageError, which names
    the process, where it does not end.
    """
    server, family = identity(pid), set[str]()
    try:
        for number in (*signals, signal.SIGKILL):
            family |= _alive(pid)
            whom = family if number is signal.SIGKILL else {server}
            _send(whom, number)
            _send(whom, signal.SIGCONT)  # a stopped process obeys nothing but SIGKILL
            if _ended(family, patience):
                break
        else:
            raise UsageError(_stays(name, pid))
    except PermissionError as error:
        raise UsageError(_stays(name, pid)) from error
    if number is signals[0]:
        return ""
    return (
        f"{name} of a former run (pid {pid}) did not end when asked: it was ended by {number.name}"
    )


def _alive(pid: int) -> set[str]:
    """A process and its descendants, without what has ended: that has no start any more."""
    return {name for name in map(identity, tree(pid)) if not name.endswith(" ")}


def _stays(name: str, pid: int) -> str:
    return (
        f"{name} of a former run (pid {pid}) still runs on our data and cannot be ended from here: "
        f"run `kill -9 {pid}` as its owner or as root, then try again"
    )


def _send(processes: Iterable[str], number: signal.Signals) -> None:
    for process in processes:
        if not has_ended(process):
            with suppress(ProcessLookupError):
                os.kill(int(process.split(" ")[2]), number)


def _ended(processes: Iterable[str], patience: float) -> bool:
    """Whether all of them have ended in time."""
    deadline = time.monotonic() + patience
    while not (ended := all(map(has_ended, processes))) and time.monotonic() < deadline:
        time.sleep(_POLL)
    return ended
