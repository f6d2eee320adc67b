"""What is done every so often, whatever files come: any engine may call it, and one at a time does it."""

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
"""Seconds between looks for what has expired."""
EARLY = 0.5
"""Of its interval: so much earlier than it is due a step is done by who has a schedule of his own. Ticks of
beat and turns of others drift apart: so one of both does the step, and no interval is left out."""

Done = Mapping[str, Any]
"""What was done, in words for people, and of how many."""
Work = Callable[[], Done]


@dataclass(frozen=True)
class Step:
    """Something that is done every so many seconds."""

    name: str
    every: float
    run: Work


@dataclass(frozen=True)
class Housekeeping:
    """Steps, as `bootstrap.housekeeping` makes them. Each is done once in its interval, by one process of
    the whole fleet. A step that two do at the same time all the same is done twice, and does no harm."""

    ledger: Maintenance
    steps: tuple[Step, ...]

    def run_due(self) -> Mapping[str, Done]:
        """Do each step that nobody has begun in the last `every` seconds; returns what they did, by name.

        To be called often: a step that is not due costs one statement. A step that fails is tried again
        when it is due again; errors are raised as by `each`.
        """
        return each(partial(self._run_if_due, step) for step in self.steps)

    def _run_if_due(self, step: Step) -> Done:
        return {step.name: step.run()} if self.ledger.take_turn(step.name, step.every) else {}

    def run(self, *names: str) -> Done:
        """Do these steps, for who has a schedule of his own (beat), but for those that somebody has begun
        in the last half of their interval. Returns what they did; errors are raised as by `each`."""
        return each(partial(self._run, step) for step in self.steps if step.name in names)

    def _run(self, step: Step) -> Done:
        mine = True
        with suppress(Transient):  # then somebody else may do it too
            mine = self.ledger.take_turn(step.name, step.every, step.every * EARLY)
        return step.run() if mine else {}


def each(works: Iterable[Work]) -> Done:
    """Do all of them. One that fails keeps no other from its work; the first one's error is raised at the
    end."""
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
    """Publish again whatever is stale. touch: called again and again meanwhile."""

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
    """Collect garbage of finished files."""
    return Step(TIDY, settings.sweep, lambda: {"tidied": tidy(ledger, lake, landing)})
