"""Computes the quality flags that depend on earlier readings of the same series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.profile.rules import Rule
from sensorflow.core.readings import Flag
from sensorflow.core.rules import matching
from sensorflow.core.series import Last, Series


class QualityFlagger:
    """Finds the flatlines, spikes and gaps in the readings of a file, and flags the readings."""

    def __init__(self, rules: Mapping[str, Sequence[Rule]], series: Series | None = None) -> None:
        self._rules = {
            name: [r for r in found if r.flatline or r.spike is not None or r.gap is not None]
            for name, found in rules.items()
        }
        self.is_idle = not any(self._rules.values())
        self._series = Series() if series is None else series
        self._ts, self._value = Last(-1, np.int64), Last(np.nan, np.float64)
        self._runs: dict[int, tuple[float, int]] = {}

    def flags(self, batch: pa.RecordBatch) -> npt.NDArray[np.int16]:
        """Return the flags of each reading as a bit mask. Call it once per batch, in file order."""
        found = np.zeros(len(batch), np.int16)
        if self.is_idle or not len(batch):
            return found
        series = self._series.of(batch)
        ts = batch["ts"].cast(pa.int64()).to_numpy()
        values = batch["value"].to_numpy()
        before_ts, before = self._ts.before(series, ts), self._value.before(series, values)
        first = before_ts == -1
        seconds = (ts - before_ts) / 1e9
        runs = self._run_lengths(series, values)
        kinds = pc.dictionary_encode(batch["reading_type"])
        for code, kind in enumerate(kinds.dictionary.to_pylist()):
            of_kind = kinds.indices.to_numpy() == code
            for rule in matching(self._rules, kind):
                if rule.flatline:
                    found[of_kind & (runs >= rule.flatline)] |= Flag.FLATLINE
                if rule.spike is not None:
                    with np.errstate(divide="ignore", invalid="ignore"):
                        rate = np.abs(values - before) / np.abs(seconds)
                    found[of_kind & ~first & (rate > rule.spike)] |= Flag.SPIKE
                if rule.gap is not None:
                    found[of_kind & ~first & (seconds > rule.gap)] |= Flag.GAP
        return found

    def _run_lengths(
        self, series: npt.NDArray[np.int64], values: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.int64]:
        """Return, for each reading, the number of consecutive equal values in its series up to this
        reading."""
        order = np.argsort(series, kind="stable")
        s, v = series[order], values[order]
        new = np.ones(len(s), np.bool_)
        new[1:] = (s[1:] != s[:-1]) | (v[1:] != v[:-1])
        starts = np.flatnonzero(new)
        length = np.arange(len(s)) - np.repeat(starts, np.diff(starts, append=len(s))) + 1
        heads = np.flatnonzero(np.concatenate(([True], s[1:] != s[:-1])))
        for head in heads.tolist():
            value, run = self._runs.get(int(s[head]), (np.nan, 0))
            if value == v[head]:
                end = starts[np.searchsorted(starts, head, "right") :]
                stop = int(end[0]) if len(end) else len(s)
                length[head:stop] += run
        lasts = np.append(heads[1:] - 1, len(s) - 1)
        for last in lasts.tolist():
            self._runs[int(s[last])] = (float(v[last]), int(length[last]))
        found = np.empty(len(s), np.int64)
        found[order] = length
        return found
