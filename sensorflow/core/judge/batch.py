"""The accepted readings of a chunk."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core import numbers
from sensorflow.core.binding import untitled
from sensorflow.core.binding.layout import Text
from sensorflow.core.judge.cells import as_text
from sensorflow.core.judge.rows import Case
from sensorflow.core.readings import BRONZE, Flag


def readings(
    case: Case,
) -> tuple[pa.RecordBatch, tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Return the accepted readings, ordered by row and measure, and the (row, measure) indexes of each."""
    rows, columns = _places(case)
    if case.every:
        values = case.cells[0].values.to_numpy()
    else:
        numbers_ = np.stack(
            [n.values.fill_null(0.0).to_numpy(zero_copy_only=False) for n in case.cells]
        )
        values = numbers_[columns, rows]
    unit = pc.fill_null(_spread(case, "unit", rows, columns), "")
    unit, values = _converted(case, unit, values)
    batch = pa.RecordBatch.from_arrays(
        [
            _taken(case, pa.array(case.chunk.lines), rows),
            _ts(case, rows, columns),
            _spread(case, "sensor", rows, columns),
            _renamed(case, _spread(case, "type", rows, columns)),
            unit,
            pa.array(values),
            pa.array(_qualities(case, rows, columns)),
            _taken(case, _rescued(case), rows),
        ],
        schema=BRONZE,
    )
    return batch, (rows, columns)


def _places(case: Case) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    if case.every:
        return np.arange(case.count), np.zeros(case.count, np.intp)
    rows, columns = np.nonzero(case.kept.T)
    return rows, columns


def _taken(case: Case, array: pa.Array, rows: npt.NDArray[np.intp]) -> pa.Array:
    return array if case.every else array.take(pa.array(rows))


def _ts(case: Case, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> pa.Array:
    if not case.layout.measures[0].time:
        return _taken(case, case.times[0].ts, rows)
    laid = pa.concat_arrays([time.ts for time in case.times])
    return laid.take(pa.array(columns * case.count + rows))


def _spread(
    case: Case, attribute: str, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
) -> pa.Array:
    """Return a text attribute of each reading, from its row and its measure."""
    texts: list[Text] = [getattr(measure, attribute) for measure in case.layout.measures]
    if len(set(texts)) == 1:
        return _taken(case, case.texts.of(texts[0]), rows)
    if all(not text.columns for text in texts):
        return pa.array([text.constant for text in texts], pa.string()).take(pa.array(columns))
    laid = pa.concat_arrays([case.texts.of(text) for text in texts])
    return laid.take(pa.array(columns * case.count + rows))


def _renamed(case: Case, kinds: pa.Array) -> pa.Array:
    """Rename reading types as the profile says."""
    if not case.profile.types:
        return kinds
    coded = pc.dictionary_encode(kinds)
    names = [case.profile.types.get(name, name) for name in coded.dictionary.to_pylist()]
    return pa.array(names, pa.string()).take(coded.indices)


def _converted(
    case: Case, unit: pa.Array, values: npt.NDArray[np.float64]
) -> tuple[pa.Array, npt.NDArray[np.float64]]:
    """Rename units and convert values as the profile says."""
    if not case.profile.units:
        return unit, values
    coded = pc.dictionary_encode(unit)
    names = coded.dictionary.to_pylist()
    values = values.copy()
    for code, name in enumerate(names):
        wanted = case.profile.units.get(name)
        if wanted is not None:
            names[code] = wanted.to
            here = coded.indices.to_numpy() == code
            if wanted.scale != 1 or wanted.offset != 0:
                scaled = numbers.scaled(pa.array(values[here]), wanted.scale)
                values[here] = scaled.to_numpy() + wanted.offset
    return pa.array(names, pa.string()).take(coded.indices), values


def _qualities(
    case: Case, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
) -> npt.NDArray[np.int16]:
    found = np.zeros((len(case.layout.measures), case.count), np.int16)
    for index, measure in enumerate(case.layout.measures):
        if measure.grade is not None:
            told = pc.fill_null(case.texts.of(Text((measure.grade.column,))), "")
            good = pc.is_in(told, value_set=pa.array(measure.grade.good, pa.string()))
            found[index][~np.asarray(good.to_numpy(zero_copy_only=False), np.bool_)] = Flag.SOURCE
    return np.asarray(found[columns, rows], np.int16)


def _rescued(case: Case) -> pa.Array:
    """Return the cells of each row in columns that the profile does not mention, as JSON."""
    if not case.layout.rescued:
        return pa.nulls(case.count, pa.string())
    names = untitled.unique(case.layout.names, case.layout.rescued)
    columns = [as_text(case.chunk.columns[i]).to_pylist() for i in case.layout.rescued]
    rows = (dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True))
    kept = ({name: cell for name, cell in row.items() if cell} for row in rows)
    return pa.array([json.dumps(r, ensure_ascii=False) if r else None for r in kept], pa.string())
