"""The validation of one chunk, cell by cell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core import numbers
from sensorflow.core.binding.binding import Measure, Text
from sensorflow.core.formats.chunk import Chunk
from sensorflow.core.profile import Profile
from sensorflow.core.rules import matching
from sensorflow.core.texts import may_hold_nul
from sensorflow.core.validation.cells import Texts
from sensorflow.core.validation.times import Times
from sensorflow.errors import Code

Bools = npt.NDArray[np.bool_]


class ChunkEvaluation:
    """The result of validating a chunk, for each row and cell.

    codes: the reject code of each cell, by measure and row; 0 for a cell that is not rejected. row_codes:
    the reject code of each row that cannot be read at all; 0 for other rows. accepted: whether each cell is
    an accepted reading. times: the times of each measure.
    """

    def __init__(self, chunk: Chunk, profile: Profile) -> None:
        self.chunk, self.profile, self.binding = chunk, profile, chunk.binding
        self.count = len(chunk)
        self.texts = Texts(chunk)
        measures = self.binding.measures
        self.cells = [self._numbers(m) for m in measures]
        self.valid = np.stack([_valid(n) for n in self.cells])
        self.codes = np.stack([n.codes for n in self.cells])
        self.missing = (~self.valid & (self.codes == 0)).sum(axis=0)
        self.clocked = Times(chunk, profile, self.texts)
        self.times = self.clocked.of_measures()
        self._require_readings()
        present = self.valid | (self.codes != 0)
        judged = present.any(axis=0)
        self.row_codes = np.where(judged, self.times[0].codes, np.int16(0))
        if self.binding.measures[
            0
        ].time:  # the column title contains a part of the time, so each cell has its own time
            self.row_codes[:] = 0
            for index, time in enumerate(self.times):
                bad = self.valid[index] & (self.codes[index] == 0) & (time.codes != 0)
                self.codes[index][bad] = time.codes[bad]
        self._name(judged)
        self.good = judged & (self.row_codes == 0)
        self._grade()
        self.codes[:, ~self.good] = 0
        self.accepted = self.valid & (self.codes == 0) & self.good
        self.every = len(measures) == 1 and bool(self.accepted.all())
        """Whether each row is exactly one reading."""

    def _numbers(self, measure: Measure) -> numbers.Numbers:
        column, halves = self.chunk.columns[measure.column], None
        if measure.hemisphere is not None:
            halves = self.texts.of(Text((measure.hemisphere,)))
        typed = self.chunk.typed.get(measure.column)
        return numbers.read(column, measure.style, typed, halves)

    def _require_readings(self) -> None:
        if not any(rule.required for found in self.profile.rules.values() for rule in found):
            return
        for index, measure in enumerate(self.binding.measures):
            gone = ~self.valid[index] & (self.codes[index] == 0)
            if not gone.any():
                continue
            kinds = pc.dictionary_encode(self.texts.of(measure.type))
            for code, kind in enumerate(kinds.dictionary.to_pylist()):
                wanted = any(r.required for r in matching(self.profile.rules, kind or ""))
                of_kind = kinds.indices.fill_null(-1).to_numpy(zero_copy_only=False) == code
                if wanted:
                    self.codes[index][gone & of_kind] = Code.RULE_REQUIRED.number
                    self.missing -= gone & of_kind

    def _name(self, judged: Bools) -> None:
        """Reject cells without a sensor or type, and cells whose sensor, type or unit contains a NUL
        character. If the text for all measures is in the same cell, the whole row is rejected."""
        absences = {"sensor": Code.SENSOR_MISSING, "type": Code.TYPE_MISSING, "unit": None}
        for attribute, code in absences.items():
            texts = [getattr(measure, attribute) for measure in self.binding.measures]
            shared = len(set(texts)) == 1
            for index, text in enumerate(texts[:1] if shared else texts):
                array = self.texts.of(text)
                if not (array.null_count or may_hold_nul(array)):
                    continue
                nul = pc.match_substring(array, "\0").fill_null(False)
                bad = np.asarray(nul.to_numpy(zero_copy_only=False), np.bool_)
                absent = np.zeros(self.count, np.bool_)
                if code is not None:
                    absent = np.asarray(array.is_null().to_numpy(zero_copy_only=False), np.bool_)
                if not (bad.any() or absent.any()):
                    continue
                target = self.row_codes if shared else self.codes[index]
                of_measure = judged if shared else self.valid[index]
                if code is not None:
                    target[of_measure & absent & (target == 0)] = code.number
                target[of_measure & bad & (target == 0)] = Code.NUL_BYTE.number

    def _grade(self) -> None:
        """Reject a reading if the cell in its quality column is one of the texts in the profile's
        `reject`."""
        for index, measure in enumerate(self.binding.measures):
            if measure.grade is not None and measure.grade.reject:
                texts = pc.fill_null(self.texts.of(Text((measure.grade.column,))), "")
                bad = pc.is_in(texts, value_set=pa.array(measure.grade.reject, pa.string()))
                bad = np.asarray(bad.to_numpy(zero_copy_only=False), np.bool_)
                self.codes[index][self.valid[index] & bad] = Code.QUALITY_REFUSED.number


def _valid(found: numbers.Numbers) -> Bools:
    return np.asarray(found.values.is_valid().to_numpy(zero_copy_only=False), np.bool_)
