"""Reads the times of the readings in a chunk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.binding.binding import Text
from sensorflow.core.formats.chunk import Chunk
from sensorflow.core.profile import Profile
from sensorflow.core.profile.time import Time
from sensorflow.core.times import counted, rowzones, timeformats
from sensorflow.core.times.clock import Clock
from sensorflow.core.times.instants import Instants, from_timestamps, parse
from sensorflow.core.validation.cells import Texts
from sensorflow.errors import Code


class Times:
    """Reads the times of a chunk. when: for error messages, the texts from which the times were read."""

    def __init__(self, chunk: Chunk, profile: Profile, texts: Texts) -> None:
        self.chunk, self.profile, self.binding = chunk, profile, chunk.binding
        self.texts = texts
        self.when: dict[tuple[Text, ...], pa.Array] = {}

    def of_measures(self) -> list[Instants]:
        """Return, for each measure, the times of the rows. The measures have different times if their
        titles contain a part of the time."""
        known: dict[tuple[Text, ...], Instants] = {}
        for measure in self.binding.measures:
            parts = measure.time or self.binding.time
            if parts not in known:
                known[parts] = self._instants(parts)
        return [known[measure.time or self.binding.time] for measure in self.binding.measures]

    def _instants(self, texts: tuple[Text, ...]) -> Instants:
        step = self.profile.time.step if self.profile.time else None
        if step is None:
            return self._bounded(self._parsed(texts))
        start, index, size = texts[:-2], self.texts.of(texts[-2]), self.texts.of(texts[-1])
        found = counted.after(self._parsed(start), index, size, step, self._clock)
        self.when[texts] = counted.display_texts(self.when.get(start), index, size)
        return self._bounded(found)

    def _parsed(self, texts: tuple[Text, ...]) -> Instants:
        time, binding = self.profile.time or Time(), self.binding
        if len(texts) == 1 and len(columns := texts[0].columns) == 1:
            column = self.chunk.columns[columns[0]]
            if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
                return self._by_clock(column, from_timestamps)
        parts = [self.texts.of(part) for part in texts]
        markers = self.profile.missing or ()
        if (
            markers and len(parts) == 1
        ):  # only for a single part: in one of several parts, a marker such as 0 may be an hour
            marked = pa.array(markers, pa.string())
            parts = [pc.if_else(pc.is_in(p, value_set=marked), None, p) for p in parts]
        for index, width in enumerate(time.pad[: len(parts)]):
            parts[index] = pc.utf8_lpad(parts[index], width, "0")
        text = parts[0]
        if len(parts) > 1:
            text = pc.binary_join_element_wise(*parts, time.join, null_handling="emit_null")
        if time.extract is not None:
            text = self.texts.first_group(text, time.extract)
        if self.profile.decimal == "," and binding.formats[0] in timeformats.NUMERIC:
            text = pc.replace_substring(text, ",", ".")
        self.when[texts] = text
        formats = binding.formats
        return self._by_clock(text, lambda t, c: parse(t, formats, c))

    def _by_clock(self, column: pa.Array, read: Callable[[pa.Array, Clock], Instants]) -> Instants:
        """Convert times with the file's clock, or with the zone of each row."""
        binding, time, clock = self.binding, self.profile.time, self._clock
        if binding.dst is not None and time is not None and time.dst is not None:
            flags = self.texts.of(Text((binding.dst,)))
            clock = replace(clock, dst=rowzones.flags(flags, time.dst.yes, time.dst.no))
        return read(column, clock)

    @cached_property
    def zone(self) -> pa.Array:
        """The text of each row in the column with zones."""
        return self.texts.of(self.binding.zone or Text())

    @cached_property
    def _clock(self) -> Clock:
        clock = self.binding.clock
        if self.binding.zone is None:
            return clock
        return replace(clock, by_row=rowzones.zones_of(self.zone, clock.zones))

    def _bounded(self, found: Instants) -> Instants:
        """Reject times outside the bounds in the settings (earliest, latest)."""
        low, high = self.profile.earliest, self.profile.latest
        if low is None and high is None:
            return found
        outside = pa.array(np.zeros(self.texts.count, np.bool_))
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
