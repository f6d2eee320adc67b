"""Validation: accepts the cells of a chunk as readings, or rejects them with a reason.

Each cell of a measured column is accepted, rejected or missing. A missing cell is empty or contains a
missing-value marker, and is neither a reading nor an error. A row that cannot be read at all, for example
because it has no time or no sensor, counts as one reject.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.binding import untitled
from sensorflow.core.formats.chunk import Chunk, Reject
from sensorflow.core.profile import Profile
from sensorflow.core.readings import BRONZE
from sensorflow.core.rules import Rules
from sensorflow.core.validation.batch import readings
from sensorflow.core.validation.cells import as_text, selected
from sensorflow.core.validation.rejects import cell_rejects, reject, row_rejects
from sensorflow.core.validation.rows import ChunkEvaluation
from sensorflow.errors import Code


@dataclass(frozen=True)
class Accepted:
    """The result of validating a chunk.

    bronze: the accepted readings (`readings.BRONZE`). missing: number of missing cells. rows: number of
    rows read, including rejected rows. drift: differences between the file's columns and the profile.
    """

    bronze: pa.RecordBatch
    rejects: list[Reject]
    missing: int
    rows: int
    drift: tuple[str, ...]

    @property
    def readings(self) -> int:
        """Number of accepted readings and rejects."""
        return len(self.bronze) + len(self.rejects)


class Validator:
    """Validates the chunks of one file. `validate` must be called in file order."""

    def __init__(self, profile: Profile, received: int | None = None) -> None:
        """received: when the file arrived, in nanoseconds since 1970."""
        self._profile = profile
        self._rules = Rules(profile.rules, received)
        self._above: dict[str, str | None] = {}
        self._above_typed: dict[str, bool | None] = {}
        self.missing_lines = np.zeros(0, np.int64)
        """The line number of each missing cell of the last chunk."""

    def validate(self, chunk: Chunk) -> Accepted:
        rows = chunk.rows
        if not chunk.binding.measures:
            nothing = pa.RecordBatch.from_pylist([], schema=BRONZE)
            return Accepted(nothing, chunk.rejects, 0, rows, ())
        chunk = selected(self._filled(chunk))
        drift = (*chunk.binding.drift, *untitled.notes(chunk))
        evaluation = ChunkEvaluation(chunk, self._profile)
        self.missing_lines = np.repeat(chunk.lines, evaluation.missing)
        rejects = [*chunk.rejects, *row_rejects(evaluation), *cell_rejects(evaluation)]
        batch, places = readings(evaluation)
        ruled = self._rules.apply(batch)
        if ruled.flags.any():
            graded = batch["quality"].to_numpy() | ruled.flags
            batch = batch.set_column(_QUALITY, BRONZE.field(_QUALITY), pa.array(graded))
        bad = ruled.codes != 0
        if bad.any():
            for row in np.flatnonzero(bad).tolist():
                column = chunk.binding.measures[int(places[1][row])].name
                code, reason = Code.of(ruled.codes[row]), ruled.reasons[row]
                rejects.append(reject(evaluation, int(places[0][row]), column, code, reason))
            batch = batch.filter(pa.array(~bad))
        rejects.sort(key=lambda r: (r.line_no or 0, r.byte_offset or 0))
        missing = len(self.missing_lines)
        return Accepted(batch, rejects, missing, rows, drift)

    def _filled(self, chunk: Chunk) -> Chunk:
        """Fill each empty cell of a `fill_down` column with the text of the last cell above it that is not
        empty. That cell may be in an earlier chunk."""
        if not chunk.binding.fill or not len(chunk):
            return chunk
        columns, typed = dict(chunk.columns), dict(chunk.typed)
        for index in chunk.binding.fill:
            name = chunk.binding.names[
                index
            ]  # by name, because the next table may have its columns in another order
            texts = as_text(columns[index])
            blank = pc.equal(pc.utf8_trim_whitespace(texts), "").fill_null(True)
            texts = pc.if_else(blank, None, texts)
            above = pa.array([self._above.get(name)], pa.string())
            filled = pc.fill_null_forward(pa.concat_arrays([above, texts]))
            columns[index] = filled.slice(1)
            self._above[name] = filled[-1].as_py()
            if index in typed:
                kinds = pc.if_else(blank, None, typed[index])
                before = pa.array([self._above_typed.get(name)], pa.bool_())
                kinds = pc.fill_null_forward(pa.concat_arrays([before, kinds]))
                self._above_typed[name] = kinds[-1].as_py()
                typed[index] = kinds.slice(1).fill_null(False)
        return replace(chunk, columns=columns, typed=typed)


_QUALITY = BRONZE.get_field_index("quality")
