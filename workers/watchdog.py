"""Ends children that are stuck, from outside: what holds the interpreter cannot be ended from within.

A child is stuck when a decoder has a file for longer than `max_seconds` and a tenth of that, or when it
holds files and has not run any Python for a while. It is killed; its attempt counts, and the ledger is told
by a process of its own, as the parent has no connection that its children could inherit.
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
from pathlib import Path

from sensorflow import bootstrap, threads
from sensorflow.core.retry import backoff
from sensorflow.core.states import Stage
from sensorflow.errors import Code, Fenced, Permanent, SensorflowError, Transient
from sensorflow.flow.clock import now
from sensorflow.ports import Claim, Ledger
from sensorflow.telemetry import Event, log
from workers.board import Board, Slot
from workers.configured import settings

EVERY = 1.0
GRACE = 5.0
"""Seconds, and a tenth of max_seconds, that the child has to see by itself that it is too late."""
SILENT = 20.0
"""Seconds, or two thirds of a lease, without any Python: before another worker has the file."""
GONE = 10.0
AWAY = 60.0
"""Seconds in which the ledger is told; then the lease ends by itself, and the attempt counts as well."""


@dataclass(frozen=True)
class Stuck:
    """A child that is to be ended. reading: the file that is to blame, 0 of those it holds."""

    pid: int
    why: str
    reading: int


def watch(board: Board) -> None:
    """Watch the children of this process, in a thread, for good. To be called after they are forked."""
    try:
        silent = max(SILENT, settings().lease * 2 / 3)
        threads.start(lambda: _watch(board, silent))
    except SensorflowError as error:
        log().error(Event.WORK_UNWATCHED, reason=str(error))


def _watch(board: Board, silent: float) -> None:
    last = now()
    while True:
        time.sleep(EVERY)
        at = now()
        woken, last = at - last > 5 * EVERY, at
        if woken:  # the host slept, or we were stopped, and so perhaps were they
            time.sleep(2 * EVERY)
            last = now()
            continue
        try:
            _look(board, at, silent)
        except Exception:  # noqa: BLE001 - it goes on, whatever it is
            log().exception(Event.DEFECT)


def _look(board: Board, at: float, silent: float) -> None:
    for number, slot in board.slots():
        found = judge(slot, at, silent)
        if found is None or not _ours(slot.pid):
            continue
        os.kill(slot.pid, signal.SIGKILL)
        log().error(Event.WORK_STUCK, pid=slot.pid, file_id=slot.reading or None, why=found.why)
        if _ended(slot.pid) and (claims := board.claims(number)):
            _tell(claims, found)


def judge(slot: Slot, at: float, silent: float) -> Stuck | None:
    """Whether a child is stuck at this time."""
    limit = slot.until - slot.began
    if slot.reading and at > slot.until + GRACE + limit / 10:
        why = f"a decoder had the file for {at - slot.began:.0f} s and did not come back"
        return Stuck(slot.pid, why, slot.reading)
    if slot.since and at - max(slot.beat, slot.since) > silent:
        why = f"the process has not answered for {at - max(slot.beat, slot.since):.0f} s"
        return Stuck(slot.pid, why, slot.reading)
    return None


def _status(pid: int) -> tuple[str, int]:
    """The kernel's letter for what a process does, and its parent; ("", 0) when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", 0
    return fields[0], int(fields[1])


def _ours(pid: int) -> bool:
    """Whether it is a living child of this process that nobody has stopped on purpose."""
    state, parent = _status(pid)
    return parent == os.getpid() and state not in ("Z", "X", "T", "t", "")


def _ended(pid: int) -> bool:
    deadline = time.monotonic() + GONE
    while _status(pid)[0] not in ("Z", "X", ""):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _tell(claims: list[Claim], found: Stuck) -> None:
    told = pickle.dumps((settings(), claims, found.reading, found.why))
    command = [sys.executable, "-c", "from workers import watchdog; watchdog.charge()"]
    done = subprocess.run(command, input=told, timeout=2 * AWAY, check=False)
    if done.returncode:
        log().error(Event.WORK_UNWATCHED, reason="the ledger was not told; the lease will end")


def charge() -> None:
    """What `_tell` runs: write down what became of the claims of a child that was ended."""
    given, claims, reading, why = pickle.load(sys.stdin.buffer)
    known = any(claim.file_id == reading for claim in claims)
    ledger = bootstrap.ledger(given, "watchdog")
    deadline = time.monotonic() + AWAY
    for claim in claims:
        # where no decoder had one of them, nobody knows which it was: they are tried one by one
        guilty = not known or claim.file_id == reading
        while time.monotonic() < deadline:
            try:
                _charge(ledger, claim, guilty, why, given.max_attempts)
                break
            except Fenced:
                break
            except Transient:
                time.sleep(EVERY)


def _charge(ledger: Ledger, claim: Claim, guilty: bool, why: str, attempts: int) -> None:
    if guilty and claim.attempt >= attempts and claim.stage is not Stage.QUARANTINE:
        error = Permanent(Code.TOO_SLOW, f"{why}: its worker was ended", attempts=claim.attempt)
        ledger.condemn(claim, error, claim.counts)
        return
    what = why if guilty else f"another file was read in the same process: {why}"
    delay = backoff(claim.retries + 1, random.random())
    ledger.release(claim, Transient(Code.TOO_SLOW, f"{what}: its worker was ended"), delay, guilty)
