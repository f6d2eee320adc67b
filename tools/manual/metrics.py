"""Generates the reference of the metrics from their list."""

from __future__ import annotations

from manual.markdown import cell, table
from sensorflow.core.metrics import Kind, Metric, Place


def reference(place: Place) -> str:
    rows = [
        (f"`{m}`", m.kind, ", ".join(f"`{name}`" for name in m.labels), m.unit, cell(m.meaning))
        for m in Metric
        if m.place is place
    ]
    return table(("Metric", "Type", "Labels", "Unit", "Meaning"), rows)


def of_the_fleet() -> str:
    return reference(Place.FLEET)


def of_a_process() -> str:
    return reference(Place.PROCESS)


def queried_names(metric: Metric) -> tuple[str, ...]:
    """Return the names by which a Prometheus query refers to the metric. A histogram has three names."""
    if metric.kind is Kind.HISTOGRAM:
        return tuple(f"{metric}_{part}" for part in ("bucket", "count", "sum"))
    return (metric.value,)
