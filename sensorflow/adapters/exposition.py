"""Writes metrics in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

from sensorflow.core.metrics import Histogram, Kind, Metric, Sample

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(samples: Iterable[Sample]) -> bytes:
    """Returns the page that Prometheus scrapes. The metrics are in the order of `Metric`, each with its
    help and type."""
    from prometheus_client import generate_latest

    found: dict[Metric, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.metric, []).append(sample)

    class Collected:
        """A registry, as far as `generate_latest` needs it."""

        @staticmethod
        def collect() -> Iterator[Any]:
            yield from (_family(metric, found[metric]) for metric in Metric if metric in found)

    return generate_latest(Collected())


def _family(metric: Metric, samples: list[Sample]) -> Any:
    from prometheus_client import core

    classes = {
        Kind.COUNTER: core.CounterMetricFamily,
        Kind.GAUGE: core.GaugeMetricFamily,
        Kind.HISTOGRAM: core.HistogramMetricFamily,
    }
    made: Any = classes[metric.kind](metric.value, metric.meaning, labels=metric.labels)
    for sample in samples:
        if isinstance(sample.value, Histogram):
            bounds = [*map(str, map(float, sample.value.bounds)), "+Inf"]
            counts = accumulate(sample.value.counts)
            made.add_metric(
                sample.labels, list(zip(bounds, counts, strict=True)), sample.value.total
            )
        else:
            made.add_metric(sample.labels, sample.value)
    return made
