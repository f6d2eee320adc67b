"""Periodic steps that do not depend on incoming files. Any process may call them; each step runs in one
process at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from sensorflow.errors import Transient
from sensorflow.flow.garbage import collect_garbage
from sensorflow.flow.landing import Landing
from sensorflow.flow.reconcile import reconcile
from sensorflow.ports.layers import Layers
from sensorflow.ports.maintenance import Maintenance
from sensorflow.ports.outbox import Outbox
from sensorflow.ports.queue import Publisher
from sensorflow.settings import Settings
from sensorflow.telemetry import Event, emit

RECONCILE, TIDY, RETAIN = "sweep", "tidy", "retain"
RETENTION_SECONDS = 3600.0
"""Seconds between runs of retention."""
EARLY_FRACTION = 0.5
"""Fraction of the interval by which a caller with its own schedule may run a step early. Because the
callers' clocks drift apart, an exact limit could skip an interval. With this margin, exactly one caller
runs the step in each interval."""
GARBAGE_LIMIT = 1000
"""Number of files whose garbage is collected per interval. The publisher may wait for this."""

StepResult = Mapping[str, Any]
"""The results of a step: human-readable description of a result -> its number."""
Run = Callable[[], StepResult]


@dataclass(frozen=True)
class Step:
    """A periodic step: its name, its interval, and the function that runs it."""

    name: str
    interval_seconds: float
    run: Run


@dataclass(frozen=True)
class Housekeeping:
    """Runs periodic steps. Each step runs once per interval, in any one process on any host. It does no
    harm if two processes run a step at the same time. Created by `engine.periodic.housekeeping`."""

    ledger: Maintenance
    steps: tuple[Step, ...]

    def run_due_steps(self) -> Mapping[str, StepResult]:
        """Run each step that no process has started within its interval. Returns the result of each step by
        the step's name.

        Call this often: a step that is not due costs one statement. A failed step is retried at its next
        interval. Raises errors as `run_all` does.
        """
        return run_all(partial(self._run_if_due, step) for step in self.steps)

    def _run_if_due(self, step: Step) -> StepResult:
        return (
            {step.name: step.run()}
            if self.ledger.claim_turn(step.name, step.interval_seconds)
            else {}
        )

    def run(self, *names: str) -> StepResult:
        """Run these steps for a caller with its own schedule (beat). Skips a step that another process
        started less than half an interval ago. Returns the results. Raises errors as `run_all` does."""
        return run_all(partial(self._run, step) for step in self.steps if step.name in names)

    def _run(self, step: Step) -> StepResult:
        mine = True
        # if the ledger is unavailable, run the step, even if another process runs it too
        with suppress(Transient):
            mine = self.ledger.claim_turn(
                step.name, step.interval_seconds, step.interval_seconds * EARLY_FRACTION
            )
        return step.run() if mine else {}


def run_all(runs: Iterable[Run]) -> StepResult:
    """Call all functions, even if one fails, and combine their results. If any failed, raises the first
    error after the last call."""
    done: dict[str, Any] = {}
    errors: list[Exception] = []
    for run in runs:
        try:
            done |= run()
        except Exception as error:  # noqa: BLE001 - raised below
            errors.append(error)
    for other in errors[1:]:
        emit(Event.DEFECT, exc_info=other)
    if errors:
        raise errors[0]
    return done


def reconcile_step(
    outbox: Outbox,
    publisher: Publisher,
    settings: Settings,
    touch: Callable[[], object] = lambda: None,
) -> Step:
    """Returns the step that sends stale messages again. touch: called repeatedly while the step runs."""

    def run() -> StepResult:
        s = settings
        swept, published = reconcile(outbox, publisher, s.reconcile, s.lease, s.limits, touch)
        return {
            "leases ended": swept.expired,
            "messages missing": swept.stale,
            "published": published,
        }

    return Step(RECONCILE, settings.reconcile, run)


def garbage_step(ledger: Maintenance, lake: Layers, landing: Landing, settings: Settings) -> Step:
    """Returns the step that collects the garbage of finished files."""

    def run() -> StepResult:
        return {"tidied": collect_garbage(ledger, lake, landing, GARBAGE_LIMIT)}

    return Step(TIDY, settings.reconcile, run)
