"""Collects the readings of decoders into chunks. Decoders read formats that define the sensor, type and
unit of each reading. The columns of the chunks are those of `binding.binding.DECODED`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from sensorflow.core.binding.binding import Binding
from sensorflow.core.formats.chunk import Chunk, Reject, Spot


class DecodedReading(NamedTuple):
    """One reading of a decoder. All fields except `line` are texts. quality: the quality flag; "" for a
    good reading."""

    line: int
    time: str | None
    sensor: str | None
    type: str | None
    unit: str
    value: str | None
    quality: str = ""


@dataclass
class Readings:
    """Collects decoded readings into chunks. decoded: the collected readings. records: the number of
    records that they come from. spots: line -> function that returns the position of the record in that
    line."""

    binding: Binding
    decoded: list[DecodedReading] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    spots: dict[int, Callable[[], Spot]] = field(default_factory=dict)
    records: int = 0

    def chunk(self) -> Chunk:
        decoded, spots = self.decoded, self.spots
        columns = list(zip(*decoded, strict=True)) or [()] * len(DecodedReading._fields)
        arrays = {i: pa.array(c, pa.string()) for i, c in enumerate(columns[1:])}
        lines = np.array(columns[0], np.int64)
        chunk = Chunk(
            self.binding,
            arrays,
            lines,
            lambda row: spots[decoded[row].line](),
            self.rejects,
            self.records,
        )
        self.decoded, self.rejects, self.spots, self.records = [], [], {}, 0
        return chunk
