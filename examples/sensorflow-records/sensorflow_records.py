"""A decoder for the binary files of a logger. Each record has 16 bytes, little-endian, and contains one
reading: seconds since 1970 (uint32), sensor (uint16), type (uint16), value (float64)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from sensorflow.core.binding.binding import decoded
from sensorflow.core.binding.resolve import Resolve
from sensorflow.core.formats.chunk import Chunk, Reject, Spot
from sensorflow.core.formats.decoded import DecodedReading, Readings
from sensorflow.core.profile import Profile
from sensorflow.errors import Code

RECORD = struct.Struct("<IHHd")
TYPES = {1: ("temperature", "degC"), 2: ("humidity", "%")}
ROWS = 8192


def chunks(stream: BinaryIO, profile: Profile, resolve: Resolve) -> Iterator[Chunk]:
    found = Readings(decoded(profile, ("epoch_s",)))
    offset, number = 0, 1
    while raw := stream.read(RECORD.size):
        while len(raw) < RECORD.size and (more := stream.read(RECORD.size - len(raw))):
            raw += more  # a compressed stream may return fewer bytes
        _take(number, offset, raw, found)
        offset, number = offset + len(raw), number + 1
        if found.records + len(found.rejects) >= ROWS:
            yield found.chunk()
    yield found.chunk()


def _take(number: int, offset: int, raw: bytes, found: Readings) -> None:
    if len(raw) < RECORD.size:
        reason = f"a record has {RECORD.size} bytes, the last one {len(raw)}"
        found.rejects.append(Reject(number, offset, None, Code.MALFORMED_ROW, reason, raw.hex(" ")))
        return
    seconds, sensor, kind, value = RECORD.unpack(raw)
    name, unit = TYPES.get(kind, (f"type-{kind}", ""))
    found.records += 1
    found.spots[number] = lambda: Spot(offset, raw.hex(" "))
    found.decoded.append(
        DecodedReading(number, str(seconds), f"s{sensor}", name, unit, repr(value))
    )
