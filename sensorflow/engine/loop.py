"""`sensorflow worker` for brokers without Celery: each child process receives its own messages.

The parent forks the children, watches them, and replaces each child that ends. If the watchdog kills a
child, it also records the outcome of the child's claims. If a child ends in another way, its claims expire
with their leases, and another child processes the files.
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

from sensorflow import bootstrap, lossy_stream, memory, telemetry
from sensorflow.core.heartbeat import Role
from sensorflow.core.retry import backoff
from sensorflow.engine import child, process_metrics, watchdog
from sensorflow.engine.board import Board
from sensorflow.errors import Code, Transient
from sensorflow.flow.consume import consume
from sensorflow.flow.heartbeats import LoopStatus
from sensorflow.ports.queue import Broker
from sensorflow.settings import Settings
from sensorflow.telemetry import Event, emit

SIGNALS = (signal.SIGTERM, signal.SIGINT)
LOOK = 0.2
"""Seconds between checks of the children."""
NOTE = 2.0
"""Seconds between reports of progress."""
SOON = 10.0
"""Seconds. A child that ends at a younger age is replaced after a delay, which grows with each such end in
a row."""
LARGE = 1_000_000 << 10
"""Bytes of memory above which a child ends after its message and is replaced by a fresh one."""


def run(settings: Settings, count: int) -> None:
    """Run `count` children until SIGTERM or SIGINT. Each child then finishes its message; a second signal
    ends the children at once. Import this module after calling `memory.configure_allocator`. Raises
    UsageError if the broker's package cannot be imported."""
    lossy_stream.install()
    telemetry.configure_for(settings)
    make = bootstrap.broker(settings)
    child.warm(settings)
    _Parent(settings, count, make).run()


class _Parent:
    """The parent process. It numbers its children; a child's number is also the number of its slot on the
    board."""

    def __init__(self, settings: Settings, count: int, make: Callable[[], Broker]) -> None:
        self._settings, self._make = settings, make
        self._board = Board()
        self._pids: dict[int, int] = {}
        self._began = dict.fromkeys(range(count), 0.0)
        self._failures = dict.fromkeys(range(count), 0)
        self._due = dict.fromkeys(range(count), 0.0)
        self._note_at = 0.0
        self._signals = 0
        self._stop = threading.Event()

    def run(self) -> None:
        for number in SIGNALS:
            signal.signal(number, self._told)
        self._tend()
        # threads start here; children that are forked later use none of their objects
        watchdog.watch(self._board, self._settings)
        ledger = bootstrap.ledger(self._settings, Role.WORKER)
        heartbeats = bootstrap.heartbeat_sender(self._settings, ledger, bootstrap.identity())
        loop = heartbeats.add_loop(Role.WORKER)
        self._note(loop)
        heartbeats.start()
        process_metrics.serve(
            self._settings, Role.WORKER, [loop], lambda: [*self._pids.values()], self._board.events
        )
        while not self._stop.wait(LOOK):
            self._tend()
            self._note(loop)
        loop.set_facts(ending=True)
        self._finish(loop)
        heartbeats.stop()
        ledger.close()

    def _told(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        self._stop.set()

    def _tend(self) -> None:
        """Reap ended children, and fork the replacements that are due."""
        self._reap()
        for number in self._due.keys() - self._pids.keys():
            if time.monotonic() >= self._due[number] and not self._stop.is_set():
                self._fork(number)

    def _fork(self, number: int) -> None:
        parent = os.getpid()
        self._began[number] = time.monotonic()
        signal.pthread_sigmask(
            signal.SIG_BLOCK, SIGNALS
        )  # no signal is lost before the child has its handlers
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
        self._failures[number] = self._failures[number] + 1 if soon else 0
        wait = backoff(self._failures[number], 0.5, cap=30.0) if soon else 0.0
        self._due[number] = time.monotonic() + wait

    def _note(self, loop: LoopStatus) -> None:
        """Report progress; at most every `NOTE` seconds, because it reads the whole board."""
        if time.monotonic() < self._note_at:
            return
        self._note_at = time.monotonic() + NOTE
        facts = self._board.facts(self._pids.values())
        loop.set_facts(children=len(self._pids), most=len(self._due), **facts)

    def _finish(self, loop: LoopStatus) -> None:
        """Wait until all children have ended."""
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
    """Run a child. If an error ends the child, logs the error; the parent then forks a replacement."""
    code = 1
    try:
        _consume(settings, make, board, number, parent)
        code = 0
    except (Transient, MemoryError) as error:  # no claims yet; its replacement may succeed
        emit(Event.WORK_REFUSED, code=Code.HOST, reason=str(error))
    except BaseException:  # noqa: BLE001 - no code of the parent may run in a child
        emit(Event.DEFECT, exc_info=True)
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _consume(
    settings: Settings, make: Callable[[], Broker], board: Board, number: int, parent: int
) -> None:
    ended = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    child.limit_memory(int(settings.max_memory))
    child.join(board, number, parent)
    ledger, broker = bootstrap.ledger(settings, "worker"), make()
    house = bootstrap.housekeeping(settings, ledger, broker)

    def stop() -> bool:
        return ended.is_set() or memory.resident() > LARGE

    try:
        services = bootstrap.services(settings, "worker", ledger)
        consume(broker, services, stop, board.hold, house.run_due_steps, board.lose)
    finally:
        broker.close()
        ledger.close()
