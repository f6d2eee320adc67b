"""The rejects of a chunk: its rejected rows and cells, with codes and reasons."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sensorflow.core import reasons
from sensorflow.core.binding.layout import Measure, Text
from sensorflow.core.formats.chunk import Reject
from sensorflow.core.judge.cells import as_text
from sensorflow.core.judge.rows import Case
from sensorflow.errors import Code

_TIMES = frozenset(code for code in Code if code.name.startswith("TIMESTAMP"))


def row_rejects(case: Case) -> Iterator[Reject]:
    """Yield the rows that cannot be read at all."""
    measure = case.layout.measures[0]
    places = {Code.SENSOR_MISSING: measure.sensor, Code.TYPE_MISSING: measure.type}
    time = Text(tuple(c for part in case.layout.time for c in part.columns))
    for row in np.flatnonzero(case.row_codes != 0).tolist():
        code = Code.of(case.row_codes[row])
        columns = places.get(code, time).columns
        column = " ".join(case.layout.names[c] for c in columns) or None
        when = case.clocked.when.get(case.layout.time)
        cell = _shown(case, columns, row) if when is None else when[row].as_py()
        yield reject(case, row, column, code, _reason(case, code, cell, row, measure))


def cell_rejects(case: Case) -> Iterator[Reject]:
    for index, measure in enumerate(case.layout.measures):
        grade = measure.grade
        for row in np.flatnonzero(case.codes[index] != 0).tolist():
            code = Code.of(case.codes[index][row])
            graded = code is Code.QUALITY_REFUSED and grade is not None
            column = grade.column if graded and grade is not None else measure.column
            cell = _shown(case, (column,), row)
            if code in _TIMES and measure.time:
                cell = case.clocked.when[measure.time][row].as_py()
            reason = _reason(case, code, cell, row, measure)
            yield reject(case, row, measure.name, code, reason)


def _shown(case: Case, columns: tuple[int, ...], row: int) -> str:
    cells = (as_text(case.chunk.columns[c].slice(row, 1))[0].as_py() for c in columns)
    return " ".join(map(str, cells))


def _reason(case: Case, code: Code, cell: str | None, row: int, measure: Measure) -> str:
    layout, zone = case.layout, case.layout.clock.zone
    if layout.zone is not None:
        zone = case.clocked.zone[row].as_py()
    asked = reasons.Asked(
        layout.formats,
        zone,
        layout.zone is not None,
        case.profile.bounds,
        measure.style,
        counted=case.profile.time is not None and case.profile.time.step is not None,
    )
    return reasons.reason(code, cell, asked, layout.clock)


def reject(case: Case, row: int, column: str | None, code: Code, reason: str) -> Reject:
    offset, raw = case.chunk.spot(row)
    return Reject(int(case.chunk.lines[row]), offset, column, code, reason, raw)
