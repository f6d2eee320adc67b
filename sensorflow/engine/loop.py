"""`sensorflow worker` with a broker that is not Celery's: processes that each ask for messages.

The parent forks them, watches them, and forks another one for each that ends. What a killed one held is
another's when its lease ends, or at once where it was the watchdog that ended it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from sensorflow import bootstrap, memory, steady, telemetry
from sensorflow.adapters.host import status
from sensorflow.core.heartbeat import Role
from sensorflow.core.retry import backoff
from sensorflow.engine import child, watchdog
from sensorflow.engine.board import Board
from sensorflow.errors import Code, Transient
from sensorflow.flow.consume import consume
from sensorflow.flow.pulse import Loop
from sensorflow.ports.queue import Broker
from sensorflow.settings import Settings
from sensorflow.telemetry import Event, emit

SIGNALS = (signal.SIGTERM, signal.SIGINT)
LOOK = 0.2
"""Seconds between looks at the children."""
SOON = 10.0
"""Seconds of a child's life: one that ends sooner is replaced the later, the more often that happens."""
LARGE = 1_000_000 << 10
"""Bytes of memory with which a child ends after its message: another one begins with less."""


def run(settings: Settings, count: int) -> None:
    """The process: `count` children until SIGTERM or SIGINT, when each finishes the message in hand. A
    second signal ends them at once. To be imported after `memory.frugal`. Raises Misuse where the broker's
    package cannot be imported."""
    steady.streams()
    telemetry.configure(settings.log_level)
    make = bootstrap.broker(settings)
    child.warm(settings)
    _Parent(settings, count, make).run()


class _Parent:
    """Its children by their numbers, which are their places on the board."""

    def __init__(self, settings: Settings, count: int, make: Callable[[], Broker]) -> None:
        self._settings, self._make = settings, make
        self._board = Board()
        self._pids: dict[int, int] = {}
        self._began = dict.fromkeys(range(count), 0.0)
        self._troubles = dict.fromkeys(range(count), 0)
        self._due = dict.fromkeys(range(count), 0.0)
        self._signals = 0
        self._stop = threading.Event()

    def run(self) -> None:
        for number in SIGNALS:
            signal.signal(number, self._told)
        self._tend()
        # from here on there are threads: a child that is forked later uses nothing of theirs
        watchdog.watch(self._board, self._settings)
        ledger = bootstrap.ledger(self._settings, Role.WORKER)
        heart = bootstrap.heart(self._settings, ledger, bootstrap.identity())
        loop = heart.loop(Role.WORKER)
        self._note(loop)
        heart.start()
        while not self._stop.wait(LOOK):
            self._tend()
            self._note(loop)
        loop.note(ending=True)
        self._finish(loop)
        heart.stop()
        ledger.close()

    def _told(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        self._stop.set()

    def _tend(self) -> None:
        """Fork those that are due, in the place of those that ended."""
        self._reap()
        for number in self._due.keys() - self._pids.keys():
            if time.monotonic() >= self._due[number] and not self._stop.is_set():
                self._fork(number)

    def _fork(self, number: int) -> None:
        parent = os.getpid()
        self._began[number] = time.monotonic()
        signal.pthread_sigmask(
            signal.SIG_BLOCK, SIGNALS
        )  # none is lost before the child has its own
        try:
            pid = os.fork()
            if not pid:
                _work(self._settings, self._make, self._board, number, parent)
            self._pids[number] = pid
        except OSError as error:
            emit(Event.WORK_REFUSED, code=Code.HOST, reason=str(error))
            self._later(number)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _reap(self) -> None:
        for number, pid in list(self._pids.items()):
            ended, how = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            del self._pids[number]
            code = os.waitstatus_to_exitcode(how)
            if code and not self._stop.is_set():
                emit(Event.WORK_ENDED, pid=pid, code=code)
            self._later(number)

    def _later(self, number: int) -> None:
        soon = time.monotonic() - self._began[number] < SOON
        self._troubles[number] = self._troubles[number] + 1 if soon else 0
        wait = backoff(self._troubles[number], 0.5, cap=30.0) if soon else 0.0
        self._due[number] = time.monotonic() + wait

    def _note(self, loop: Loop) -> None:
        stopped = sum(status(pid)[0] in ("T", "t") for pid in self._pids.values())
        busy = int(self._board.busy(self._pids.values()) // 60) or None
        loop.note(children=len(self._pids), most=len(self._due), stopped=stopped or None, busy=busy)

    def _finish(self, loop: Loop) -> None:
        """Until all have ended."""
        told = 0
        while self._pids:
            if told < self._signals:
                told = self._signals
                self._send(signal.SIGTERM if told == 1 else signal.SIGKILL)
            time.sleep(LOOK / 4)
            loop.touch()
            self._reap()

    def _send(self, number: signal.Signals) -> None:
        for pid in self._pids.values():
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _work(
    settings: Settings, make: Callable[[], Broker], board: Board, number: int, parent: int
) -> NoReturn:
    """A child. What ends it is an event; the parent forks another one."""
    code = 1
    try:
        _consume(settings, make, board, number, parent)
        code = 0
    except (Transient, MemoryError) as error:  # nothing is in hand; the next one may be luckier
        emit(Event.WORK_REFUSED, code=Code.HOST, reason=str(error))
    except BaseException:  # noqa: BLE001 - nothing of the parent's may run in a child
        emit(Event.DEFECT, exc_info=True)
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _consume(
    settings: Settings, make: Callable[[], Broker], board: Board, number: int, parent: int
) -> None:
    ended = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which tells us
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    child.limit_memory(int(settings.max_memory))
    child.join(board, number, parent)
    ledger, broker = bootstrap.ledger(settings, "worker"), make()
    house = bootstrap.housekeeping(settings, ledger, broker)

    def stop() -> bool:
        return ended.is_set() or memory.resident() > LARGE

    try:
        world = bootstrap.world(settings, "worker", ledger)
        consume(broker, world, stop, board.hold, house.run_due, board.lose)
    finally:
        broker.close()
        ledger.close()
