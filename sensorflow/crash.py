"""Crash points: named places at which a test can have the process killed or stopped.

    SENSORFLOW_TESTING=1 SENSORFLOW_CRASH=load.copied:2:/tmp/once sensorflow watch

kills the process, with SIGKILL, the second time that it passes `load.copied`; with a path as third part
only whoever can make that file does so, which is one process in all, and leaves its process id in it.
`stop@load.copied:1` sends SIGSTOP in place of SIGKILL. Several are parted by commas. Without the variable
a point does nothing; with it, but without SENSORFLOW_TESTING, every command refuses to start.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from sensorflow.errors import Code, Misuse

VARIABLE = "SENSORFLOW_CRASH"
TESTING = "SENSORFLOW_TESTING"


class Point(StrEnum):
    """Every boundary between two things that a kill may tear apart, in the order of a file's way."""

    # the daemon
    FOUND = "daemon.found"  # seen complete, nothing done yet
    LANDING = "land.copied"  # the copy is written, it has no name yet
    LANDED = "daemon.landed"
    REGISTERED = "daemon.registered"
    PUT_AWAY = "daemon.put-away"
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
    UNPACKED = "unpack.landed"  # the members of an archive are landed, the ledger does not know
    REGISTERING = "unpack.registered"  # and registered, nothing is committed
    COPYING = "load.copying"  # a batch is half sent
    COPIED = "load.copied"  # all rows are sent, nothing is committed
    COMMITTED = "load.committed"  # silver of what was replaced is still there
    CONDEMNED = "condemn.committed"
    KEPT = "quarantine.copied"  # the bytes are kept, the manifest is not
    NOTED = "quarantine.noted"  # the manifest is kept, the ledger does not know
    QUARANTINED = "quarantine.committed"


@dataclass
class _Plan:
    point: str
    signal: signal.Signals
    passes: int
    marker: str


def _parse(text: str) -> _Plan:
    """stop@point:nth:marker; all but the point may be left out. Raises Misuse."""
    action, _, rest = text.rpartition("@")
    point, _, rest = rest.partition(":")
    nth, _, marker = rest.partition(":")
    signals = {"": signal.SIGKILL, "kill": signal.SIGKILL, "stop": signal.SIGSTOP}
    if point not in list(Point) or action not in signals or not (nth or "1").isdecimal():
        points = ", ".join(Point)
        raise Misuse(f"{VARIABLE}={text}: expected [stop@]point[:nth[:marker]], of {points}")
    return _Plan(point, signals[action], max(1, int(nth or 1)), marker)


@cache
def _plans() -> list[_Plan]:
    text = os.environ.get(VARIABLE) if os.environ.get(TESTING) == "1" else None
    return [_parse(part) for part in text.split(",")] if text else []


def refuse_outside_tests(environ: Mapping[str, str] = os.environ) -> None:
    """Misuse where a crash is asked for and this is no test."""
    if environ.get(VARIABLE) and environ.get(TESTING) != "1":
        raise Misuse(
            f"{VARIABLE} is set: it kills processes on purpose, for tests only; unset the variable",
            Code.SETTINGS,
        )


def point(name: Point) -> None:
    """Here a test may have this process killed."""
    for plan in _plans():
        if plan.point != name:
            continue
        plan.passes -= 1
        if plan.passes == 0 and _first(plan.marker):
            os.kill(os.getpid(), plan.signal)


def _first(marker: str) -> bool:
    if not marker:
        return True
    try:
        descriptor = os.open(marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return False
    os.write(descriptor, b"%d" % os.getpid())
    os.close(descriptor)
    return True
