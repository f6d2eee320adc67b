"""Failpoints: named places in the code where a test can kill or suspend the process.

    SENSORFLOW_TESTING=1 SENSORFLOW_CRASH=load.copied:2:/tmp/once sensorflow watch

This command kills the process with SIGKILL when the process passes `load.copied` for the second time. The
optional third part is the path of a marker file: only the process that creates the file is killed, and the
file then contains the PID of this process. `stop@load.copied:1` sends SIGSTOP instead of SIGKILL. Several
failpoints are separated by commas.

If SENSORFLOW_CRASH is not set, failpoints do nothing. If it is set without SENSORFLOW_TESTING=1, every
command fails at its start.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from sensorflow.errors import Code, UsageError

VARIABLE = "SENSORFLOW_CRASH"
TESTING = "SENSORFLOW_TESTING"


class Failpoint(StrEnum):
    """The failpoints, in the order of the pipeline. Between any two effects that a crash can separate,
    there is a failpoint."""

    # the daemon
    FOUND = "daemon.found"  # a complete file was found, nothing is done yet
    LANDING = "land.copied"  # the copy is written, but has no name yet
    LANDED = "daemon.landed"
    REGISTERED = "daemon.registered"
    DISPOSED = "daemon.put-away"
    PUBLISH = "publish.before"
    SENT = "publish.sent"  # the broker has confirmed, the ledger does not know
    PUBLISHED = "publish.recorded"
    GOLD_TAKEN = "gold.taken"  # the stale hours are taken from the queue, but not computed
    GOLD_MINUTES = "gold.minutes"  # the minutes are written, the hours are not
    GOLD_REFRESHED = "gold.refreshed"  # all aggregates are written, nothing is committed
    # the worker's parent
    RECEIVED = "parent.received"
    ACK = "parent.ack"  # the outcome is known, the message not acknowledged
    ACKED = "parent.acked"
    # its children
    CLAIMED = "claimed"
    VALIDATED = "validate.done"
    TRANSFORMED = "transform.done"
    ADVANCED = "advance.committed"
    UNPACKED = "unpack.landed"  # an archive's members are landed, but not in the ledger
    REGISTERING = "unpack.registered"  # an archive's members are registered, but not committed
    COPYING = "load.copying"  # half of a batch is sent
    COPIED = "load.copied"  # all rows are sent, nothing is committed
    COMMITTED = "load.committed"  # the silver of replaced versions still exists
    DEAD_LETTERED = "condemn.committed"
    QUARANTINE_COPIED = "quarantine.copied"  # the bytes are stored, the manifest is not
    MANIFEST_WRITTEN = "quarantine.noted"  # the manifest is stored, the ledger has no record of it
    QUARANTINED = "quarantine.committed"


@dataclass
class _Trigger:
    """A failpoint that SENSORFLOW_CRASH sets. passes: number of passes until the signal is sent. marker:
    path of the marker file, or ""."""

    point: str
    signal: signal.Signals
    passes: int
    marker: str


def _parse(text: str) -> _Trigger:
    """Parse a text of the form [stop@]point[:nth[:marker]]. Raises UsageError."""
    action, _, rest = text.rpartition("@")
    point, _, rest = rest.partition(":")
    nth, _, marker = rest.partition(":")
    signals = {"": signal.SIGKILL, "kill": signal.SIGKILL, "stop": signal.SIGSTOP}
    if point not in list(Failpoint) or action not in signals or not (nth or "1").isdecimal():
        points = ", ".join(Failpoint)
        raise UsageError(
            f"{VARIABLE}={text}: expected [stop@]point[:nth[:marker]]; points: {points}"
        )
    return _Trigger(point, signals[action], max(1, int(nth or 1)), marker)


@cache
def _triggers() -> list[_Trigger]:
    text = os.environ.get(VARIABLE) if os.environ.get(TESTING) == "1" else None
    return [_parse(part) for part in text.split(",")] if text else []


def require_testing(environ: Mapping[str, str] = os.environ) -> None:
    """Raises UsageError if SENSORFLOW_CRASH is set, but SENSORFLOW_TESTING is not 1."""
    if environ.get(VARIABLE) and environ.get(TESTING) != "1":
        raise UsageError(
            f"{VARIABLE} is set: it kills processes on purpose, for tests only; unset it",
            Code.SETTINGS,
        )


def hit(name: Failpoint) -> None:
    """Kill or suspend this process if SENSORFLOW_CRASH contains this failpoint and the process has passed
    it often enough."""
    for plan in _triggers():
        if plan.point != name:
            continue
        plan.passes -= 1
        if plan.passes == 0 and _claim_marker(plan.marker):
            os.kill(os.getpid(), plan.signal)


def _claim_marker(marker: str) -> bool:
    if not marker:
        return True
    try:
        descriptor = os.open(marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return False
    os.write(descriptor, b"%d" % os.getpid())
    os.close(descriptor)
    return True
