"""Kills children that are stuck. The parent process does this, because a child cannot interrupt code that
blocks its own interpreter.

A child is stuck in three cases. A decoder has been reading a file for longer than `max_seconds` plus a
tenth. A decoder is still reading a file `LOST_LEASE_SECONDS` seconds after the file's lease was lost. The
child has files, but has not run any Python code for `SILENT` seconds or longer.

The attempt of a killed child counts. A separate process records the attempt in the ledger, because the
parent must not open a connection that its children could inherit.
"""

from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

from sensorflow import bootstrap, threads
from sensorflow.adapters.host import status
from sensorflow.core.retry import backoff
from sensorflow.core.states import Stage
from sensorflow.engine.board import Board, Slot
from sensorflow.errors import Code, Fenced, Permanent, SensorflowError, Transient
from sensorflow.flow.clock import now
from sensorflow.ports.claims import Claim, Claims
from sensorflow.settings import Settings
from sensorflow.telemetry import Event, emit

INTERVAL_SECONDS = 1.0
GRACE = 5.0
"""Seconds that a child has, in addition to a tenth of `max_seconds`, to notice by itself that the time
limit has passed."""
SILENT = 20.0
"""A child is stuck if it has not run any Python code for this number of seconds, or for two thirds of the
lease time if that is longer. The child is then killed before another worker can claim its file."""
LOST_LEASE_SECONDS = 20.0
"""Seconds within which a decoder must finish its current block after the file's lease was lost."""
EXIT_TIMEOUT_SECONDS = 10.0
"""Seconds within which a killed child should end. A child that waits for a disk may take longer than
this."""
RECORD_TIMEOUT_SECONDS = 60.0
"""Seconds within which the outcome must be recorded in the ledger. If this fails, the lease expires, and
the attempt counts as well."""
NOT_RECORDED = "the outcome was not recorded in the ledger; the lease will expire"


@dataclass(frozen=True)
class StuckChild:
    """A child that must be killed. reading: id of the file that a decoder is reading and that is to blame;
    0 if unknown."""

    pid: int
    reason: str
    reading: int


def watch(board: Board, settings: Settings) -> None:
    """Start a thread that watches the children of this process. Call this after the first children are
    forked."""
    try:
        threads.start(lambda: _watch(board, settings))
    except SensorflowError as error:
        emit(Event.WATCHDOG_FAILED, reason=str(error))


class EndedChild:
    """A killed child whose claims are not recorded in the ledger yet."""

    def __init__(self, found: StuckChild, claims: list[Claim], settings: Settings) -> None:
        self.found, self.claims, self._settings = found, claims, settings
        self.recorder: subprocess.Popen[bytes] | None = None
        self._until = time.monotonic() + EXIT_TIMEOUT_SECONDS

    def over(self) -> bool:
        """Do the next step without blocking. Returns True if no further step is needed."""
        if self.recorder is None:
            return self._begin()
        code = self.recorder.poll()
        if code is None and time.monotonic() < self._until:
            return False
        if code is None:
            self.recorder.kill()
            self.recorder.wait()
        if code != 0:
            emit(Event.WATCHDOG_FAILED, file_id=self.found.reading or None, reason=NOT_RECORDED)
        return True

    def _begin(self) -> bool:
        """Start the process that records the outcome if the child has ended. A child that has not ended may
        still load its file."""
        if not _gone(self.found.pid):
            return time.monotonic() > self._until
        file_id = self.found.reading or None
        emit(Event.WORK_STUCK, pid=self.found.pid, file_id=file_id, why=self.found.reason)
        if not self.claims:
            return True
        try:
            self.recorder = _start_recorder(self._settings, self.claims, self.found)
        except (OSError, MemoryError) as error:
            emit(Event.WATCHDOG_FAILED, file_id=file_id, reason=f"{NOT_RECORDED}: {error}")
            return True
        self._until = time.monotonic() + 2 * RECORD_TIMEOUT_SECONDS
        return False


def _watch(board: Board, settings: Settings) -> None:
    last, ended = now(), list[EndedChild]()
    while True:
        time.sleep(INTERVAL_SECONDS)
        at = now()
        woken, last = at - last > 5 * INTERVAL_SECONDS, at
        if woken:  # the host or this process was suspended, and perhaps the children too
            time.sleep(2 * INTERVAL_SECONDS)
            last = now()
            continue
        try:
            check(board, at, settings, ended)
        except Exception:  # noqa: BLE001 - this thread must outlive any defect
            emit(Event.DEFECT, exc_info=True)


def check(board: Board, at: float, settings: Settings, ended: list[EndedChild]) -> None:
    """Kill stuck children, and do the next step for the children that were killed before. Reads the claims
    of a killed child immediately, because the main thread may fork another child that uses the same
    slot."""
    known = {one.found.pid for one in ended}
    silent = max(SILENT, settings.lease * 2 / 3)
    for number, slot in board.slots():
        found = find_stuck(slot, at, silent)
        if found is None or slot.pid in known or not _is_own_child(slot.pid):
            continue
        os.kill(slot.pid, signal.SIGKILL)
        ended.append(EndedChild(found, board.claims(number, slot.pid), settings))
    ended[:] = [one for one in ended if not one.over()]


def find_stuck(slot: Slot, at: float, silent: float) -> StuckChild | None:
    """Returns the reason if a child is stuck at time `at`, or None if it is not stuck. silent: number of
    seconds without any Python code after which a child is stuck."""
    limit = slot.until - slot.began
    if slot.reading and at > slot.until + GRACE + limit / 10:
        reason = f"a decoder had the file for {at - slot.began:.0f} s and did not return"
        return StuckChild(slot.pid, reason, slot.reading)
    if slot.reading and slot.lost and at > slot.lost + LOST_LEASE_SECONDS:
        reason = f"the lease was lost {at - slot.lost:.0f} s ago, and the decoder did not return"
        return StuckChild(slot.pid, reason, slot.reading)
    if slot.since and at - max(slot.beat, slot.since) > silent:
        reason = (
            f"the process has not run any Python code for {at - max(slot.beat, slot.since):.0f} s"
        )
        return StuckChild(slot.pid, reason, slot.reading)
    return None


def _is_own_child(pid: int) -> bool:
    """Whether a process is a child of this process, and is neither ended nor suspended."""
    state, parent = status(pid)
    return parent == os.getpid() and state not in ("Z", "X", "T", "t", "")


def _gone(pid: int) -> bool:
    return status(pid)[0] in ("Z", "X", "")


def _start_recorder(
    settings: Settings, claims: list[Claim], found: StuckChild
) -> subprocess.Popen[bytes]:
    """Start the process that records the outcome of the claims. The claims are passed in a file, because a
    pipe could be full, and because other children would inherit an end of the pipe."""
    command = [sys.executable, "-c", "from sensorflow.engine import watchdog; watchdog.charge()"]
    with os.fdopen(os.memfd_create("claims"), "w+b") as given:
        pickle.dump((settings, claims, found.reading, found.reason), given)
        given.seek(0)
        return subprocess.Popen(command, stdin=given)


def charge() -> None:
    """Record the outcome of a killed child's claims. `_start_recorder` runs this function in a separate
    process."""
    given, claims, reading, reason = pickle.load(sys.stdin.buffer)
    known = any(claim.file_id == reading for claim in claims)
    ledger = bootstrap.ledger(given, "watchdog")
    deadline = time.monotonic() + RECORD_TIMEOUT_SECONDS
    for claim in claims:
        # if no decoder was reading one of these files, each file may be to blame and is retried by itself
        is_cause = not known or claim.file_id == reading
        while time.monotonic() < deadline:
            try:
                _charge(ledger, claim, is_cause, reason, given.max_attempts)
                break
            except Fenced:
                break
            except Transient:
                time.sleep(INTERVAL_SECONDS)


ENDED = (
    "read the last lines of the worker's log; correct the decoder if it is from another package and does "
    "not return, or raise max_seconds if the file is valid, then replay"
)


def _charge(ledger: Claims, claim: Claim, is_cause: bool, reason: str, attempts: int) -> None:
    if is_cause and claim.attempt >= attempts and claim.stage is not Stage.QUARANTINE:
        what = f"{reason}: its worker was killed"
        error = Permanent(Code.TOO_SLOW, what, attempts=claim.attempt, do=ENDED)
        ledger.dead_letter(claim, error)
        return
    what = reason if is_cause else f"another file was read in the same process: {reason}"
    delay = backoff(claim.retries + 1, random.random())
    ledger.nack(claim, Transient(Code.TOO_SLOW, f"{what}: its worker was killed"), delay, is_cause)
