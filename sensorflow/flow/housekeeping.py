"""Periodic steps, independent of incoming files. Any process may call them; one at a time runs each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from sensorflow.errors import Transient
from sensorflow.flow.landing import Landing
from sensorflow.flow.sweep import sweep
from sensorflow.flow.tidy import tidy
from sensorflow.ports.layers import Layers
from sensorflow.ports.maintenance import Maintenance
from sensorflow.ports.outbox import Outbox
from sensorflow.ports.queue import Publisher
from sensorflow.settings import Settings
from sensorflow.telemetry import Event, emit

SWEEP, TIDY, RETAIN = "sweep", "tidy", "retain"
RETAIN_EVERY = 3600.0
"""Seconds between runs of retention."""
EARLY = 0.5
"""Fraction of the interval by which a caller with its own schedule may run a step early. Its ticks and the
other callers' turns drift apart. With this margin, one of them runs the step and no interval is skipped."""

Done = Mapping[str, Any]
"""What was done: a description for people, and the number."""
Work = Callable[[], Done]


@dataclass(frozen=True)
class Step:
    """A step that is due periodically."""

    name: str
    every: float
    run: Work


@dataclass(frozen=True)
class Housekeeping:
    """Steps, as created by `bootstrap.housekeeping`. Each runs once per interval, in one process of the
    whole fleet. If two processes run a step at the same time, it is done twice without harm."""

    ledger: Maintenance
    steps: tuple[Step, ...]

    def run_due(self) -> Mapping[str, Done]:
        """Run each step that nobody has started in the last `every` seconds. Returns their results by name.

        Call it often: a step that is not due costs one statement. A failed step is retried when it is due
        again. Raises errors as `each` does.
        """
        return each(partial(self._run_if_due, step) for step in self.steps)

    def _run_if_due(self, step: Step) -> Done:
        return {step.name: step.run()} if self.ledger.take_turn(step.name, step.every) else {}

    def run(self, *names: str) -> Done:
        """Run these steps on the caller's own schedule (beat), except steps that another process started in
        the last half of their interval. Returns what they did. Raises errors as `each` does."""
        return each(partial(self._run, step) for step in self.steps if step.name in names)

    def _run(self, step: Step) -> Done:
        mine = True
        with suppress(Transient):  # then another process may run it as well
            mine = self.ledger.take_turn(step.name, step.every, step.every * EARLY)
        return step.run() if mine else {}


def each(works: Iterable[Work]) -> Done:
    """Run all of them, even if one fails. Raises the first error at the end."""
    done: dict[str, Any] = {}
    errors: list[Exception] = []
    for work in works:
        try:
            done |= work()
        except Exception as error:  # noqa: BLE001 - raised below
            errors.append(error)
    for other in errors[1:]:
        emit(Event.DEFECT, exc_info=other)
    if errors:
        raise errors[0]
    return done


def sweeping(
    outbox: Outbox,
    publisher: Publisher,
    settings: Settings,
    touch: Callable[[], object] = lambda: None,
) -> Step:
    """Returns the step that sends stale messages again. touch: called repeatedly meanwhile."""

    def run() -> Done:
        s = settings
        swept, published = sweep(outbox, publisher, s.sweep, s.lease, s.limits, touch)
        return {
            "leases ended": swept.expired,
            "messages missing": swept.stale,
            "published": published,
        }

    return Step(SWEEP, settings.sweep, run)


def tidying(ledger: Maintenance, lake: Layers, landing: Landing, settings: Settings) -> Step:
    """Returns the step that collects garbage of finished files."""
    return Step(TIDY, settings.sweep, lambda: {"tidied": tidy(ledger, lake, landing)})
