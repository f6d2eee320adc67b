"""`sensorflow worker` for brokers without Celery: each child process receives its own messages.

The parent forks the children, watches them, and replaces each child that ends. If the watchdog kills a
child, the watchdog also records the outcome of the child's claims. If a child ends in another way, the
leases of its claims expire, and another child processes the files.
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

from sensorflow import bootstrap, lossy_stream, memory, telemetry, tracing
from sensorflow.core.heartbeat import Role
from sensorflow.core.retry import backoff
from sensorflow.engine import child, periodic, process_metrics, watchdog
from sensorflow.engine.board import Board
from sensorflow.errors import Code, Transient
from sensorflow.flow.consume import consume
from sensorflow.flow.heartbeats import LoopStatus
from sensorflow.ports.queue import Broker
from sensorflow.settings import Settings
from sensorflow.telemetry import Event, emit

SIGNALS = (signal.SIGTERM, signal.SIGINT)
POLL_SECONDS = 0.2
"""Seconds between checks of the children."""
NOTE = 2.0
"""Minimum seconds between two reports of progress."""
MIN_CHILD_AGE_SECONDS = 10.0
"""If a child ends within this number of seconds after its start, it is replaced after a delay. The delay
grows if this happens several times in a row."""
LARGE = 1_000_000 << 10
"""A child that uses more than this number of bytes of memory ends after its current message and is replaced
by a new child."""


def run(settings: Settings, count: int) -> None:
    """Run `count` children until SIGTERM or SIGINT. After this signal, each child finishes its message and
    ends. A second signal ends the children at once. Import this module after calling
    `memory.configure_allocator`. Raises UsageError if the broker's package cannot be imported."""
    lossy_stream.install()
    telemetry.configure_for(settings)
    make = bootstrap.broker(settings)
    child.warm(settings)
    _Parent(settings, count, make).run()


class _Parent:
    """The parent process. Each child has a number, which is also the number of the child's slot on the
    board."""

    def __init__(self, settings: Settings, count: int, make: Callable[[], Broker]) -> None:
        self._settings, self._make = settings, make
        self._board = Board()
        self._pids: dict[int, int] = {}
        self._began = dict.fromkeys(range(count), 0.0)
        self._failures = dict.fromkeys(range(count), 0)
        self._fork_at = dict.fromkeys(range(count), 0.0)
        self._note_at = 0.0
        self._signals = 0
        self._stop = threading.Event()

    def run(self) -> None:
        for number in SIGNALS:
            signal.signal(number, self._on_signal)
        self._start_missing_children()
        # threads are started from here on; children that are forked later use no object of these threads
        watchdog.watch(self._board, self._settings)
        ledger = bootstrap.ledger(self._settings, Role.WORKER)
        heartbeats = bootstrap.heartbeat_sender(self._settings, ledger, bootstrap.identity())
        loop = heartbeats.add_loop(Role.WORKER)
        self._note(loop)
        heartbeats.start()
        process_metrics.serve(
            self._settings, Role.WORKER, [loop], lambda: [*self._pids.values()], self._board.events
        )
        while not self._stop.wait(POLL_SECONDS):
            self._start_missing_children()
            self._note(loop)
        loop.set_facts(ending=True)
        self._finish(loop)
        heartbeats.stop()
        ledger.close()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        self._stop.set()

    def _start_missing_children(self) -> None:
        """Reap ended children, and fork the replacements that are due."""
        self._reap()
        for number in self._fork_at.keys() - self._pids.keys():
            if time.monotonic() >= self._fork_at[number] and not self._stop.is_set():
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
            self._schedule_fork(number)
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
            self._schedule_fork(number)

    def _schedule_fork(self, number: int) -> None:
        soon = time.monotonic() - self._began[number] < MIN_CHILD_AGE_SECONDS
        self._failures[number] = self._failures[number] + 1 if soon else 0
        wait = backoff(self._failures[number], 0.5, cap=30.0) if soon else 0.0
        self._fork_at[number] = time.monotonic() + wait

    def _note(self, loop: LoopStatus) -> None:
        """Report progress, at most every `NOTE` seconds, because each report reads the whole board."""
        if time.monotonic() < self._note_at:
            return
        self._note_at = time.monotonic() + NOTE
        facts = self._board.facts(self._pids.values())
        loop.set_facts(children=len(self._pids), most=len(self._fork_at), **facts)

    def _finish(self, loop: LoopStatus) -> None:
        """Wait until all children have ended."""
        signals_sent = 0
        while self._pids:
            if signals_sent < self._signals:
                signals_sent = self._signals
                self._send(signal.SIGTERM if signals_sent == 1 else signal.SIGKILL)
            time.sleep(POLL_SECONDS / 4)
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
    except (Transient, MemoryError) as error:
        # the child has no claims yet; its replacement may succeed
        emit(Event.WORK_REFUSED, code=Code.HOST, reason=str(error))
    except BaseException:  # noqa: BLE001 - a child must never continue with the parent's code
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
    housekeeping = periodic.housekeeping(settings, ledger, broker)

    def stop() -> bool:
        return ended.is_set() or memory.resident() > LARGE

    try:
        services = bootstrap.services(settings, "worker", ledger)
        consume(broker, services, stop, board.hold, housekeeping.run_due_steps, board.lose)
    finally:
        broker.close()
        ledger.close()
        tracing.stop()
