"""Which cells of a chunk are readings, and why the others are not.

The unit of account is the reading: each cell that measures something is accepted, rejected or
missing (an empty cell or one of the file's markers is no reading and no fault). A row that cannot be
read at all (no time, no sensor) is one reject.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.binding import untitled
from sensorflow.core.formats.chunk import Chunk, Reject
from sensorflow.core.judge.batch import readings
from sensorflow.core.judge.cells import as_text, selected
from sensorflow.core.judge.rejects import cell_rejects, reject, row_rejects
from sensorflow.core.judge.rows import Case
from sensorflow.core.profile import Profile
from sensorflow.core.readings import BRONZE
from sensorflow.core.rules import Rules
from sensorflow.errors import Code


@dataclass(frozen=True)
class Accepted:
    """bronze: the accepted readings (`readings.BRONZE`). missing: cells that hold no reading. rows:
    rows read, whatever became of them. drift: what is not as the profile has it."""

    bronze: pa.RecordBatch
    rejects: list[Reject]
    missing: int
    rows: int
    drift: tuple[str, ...]

    @property
    def readings(self) -> int:
        """Accepted and rejected."""
        return len(self.bronze) + len(self.rejects)


class Judge:
    """Judges the chunks of one file, in their order."""

    def __init__(self, profile: Profile, received: int | None = None) -> None:
        """received: when the file came, in nanoseconds since 1970."""
        self._profile = profile
        self._rules = Rules(profile.rules, received)
        self._above: dict[str, str | None] = {}
        self._above_typed: dict[str, bool | None] = {}
        self.missing_lines = np.zeros(0, np.int64)
        """The line of each cell of the last chunk that holds no reading."""

    def judge(self, chunk: Chunk) -> Accepted:
        rows = chunk.rows
        if not chunk.layout.measures:
            nothing = pa.RecordBatch.from_pylist([], schema=BRONZE)
            return Accepted(nothing, chunk.rejects, 0, rows, ())
        chunk = selected(self._filled(chunk))
        drift = (*chunk.layout.drift, *untitled.notes(chunk))
        case = Case(chunk, self._profile)
        self.missing_lines = np.repeat(chunk.lines, case.missing)
        rejects = [*chunk.rejects, *row_rejects(case), *cell_rejects(case)]
        batch, places = readings(case)
        ruled = self._rules.apply(batch)
        if ruled.flags.any():
            graded = batch["quality"].to_numpy() | ruled.flags
            batch = batch.set_column(_QUALITY, BRONZE.field(_QUALITY), pa.array(graded))
        bad = ruled.codes != 0
        if bad.any():
            for row in np.flatnonzero(bad).tolist():
                column = chunk.layout.measures[int(places[1][row])].name
                code, why = Code.of(ruled.codes[row]), ruled.reasons[row]
                rejects.append(reject(case, int(places[0][row]), column, code, why))
            batch = batch.filter(pa.array(~bad))
        rejects.sort(key=lambda r: (r.line_no or 0, r.byte_offset or 0))
        missing = len(self.missing_lines)
        return Accepted(batch, rejects, missing, rows, drift)

    def _filled(self, chunk: Chunk) -> Chunk:
        """Empty cells of `fill_down` columns take the text above, over chunks too."""
        if not chunk.layout.fill or not len(chunk):
            return chunk
        columns, typed = dict(chunk.columns), dict(chunk.typed)
        for index in chunk.layout.fill:
            name = chunk.layout.names[index]  # the next table may have its columns in another order
            texts = as_text(columns[index])
            blank = pc.equal(pc.utf8_trim_whitespace(texts), "").fill_null(True)
            texts = pc.if_else(blank, None, texts)
            above = pa.array([self._above.get(name)], pa.string())
            whole = pc.fill_null_forward(pa.concat_arrays([above, texts]))
            columns[index] = whole.slice(1)
            self._above[name] = whole[-1].as_py()
            if index in typed:
                kinds = pc.if_else(blank, None, typed[index])
                before = pa.array([self._above_typed.get(name)], pa.bool_())
                kinds = pc.fill_null_forward(pa.concat_arrays([before, kinds]))
                self._above_typed[name] = kinds[-1].as_py()
                typed[index] = kinds.slice(1).fill_null(False)
        return replace(chunk, columns=columns, typed=typed)


_QUALITY = BRONZE.get_field_index("quality")
