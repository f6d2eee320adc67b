"""Creates the rejects of a chunk. A reject is a rejected row or cell, with its code and the reason."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sensorflow.core import reasons
from sensorflow.core.binding.binding import Measure, Text
from sensorflow.core.formats.chunk import Reject
from sensorflow.core.validation.cells import as_text
from sensorflow.core.validation.rows import ChunkEvaluation
from sensorflow.errors import Code

_TIMES = frozenset(code for code in Code if code.name.startswith("TIMESTAMP"))


def row_rejects(evaluation: ChunkEvaluation) -> Iterator[Reject]:
    """Yield a reject for each row that cannot be read at all."""
    measure = evaluation.binding.measures[0]
    places = {Code.SENSOR_MISSING: measure.sensor, Code.TYPE_MISSING: measure.type}
    time = Text(tuple(c for part in evaluation.binding.time for c in part.columns))
    for row in np.flatnonzero(evaluation.row_codes != 0).tolist():
        code = Code.of(evaluation.row_codes[row])
        columns = places.get(code, time).columns
        column = " ".join(evaluation.binding.names[c] for c in columns) or None
        when = evaluation.clocked.when.get(evaluation.binding.time)
        cell = _shown(evaluation, columns, row) if when is None else when[row].as_py()
        yield reject(evaluation, row, column, code, _reason(evaluation, code, cell, row, measure))


def cell_rejects(evaluation: ChunkEvaluation) -> Iterator[Reject]:
    for index, measure in enumerate(evaluation.binding.measures):
        grade = measure.grade
        for row in np.flatnonzero(evaluation.codes[index] != 0).tolist():
            code = Code.of(evaluation.codes[index][row])
            graded = code is Code.QUALITY_REFUSED and grade is not None
            column = grade.column if graded and grade is not None else measure.column
            cell = _shown(evaluation, (column,), row)
            if code in _TIMES and measure.time:
                cell = evaluation.clocked.when[measure.time][row].as_py()
            reason = _reason(evaluation, code, cell, row, measure)
            yield reject(evaluation, row, measure.name, code, reason)


def _shown(evaluation: ChunkEvaluation, columns: tuple[int, ...], row: int) -> str:
    cells = (as_text(evaluation.chunk.columns[c].slice(row, 1))[0].as_py() for c in columns)
    return " ".join(map(str, cells))


def _reason(
    evaluation: ChunkEvaluation, code: Code, cell: str | None, row: int, measure: Measure
) -> str:
    binding, zone = evaluation.binding, evaluation.binding.clock.zone
    if binding.zone is not None:
        zone = evaluation.clocked.zone[row].as_py()
    asked = reasons.Expected(
        binding.formats,
        zone,
        binding.zone is not None,
        evaluation.profile.bounds,
        measure.style,
        counted=evaluation.profile.time is not None and evaluation.profile.time.step is not None,
    )
    return reasons.reason(code, cell, asked, binding.clock)


def reject(
    evaluation: ChunkEvaluation, row: int, column: str | None, code: Code, reason: str
) -> Reject:
    offset, raw = evaluation.chunk.spot(row)
    return Reject(int(evaluation.chunk.lines[row]), offset, column, code, reason, raw)
