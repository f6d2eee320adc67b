"""Ends servers of a previous run of the stack that are still running, because they were suspended (SIGSTOP)
or hung when that run ended."""

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
"""Seconds to wait after each signal until the process ends."""
_POLL = 0.05


def end_former(
    name: str, pid: int, signals: Sequence[signal.Signals], patience: float = PATIENCE
) -> str:
    """End a server process and its children. `signals` are sent one after the other until the process has
    ended, and then SIGKILL. The caller must have verified that the process is a server of this data folder.

    name: name of the server, for messages. patience: seconds to wait after each signal. Returns a message
    if the first signal did not end the server, else "". Raises UsageError if the server cannot be ended.
    """
    server, family = identity(pid), set[str]()
    try:
        for number in (*signals, signal.SIGKILL):
            family |= _alive(pid)
            pids = family if number is signal.SIGKILL else {server}
            _send(pids, number)
            _send(pids, signal.SIGCONT)  # a suspended process handles no signal but SIGKILL
            if _ended(family, patience):
                break
        else:
            raise UsageError(_stays(name, pid))
    except PermissionError as error:
        raise UsageError(_stays(name, pid)) from error
    if number is signals[0]:
        return ""
    return f"{name} of a previous run (pid {pid}) did not end at the first signal; {number.name} ended it"


def _alive(pid: int) -> set[str]:
    """Return the identities of a process and its descendants, without processes that have ended. The
    identity of an ended process has no start time."""
    return {name for name in map(identity, tree(pid)) if not name.endswith(" ")}


def _stays(name: str, pid: int) -> str:
    return (
        f"{name} of a previous run (pid {pid}) still uses the data folder, and could not be ended: "
        f"run `kill -9 {pid}` as its owner or as root, then try again"
    )


def _send(processes: Iterable[str], number: signal.Signals) -> None:
    for process in processes:
        if not has_ended(process):
            with suppress(ProcessLookupError):
                os.kill(int(process.split(" ")[2]), number)


def _ended(processes: Iterable[str], patience: float) -> bool:
    """Wait until all processes have ended. Returns False if some still run after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not (ended := all(map(has_ended, processes))) and time.monotonic() < deadline:
        time.sleep(_POLL)
    return ended
