"""The accepted readings of a chunk."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core import numbers
from sensorflow.core.binding import untitled
from sensorflow.core.binding.binding import Text
from sensorflow.core.readings import BRONZE, Flag
from sensorflow.core.validation.cells import as_text
from sensorflow.core.validation.rows import ChunkEvaluation


def readings(
    evaluation: ChunkEvaluation,
) -> tuple[pa.RecordBatch, tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Return the accepted readings, ordered by row and then by measure. Also return, for each reading, the
    index of its row and the index of its measure."""
    rows, columns = _places(evaluation)
    if evaluation.every:
        values = evaluation.cells[0].values.to_numpy()
    else:
        numbers_ = np.stack(
            [n.values.fill_null(0.0).to_numpy(zero_copy_only=False) for n in evaluation.cells]
        )
        values = numbers_[columns, rows]
    unit = pc.fill_null(_spread(evaluation, "unit", rows, columns), "")
    unit, values = _converted(evaluation, unit, values)
    batch = pa.RecordBatch.from_arrays(
        [
            _take_rows(evaluation, pa.array(evaluation.chunk.lines), rows),
            _ts(evaluation, rows, columns),
            _spread(evaluation, "sensor", rows, columns),
            _renamed(evaluation, _spread(evaluation, "type", rows, columns)),
            unit,
            pa.array(values),
            pa.array(_qualities(evaluation, rows, columns)),
            _take_rows(evaluation, _rescued(evaluation), rows),
        ],
        schema=BRONZE,
    )
    return batch, (rows, columns)


def _places(evaluation: ChunkEvaluation) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    if evaluation.every:
        return np.arange(evaluation.count), np.zeros(evaluation.count, np.intp)
    rows, columns = np.nonzero(evaluation.accepted.T)
    return rows, columns


def _take_rows(
    evaluation: ChunkEvaluation, array: pa.Array, rows: npt.NDArray[np.intp]
) -> pa.Array:
    return array if evaluation.every else array.take(pa.array(rows))


def _ts(
    evaluation: ChunkEvaluation, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
) -> pa.Array:
    if not evaluation.binding.measures[0].time:
        return _take_rows(evaluation, evaluation.times[0].ts, rows)
    laid = pa.concat_arrays([time.ts for time in evaluation.times])
    return laid.take(pa.array(columns * evaluation.count + rows))


def _spread(
    evaluation: ChunkEvaluation,
    attribute: str,
    rows: npt.NDArray[np.intp],
    columns: npt.NDArray[np.intp],
) -> pa.Array:
    """Return one text for each reading, such as the sensor. attribute: the attribute of `Measure` that
    defines how to build the text."""
    texts: list[Text] = [getattr(measure, attribute) for measure in evaluation.binding.measures]
    if len(set(texts)) == 1:
        return _take_rows(evaluation, evaluation.texts.of(texts[0]), rows)
    if all(not text.columns for text in texts):
        return pa.array([text.constant for text in texts], pa.string()).take(pa.array(columns))
    laid = pa.concat_arrays([evaluation.texts.of(text) for text in texts])
    return laid.take(pa.array(columns * evaluation.count + rows))


def _renamed(evaluation: ChunkEvaluation, kinds: pa.Array) -> pa.Array:
    """Rename reading types according to the profile's `types`."""
    if not evaluation.profile.types:
        return kinds
    coded = pc.dictionary_encode(kinds)
    names = [evaluation.profile.types.get(name, name) for name in coded.dictionary.to_pylist()]
    return pa.array(names, pa.string()).take(coded.indices)


def _converted(
    evaluation: ChunkEvaluation, unit: pa.Array, values: npt.NDArray[np.float64]
) -> tuple[pa.Array, npt.NDArray[np.float64]]:
    """Rename units and convert values according to the profile's `units`."""
    if not evaluation.profile.units:
        return unit, values
    coded = pc.dictionary_encode(unit)
    names = coded.dictionary.to_pylist()
    values = values.copy()
    for code, name in enumerate(names):
        wanted = evaluation.profile.units.get(name)
        if wanted is not None:
            names[code] = wanted.to
            of_unit = coded.indices.to_numpy() == code
            if wanted.scale != 1 or wanted.offset != 0:
                scaled = numbers.scaled(pa.array(values[of_unit]), wanted.scale)
                values[of_unit] = scaled.to_numpy() + wanted.offset
    return pa.array(names, pa.string()).take(coded.indices), values


def _qualities(
    evaluation: ChunkEvaluation, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
) -> npt.NDArray[np.int16]:
    found = np.zeros((len(evaluation.binding.measures), evaluation.count), np.int16)
    for index, measure in enumerate(evaluation.binding.measures):
        if measure.grade is not None:
            texts = pc.fill_null(evaluation.texts.of(Text((measure.grade.column,))), "")
            good = pc.is_in(texts, value_set=pa.array(measure.grade.good, pa.string()))
            found[index][~np.asarray(good.to_numpy(zero_copy_only=False), np.bool_)] = Flag.SOURCE
    return np.asarray(found[columns, rows], np.int16)


def _rescued(evaluation: ChunkEvaluation) -> pa.Array:
    """Return, for each row, a JSON object with the cells of the columns that the profile does not mention;
    null if these cells are empty."""
    if not evaluation.binding.rescued:
        return pa.nulls(evaluation.count, pa.string())
    names = untitled.unique(evaluation.binding.names, evaluation.binding.rescued)
    columns = [as_text(evaluation.chunk.columns[i]).to_pylist() for i in evaluation.binding.rescued]
    rows = (dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True))
    filled_cells = ({name: cell for name, cell in row.items() if cell} for row in rows)
    return pa.array(
        [json.dumps(r, ensure_ascii=False) if r else None for r in filled_cells], pa.string()
    )
