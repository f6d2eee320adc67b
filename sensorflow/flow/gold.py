"""Keeps the aggregates fresh. A thread of the daemon does this. If no daemon runs, a step of housekeeping
does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from sensorflow.core.gold import FIRST_HOURS, next_hours
from sensorflow.core.retry import backoff
from sensorflow.errors import Transient
from sensorflow.flow.housekeeping import Step, StepResult
from sensorflow.ports.gold import Gold
from sensorflow.ports.maintenance import Maintenance
from sensorflow.telemetry import Event, emit

GOLD = "gold"
POLL_SECONDS = 1.0
"""Seconds between two looks at the queues."""
TARGET_SECONDS = 1.0
"""Wanted duration of a transaction. Newly changed hours have to wait for its end."""
MAX_STEP_SECONDS = 20.0
"""Seconds for which a step of housekeeping refreshes at most."""
TURN_SECONDS, MARK_SECONDS = 60.0, 15.0
"""Interval of the step of housekeeping, and seconds after which a daemon delays it again."""


class Refresher:
    """Refreshes the aggregates. The number of hours per transaction depends on how long the previous one
    took. For one thread."""

    def __init__(self, gold: Gold) -> None:
        self._gold, self._hours = gold, FIRST_HOURS

    def refresh(self, is_over: Callable[[], bool]) -> int:
        """Refresh until nothing is pending, another process refreshes, or `is_over` returns true. Returns
        the number of computed hours. Raises Transient DATABASE."""
        total = 0
        pending = self._gold.is_pending()
        while pending and not is_over():
            began = time.perf_counter()
            done = self._gold.refresh_once(self._hours)
            if done is None:
                break
            total, pending = total + done.hours, done.pending
            self._hours = next_hours(self._hours, time.perf_counter() - began, TARGET_SECONDS)
        return total

    def refresh_all(self) -> int:
        """Refresh until all changes that were committed before this call are in the aggregates, also if
        another process refreshes. Returns the number of hours that this process has computed."""
        began, total = time.monotonic(), 0

        def is_fresh() -> bool:
            return self._gold.lag_seconds() <= time.monotonic() - began

        while not is_fresh():
            total += self.refresh(is_fresh)
            time.sleep(0.1)
        return total


class GoldLoop:
    """The loop of a daemon that keeps the aggregates fresh. Survives defects and outages of the database.
    Runs in the thread that calls `run`."""

    def __init__(self, gold: Gold, ledger: Maintenance) -> None:
        self._refresher, self._ledger = Refresher(gold), ledger
        self._stop = threading.Event()
        self._failures, self._marked_at = 0, 0.0

    def stop(self) -> None:
        """Finish the current transaction, then stop."""
        self._stop.set()

    def run(self) -> None:
        """Run until `stop` is called."""
        while not self._stop.wait(POLL_SECONDS):
            try:
                self._mark()
                self._refresher.refresh(self._is_over)
                self._failures = 0
            except Exception as error:  # noqa: BLE001 - this thread must outlive any defect
                self._failures += 1
                if self._failures == 1:
                    _log(error)
                self._stop.wait(backoff(self._failures, 0.5, cap=5.0))

    def _is_over(self) -> bool:
        """Whether to stop, or to report progress."""
        return self._stop.is_set() or time.monotonic() - self._marked_at > MARK_SECONDS

    def _mark(self) -> None:
        """Delay the step of housekeeping, because this daemon works."""
        if time.monotonic() - self._marked_at > MARK_SECONDS:
            self._ledger.claim_turn(GOLD, TURN_SECONDS, TURN_SECONDS)
            self._marked_at = time.monotonic()


def _log(error: Exception) -> None:
    if isinstance(error, Transient):
        emit(Event.GOLD_PAUSED, code=error.code, reason=error.message)
    else:
        emit(Event.DEFECT, exc_info=error)


def gold_step(gold: Gold) -> Step:
    """Returns the step that refreshes the aggregates, for fleets without a daemon."""

    def run() -> StepResult:
        until = time.monotonic() + MAX_STEP_SECONDS
        hours = Refresher(gold).refresh(lambda: time.monotonic() > until)
        return {"hours refreshed": hours} if hours else {}

    return Step(GOLD, TURN_SECONDS, run)
