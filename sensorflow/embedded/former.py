"""Ends servers that are still running from a previous run, because they were suspended (SIGSTOP) or hung
when that run ended."""

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
    """End a server process and its children: send each of `signals` in turn, and SIGKILL at last. The
    caller must have verified that the process is a server of this data folder. patience: seconds to wait
    after each signal.

    Returns a message if the first signal was not enough, else "". Raises UsageError, which names the
    process, if the process does not end.
    """
    server, family = identity(pid), set[str]()
    try:
        for number in (*signals, signal.SIGKILL):
            family |= _alive(pid)
            whom = family if number is signal.SIGKILL else {server}
            _send(whom, number)
            _send(whom, signal.SIGCONT)  # a suspended process handles no signal but SIGKILL
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
    """Return the identities of a process and its descendants. Processes that have ended are excluded; their
    identity has no start time."""
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
    """Wait until all processes have ended. Returns False if some still run after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not (ended := all(map(has_ended, processes))) and time.monotonic() < deadline:
        time.sleep(_POLL)
    return ended
