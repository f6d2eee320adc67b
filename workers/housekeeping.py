"""What beat has done every hour, whatever files come: retention, garbage, months of readings."""

from __future__ import annotations

from typing import Any

from sensorflow import bootstrap
from sensorflow.flow.retain import retain
from sensorflow.flow.work import World
from sensorflow.telemetry import Event, log


def run(here: World) -> str:
    """A step that fails keeps no other one from its work; the first one's error is raised at the end."""
    done: dict[str, Any] = {}
    errors: list[Exception] = []
    for step in STEPS:
        try:
            done |= step(here)
        except Exception as error:  # noqa: BLE001 - raised below
            errors.append(error)
    for other in errors[1:]:
        log().error(Event.DEFECT, exc_info=other)
    if errors:
        raise errors[0]
    return " ".join(f"{layer}={count}" for layer, count in done.items()) or "nothing expires"


def _close(here: World) -> dict[str, Any]:
    return {m.month.name: m.outcome for m in bootstrap.close_months(here.settings)}


def _expire(here: World) -> dict[str, Any]:
    return {**retain(here.ledger, here.lake, here.landing, here.settings)}


def _collect(here: World) -> dict[str, Any]:
    garbage = bootstrap.collect_garbage_daily(here.settings)
    return {"half written": garbage} if garbage else {}


def _drop(here: World) -> dict[str, Any]:
    dropped = bootstrap.drop_empty_months(here.settings)
    return {"empty months": dropped} if dropped else {}


STEPS = (_close, _expire, _collect, _drop)
