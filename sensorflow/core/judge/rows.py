"""One chunk before the judge."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core import numbers, reasons
from sensorflow.core.binding import untitled
from sensorflow.core.binding.layout import Cut, Measure, Text
from sensorflow.core.formats.chunk import Chunk, Reject
from sensorflow.core.judge.cells import as_text
from sensorflow.core.profile import Profile
from sensorflow.core.profile.time import Time
from sensorflow.core.readings import BRONZE, Flag
from sensorflow.core.rules import matching
from sensorflow.core.texts import bare, may_hold_nul
from sensorflow.core.times import counted, rowzones, timeformats
from sensorflow.core.times.clock import Clock
from sensorflow.core.times.instants import Instants, from_timestamps, parse
from sensorflow.errors import Code, Permanent

Bools = npt.NDArray[np.bool_]
_TIMES = frozenset(code for code in Code if code.name.startswith("TIMESTAMP"))


class Case:
    """One chunk before the judge."""

    def __init__(self, chunk: Chunk, profile: Profile) -> None:
        self.chunk, self.profile, self.layout = chunk, profile, chunk.layout
        self.count = len(chunk)
        self._texts: dict[Text, pa.Array] = {}
        self.when: dict[tuple[Text, ...], pa.Array] = {}
        measures = self.layout.measures
        self.cells = [self._numbers(m) for m in measures]
        self.valid = np.stack([_valid(n) for n in self.cells])
        self.codes = np.stack([n.codes for n in self.cells])
        self.missing = (~self.valid & (self.codes == 0)).sum(axis=0)
        self.times = self._times()
        self._require_readings()
        present = self.valid | (self.codes != 0)
        judged = present.any(axis=0)
        self.row_codes = np.where(judged, self.times[0].codes, np.int16(0))
        if self.layout.measures[
            0
        ].time:  # a part of the time stands in the title: each cell has its own
            self.row_codes[:] = 0
            for index, time in enumerate(self.times):
                bad = self.valid[index] & (self.codes[index] == 0) & (time.codes != 0)
                self.codes[index][bad] = time.codes[bad]
        self._name(judged)
        self.good = judged & (self.row_codes == 0)
        self._grade()
        self.codes[:, ~self.good] = 0
        self.kept = self.valid & (self.codes == 0) & self.good
        self.every = len(measures) == 1 and bool(self.kept.all())
        """Each row is one reading."""

    def _numbers(self, measure: Measure) -> numbers.Numbers:
        column, halves = self.chunk.columns[measure.column], None
        if measure.hemisphere is not None:
            halves = self.text(Text((measure.hemisphere,)))
        typed = self.chunk.typed.get(measure.column)
        return numbers.read(column, measure.style, typed, halves)

    def _require_readings(self) -> None:
        if not any(rule.required for found in self.profile.rules.values() for rule in found):
            return
        for index, measure in enumerate(self.layout.measures):
            gone = ~self.valid[index] & (self.codes[index] == 0)
            if not gone.any():
                continue
            kinds = pc.dictionary_encode(self.text(measure.type))
            for code, kind in enumerate(kinds.dictionary.to_pylist()):
                wanted = any(r.required for r in matching(self.profile.rules, kind or ""))
                here = kinds.indices.fill_null(-1).to_numpy(zero_copy_only=False) == code
                if wanted:
                    self.codes[index][gone & here] = Code.RULE_REQUIRED.number
                    self.missing -= gone & here

    def _name(self, judged: Bools) -> None:
        """Refuse what has no sensor or no type: the whole row where all its cells share the text."""
        absences = {"sensor": Code.SENSOR_MISSING, "type": Code.TYPE_MISSING, "unit": None}
        for attribute, code in absences.items():
            texts = [getattr(measure, attribute) for measure in self.layout.measures]
            shared = len(set(texts)) == 1
            for index, text in enumerate(texts[:1] if shared else texts):
                array = self.text(text)
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
                here = judged if shared else self.valid[index]
                if code is not None:
                    target[here & absent & (target == 0)] = code.number
                target[here & bad & (target == 0)] = Code.NUL_BYTE.number

    def _grade(self) -> None:
        """Refuse the readings that the logger itself does."""
        for index, measure in enumerate(self.layout.measures):
            if measure.grade is not None and measure.grade.reject:
                told = pc.fill_null(self.text(Text((measure.grade.column,))), "")
                bad = pc.is_in(told, value_set=pa.array(measure.grade.reject, pa.string()))
                bad = np.asarray(bad.to_numpy(zero_copy_only=False), np.bool_)
                self.codes[index][self.valid[index] & bad] = Code.QUALITY_REFUSED.number

    def text(self, text: Text) -> pa.Array:
        """The text of each row, null where it has none; spaces around it are not part of it."""
        if text not in self._texts:
            self._texts[text] = self._made(text)
        return self._texts[text]

    def _made(self, text: Text) -> pa.Array:
        if not text.parts:
            return pa.nulls(self.count, pa.string())
        arrays = [self._part(part) for part in text.parts]
        if len(arrays) == 1:
            return arrays[0]
        return pc.binary_join_element_wise(*arrays, "", null_handling="emit_null")

    def _part(self, part: str | int | Cut) -> pa.Array:
        if isinstance(part, str):
            return pa.repeat(pa.scalar(part, pa.string()), self.count)
        if isinstance(part, Cut):
            return self._cut(part)
        return bare(as_text(self.chunk.columns[part]))

    def _cut(self, cut: Cut) -> pa.Array:
        found = self._part(cut.column)
        if cut.pattern is not None:
            found = self._first_group(found, cut.pattern, strict=True, group=cut.group)
        if cut.otherwise is not None:
            found = pc.coalesce(bare(found), self.text(cut.otherwise))
        return found if cut.default is None else pc.fill_null(bare(found), cut.default)

    def _first_group(
        self, texts: pa.Array, pattern: str, strict: bool = False, group: str | None = None
    ) -> pa.Array:
        try:
            return numbers.first_group(texts, pattern, strict, group)
        except Permanent as error:
            if (row := error.place.pop("row", None)) is not None:
                error.place["line"] = int(self.chunk.lines[row])
            raise

    def _times(self) -> list[Instants]:
        """The time of each row, or, where it stands in the titles, of each row for each measure."""
        known: dict[tuple[Text, ...], Instants] = {}
        for measure in self.layout.measures:
            parts = measure.time or self.layout.time
            if parts not in known:
                known[parts] = self._instants(parts)
        return [known[measure.time or self.layout.time] for measure in self.layout.measures]

    def _instants(self, texts: tuple[Text, ...]) -> Instants:
        step = self.profile.time.step if self.profile.time else None
        if step is None:
            return self._bounded(self._told(texts))
        start, index, size = texts[:-2], self.text(texts[-2]), self.text(texts[-1])
        found = counted.after(self._told(start), index, size, step, self._clock)
        self.when[texts] = counted.shown(self.when.get(start), index, size)
        return self._bounded(found)

    def _told(self, texts: tuple[Text, ...]) -> Instants:
        time, layout = self.profile.time or Time(), self.layout
        if len(texts) == 1 and len(columns := texts[0].columns) == 1:
            column = self.chunk.columns[columns[0]]
            if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
                return self._by_clock(column, from_timestamps)
        parts = [self.text(part) for part in texts]
        markers = self.profile.missing or ()
        if markers and len(parts) == 1:  # of several parts, a 0 may be an hour
            marked = pa.array(markers, pa.string())
            parts = [pc.if_else(pc.is_in(p, value_set=marked), None, p) for p in parts]
        for index, width in enumerate(time.pad[: len(parts)]):
            parts[index] = pc.utf8_lpad(parts[index], width, "0")
        whole = parts[0]
        if len(parts) > 1:
            whole = pc.binary_join_element_wise(*parts, time.join, null_handling="emit_null")
        if time.extract is not None:
            whole = self._first_group(whole, time.extract)
        if self.profile.decimal == "," and layout.formats[0] in timeformats.NUMERIC:
            whole = pc.replace_substring(whole, ",", ".")
        self.when[texts] = whole
        formats = layout.formats
        return self._by_clock(whole, lambda t, c: parse(t, formats, c))

    def _by_clock(self, column: pa.Array, read: Callable[[pa.Array, Clock], Instants]) -> Instants:
        """Times read by the file's clock, or by that of each row."""
        layout, time, clock = self.layout, self.profile.time, self._clock
        if layout.dst is not None and time is not None and time.dst is not None:
            told = self.text(Text((layout.dst,)))
            clock = replace(clock, dst=rowzones.flags(told, time.dst.yes, time.dst.no))
        return read(column, clock)

    @cached_property
    def _zone(self) -> pa.Array:
        """The cell of each row that names its zone."""
        return self.text(self.layout.zone or Text())

    @cached_property
    def _clock(self) -> Clock:
        clock = self.layout.clock
        if self.layout.zone is None:
            return clock
        return replace(clock, by_row=rowzones.zones_of(self._zone, clock.zones))

    def _bounded(self, found: Instants) -> Instants:
        """Instants without those that the settings do not expect."""
        low, high = self.profile.earliest, self.profile.latest
        if low is None and high is None:
            return found
        outside = pa.array(np.zeros(self.count, np.bool_))
        if low is not None:
            outside = pc.or_(outside, pc.less(found.ts, pa.scalar(low, found.ts.type)))
        if high is not None:
            outside = pc.or_(outside, pc.greater(found.ts, pa.scalar(high, found.ts.type)))
        bad = np.asarray(outside.fill_null(False).to_numpy(zero_copy_only=False), np.bool_)
        if not bad.any():
            return found
        codes = found.codes.copy()
        codes[bad] = Code.TIMESTAMP_OUTSIDE.number
        return Instants(pc.if_else(pa.array(bad), None, found.ts), codes)

    def readings(self) -> tuple[pa.RecordBatch, tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
        """The accepted readings, row by row in the order of the measures; (row, measure) of each."""
        rows, columns = self._places()
        if self.every:
            values = self.cells[0].values.to_numpy()
        else:
            numbers_ = np.stack(
                [n.values.fill_null(0.0).to_numpy(zero_copy_only=False) for n in self.cells]
            )
            values = numbers_[columns, rows]
        unit = pc.fill_null(self._spread("unit", rows, columns), "")
        unit, values = self._converted(unit, values)
        batch = pa.RecordBatch.from_arrays(
            [
                self._taken(pa.array(self.chunk.lines), rows),
                self._ts(rows, columns),
                self._spread("sensor", rows, columns),
                self._renamed(self._spread("type", rows, columns)),
                unit,
                pa.array(values),
                pa.array(self._qualities(rows, columns)),
                self._taken(self._rescued(), rows),
            ],
            schema=BRONZE,
        )
        return batch, (rows, columns)

    def _places(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        if self.every:
            return np.arange(self.count), np.zeros(self.count, np.intp)
        rows, columns = np.nonzero(self.kept.T)
        return rows, columns

    def _taken(self, array: pa.Array, rows: npt.NDArray[np.intp]) -> pa.Array:
        return array if self.every else array.take(pa.array(rows))

    def _ts(self, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> pa.Array:
        if not self.layout.measures[0].time:
            return self._taken(self.times[0].ts, rows)
        laid = pa.concat_arrays([time.ts for time in self.times])
        return laid.take(pa.array(columns * self.count + rows))

    def _spread(
        self, attribute: str, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
    ) -> pa.Array:
        """A text of each reading, from its row and its measure."""
        texts: list[Text] = [getattr(measure, attribute) for measure in self.layout.measures]
        if len(set(texts)) == 1:
            return self._taken(self.text(texts[0]), rows)
        if all(not text.columns for text in texts):
            return pa.array([text.constant for text in texts], pa.string()).take(pa.array(columns))
        laid = pa.concat_arrays([self.text(text) for text in texts])
        return laid.take(pa.array(columns * self.count + rows))

    def _renamed(self, kinds: pa.Array) -> pa.Array:
        """Types by the names that the profile wants."""
        if not self.profile.types:
            return kinds
        coded = pc.dictionary_encode(kinds)
        names = [self.profile.types.get(name, name) for name in coded.dictionary.to_pylist()]
        return pa.array(names, pa.string()).take(coded.indices)

    def _converted(
        self, unit: pa.Array, values: npt.NDArray[np.float64]
    ) -> tuple[pa.Array, npt.NDArray[np.float64]]:
        """Units by the names, and values in the scale, that the profile wants."""
        if not self.profile.units:
            return unit, values
        coded = pc.dictionary_encode(unit)
        names = coded.dictionary.to_pylist()
        values = values.copy()
        for code, name in enumerate(names):
            wanted = self.profile.units.get(name)
            if wanted is not None:
                names[code] = wanted.to
                here = coded.indices.to_numpy() == code
                if wanted.scale != 1 or wanted.offset != 0:
                    scaled = numbers.scaled(pa.array(values[here]), wanted.scale)
                    values[here] = scaled.to_numpy() + wanted.offset
        return pa.array(names, pa.string()).take(coded.indices), values

    def _qualities(
        self, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.int16]:
        found = np.zeros((len(self.layout.measures), self.count), np.int16)
        for index, measure in enumerate(self.layout.measures):
            if measure.grade is not None:
                told = pc.fill_null(self.text(Text((measure.grade.column,))), "")
                good = pc.is_in(told, value_set=pa.array(measure.grade.good, pa.string()))
                found[index][~np.asarray(good.to_numpy(zero_copy_only=False), np.bool_)] = (
                    Flag.SOURCE
                )
        return np.asarray(found[columns, rows], np.int16)

    def _rescued(self) -> pa.Array:
        """What stands in columns that the profile does not speak of, as JSON."""
        if not self.layout.rescued:
            return pa.nulls(self.count, pa.string())
        names = untitled.unique(self.layout.names, self.layout.rescued)
        columns = [as_text(self.chunk.columns[i]).to_pylist() for i in self.layout.rescued]
        rows = (dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True))
        kept = ({name: cell for name, cell in row.items() if cell} for row in rows)
        return pa.array(
            [json.dumps(r, ensure_ascii=False) if r else None for r in kept], pa.string()
        )

    def row_rejects(self) -> Iterator[Reject]:
        """Rows that cannot be read at all."""
        measure = self.layout.measures[0]
        places = {Code.SENSOR_MISSING: measure.sensor, Code.TYPE_MISSING: measure.type}
        time = Text(tuple(c for part in self.layout.time for c in part.columns))
        for row in np.flatnonzero(self.row_codes != 0).tolist():
            code = Code.of(self.row_codes[row])
            columns = places.get(code, time).columns
            column = " ".join(self.layout.names[c] for c in columns) or None
            when = self.when.get(self.layout.time)
            cell = self._shown(columns, row) if when is None else when[row].as_py()
            yield self.reject(row, column, code, self._reason(code, cell, row, measure))

    def cell_rejects(self) -> Iterator[Reject]:
        for index, measure in enumerate(self.layout.measures):
            grade = measure.grade
            for row in np.flatnonzero(self.codes[index] != 0).tolist():
                code = Code.of(self.codes[index][row])
                graded = code is Code.QUALITY_REFUSED and grade is not None
                column = grade.column if graded and grade is not None else measure.column
                cell = self._shown((column,), row)
                if code in _TIMES and measure.time:
                    cell = self.when[measure.time][row].as_py()
                reason = self._reason(code, cell, row, measure)
                yield self.reject(row, measure.name, code, reason)

    def _shown(self, columns: tuple[int, ...], row: int) -> str:
        cells = (as_text(self.chunk.columns[c].slice(row, 1))[0].as_py() for c in columns)
        return " ".join(map(str, cells))

    def _reason(self, code: Code, cell: str | None, row: int, measure: Measure) -> str:
        layout, zone = self.layout, self.layout.clock.zone
        if layout.zone is not None:
            zone = self._zone[row].as_py()
        asked = reasons.Asked(
            layout.formats,
            zone,
            layout.zone is not None,
            self.profile.bounds,
            measure.style,
            counted=self.profile.time is not None and self.profile.time.step is not None,
        )
        return reasons.reason(code, cell, asked, layout.clock)

    def reject(self, row: int, column: str | None, code: Code, reason: str) -> Reject:
        offset, raw = self.chunk.spot(row)
        return Reject(int(self.chunk.lines[row]), offset, column, code, reason, raw)


def _valid(found: numbers.Numbers) -> Bools:
    return np.asarray(found.values.is_valid().to_numpy(zero_copy_only=False), np.bool_)
