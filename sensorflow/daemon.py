"""The ingest daemon: finds, lands, registers and publishes files.

One thread runs the intake, and another thread publishes, so that files are landed even while the broker is
unavailable. A third thread keeps the aggregates fresh. A restart loses no file, because all state is in the
feeds and in the ledger.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from types import FrameType

from sensorflow import bootstrap, tracing
from sensorflow.core.heartbeat import Role
from sensorflow.engine import periodic, process_metrics
from sensorflow.flow.gold import GoldLoop
from sensorflow.flow.intake.loop import Intake
from sensorflow.flow.landing import Landing
from sensorflow.flow.publisher import PublisherLoop
from sensorflow.ports.feed import Feed
from sensorflow.ports.gold import Gold
from sensorflow.ports.ledger import Ledger
from sensorflow.ports.queue import Publisher
from sensorflow.settings import Settings
from sensorflow.telemetry import Event, emit


class Daemon:
    """The ingest daemon: runs the intake and the publisher until it is stopped.

    gold: None if there are no aggregates to keep fresh.
    """

    def __init__(
        self,
        settings: Settings,
        feeds: Sequence[Feed],
        landing: Landing,
        ledger: Ledger,
        queue_: Publisher,
        gold: Gold | None = None,
    ) -> None:
        self._sources = [feed.name for feed in feeds]
        mine = bootstrap.identity()
        self._heartbeats = bootstrap.heartbeat_sender(settings, ledger, mine)
        taking = self._heartbeats.add_loop(Role.INTAKE, sources=self._sources)
        sending = self._heartbeats.add_loop(Role.PUBLISHER)
        self._leases = bootstrap.leases(settings, ledger, self._sources, mine)
        reconciler = periodic.reconciler(settings, ledger, queue_, sending.touch)
        self._publisher = PublisherLoop(settings, ledger, queue_, sending, reconciler)
        self._gold = GoldLoop(gold, ledger) if gold is not None else None
        wake = self._publisher.wake
        self._settings, self._loops = settings, (taking, sending)
        self._intake = Intake(settings, feeds, landing, ledger, self._leases, taking, wake)

    def stop(self) -> None:
        """Request that the daemon ends as soon as its current files are finished. Returns at once."""
        self._intake.stop()
        self._publisher.stop()
        if self._gold is not None:
            self._gold.stop()

    def run(self) -> None:
        """Run until `stop` is called."""
        self._leases.start()
        self._heartbeats.start()
        self._intake.start()
        process_metrics.serve(self._settings, Role.INTAKE, self._loops)
        threads = [threading.Thread(target=self._publisher.run, name="publisher")]
        if self._gold is not None:
            threads.append(threading.Thread(target=self._gold.run, name="gold"))
        for thread in threads:
            thread.start()
        emit(Event.DAEMON_STARTED, sources=self._sources)
        try:
            self._intake.run()
        finally:
            self.stop()
            self._leases.stop()
            for thread in threads:
                thread.join()
            self._heartbeats.stop()
            emit(Event.DAEMON_STOPPED)


def run(settings: Settings) -> None:
    """Run the daemon until SIGTERM or SIGINT. Raises UsageError if tracing is requested but not
    installed."""
    tracing.start("daemon")
    ledger = bootstrap.ledger(settings, "daemon")
    queue_ = bootstrap.publisher(settings)
    feeds = bootstrap.feeds(settings, ledger)
    daemon = Daemon(settings, feeds, bootstrap.landing(settings, ledger), ledger, queue_, ledger)

    def end(_number: int, _frame: FrameType | None) -> None:
        daemon.stop()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    try:
        daemon.run()
    finally:
        queue_.close()
        ledger.close()
        tracing.stop()
