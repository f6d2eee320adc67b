"""Failpoints: named places in the code where a test can kill or suspend the process.

    SENSORFLOW_TESTING=1 SENSORFLOW_CRASH=load.copied:2:/tmp/once sensorflow watch

kills the process with SIGKILL the second time that it passes `load.copied`. The optional third part is a
path: exactly one process, the one that creates this file, is killed, and the file then contains its PID.
`stop@load.copied:1` sends SIGSTOP instead of SIGKILL. Separate several failpoints by commas. Without
SENSORFLOW_CRASH a failpoint does nothing. If only SENSORFLOW_CRASH is set but not SENSORFLOW_TESTING, every
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
    """The failpoints, in pipeline order. There is one between every two effects that a crash can
    separate."""

    # the daemon
    FOUND = "daemon.found"  # seen complete, nothing done yet
    LANDING = "land.copied"  # the copy is written, but has no name yet
    LANDED = "daemon.landed"
    REGISTERED = "daemon.registered"
    DISPOSED = "daemon.put-away"
    PUBLISH = "publish.before"
    SENT = "publish.sent"  # the broker has confirmed, the ledger does not know
    PUBLISHED = "publish.recorded"
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
    point: str
    signal: signal.Signals
    passes: int
    marker: str


def _parse(text: str) -> _Trigger:
    """Parse a text such as "stop@point:nth:marker", of which only the point is required. Raises
    UsageError."""
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
    """Raises UsageError if a failpoint is set without SENSORFLOW_TESTING."""
    if environ.get(VARIABLE) and environ.get(TESTING) != "1":
        raise UsageError(
            f"{VARIABLE} is set: it kills processes on purpose, for tests only; unset it",
            Code.SETTINGS,
        )


def hit(name: Failpoint) -> None:
    """Kill or suspend this process if a test has set this failpoint."""
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
