"""Reads JSON lines: each line contains one value, which is a record or contains records.

Many lines are read at once if they have the same shape (see `shaped`). Irregular lines and their neighbors
are read one by one. Both ways produce the same chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from sensorflow.core.binding.resolve import Resolve
from sensorflow.core.formats.chunk import Chunk, Reject, Spot, text_of
from sensorflow.core.formats.encoding import Utf8Stream
from sensorflow.core.formats.lines import Block, Lines
from sensorflow.core.formats.oneline import Fault, loads
from sensorflow.core.formats.records import ROWS, Columns, Path, Record, explode, path
from sensorflow.core.formats.shaped import Shaped
from sensorflow.core.growth import Part
from sensorflow.core.profile import Profile
from sensorflow.errors import Code

PIECE = 1 << 19
"""Size in bytes of the blocks of lines that are read at once."""


def chunks(
    stream: BinaryIO, profile: Profile, resolve: Resolve, part: Part | None = None
) -> Iterator[Chunk]:
    plain = Utf8Stream(stream, profile.encoding)
    lines = Lines(plain, profile.max_line, plain.start)
    if part is not None and part.byte_offset:
        lines.jump(part.byte_offset, part.line_base + 1)
    reading = _Reading(profile, resolve)
    while (block := lines.block()) is not None:
        for piece in block.pieces(PIECE):
            yield from reading.chunks(piece)
    if part is None:  # in a growing file, a column may have values in another part
        reading.columns.finish()


class _Reading:
    def __init__(self, profile: Profile, resolve: Resolve) -> None:
        self.profile = profile
        self.steps: Path = path(profile.records or "")
        self.columns = Columns(profile, resolve, self.steps)
        self.comment = profile.comment.encode() if profile.comment else None
        self.shaped = Shaped(self.columns, self.steps, self.comment)

    def chunks(self, block: Block) -> Iterator[Chunk]:
        return self.shaped.read(block, self.one_by_one, lambda _, chunk: chunk)

    def one_by_one(self, block: Block) -> Iterator[Chunk]:
        columns, steps = self.columns, self.steps
        found: list[tuple[int, Record, Callable[[], Spot]]] = []
        rejects: list[Reject] = []
        read = 0
        for index in range(len(block)):
            raw = block.raw(index)
            if not raw.strip() or (self.comment and raw.startswith(self.comment)):
                continue
            value = loads(raw, self.profile.max_nesting)
            offset, line = block.offset + int(block.starts[index]), block.line + index
            if isinstance(value, Fault):
                at = offset + value.at
                rejects.append(Reject(line, at, None, value.code, value.reason, text_of(raw)))
                continue
            where = _spot(block, index)
            records = [(line, record, where) for record in explode(value, steps)]
            found += records
            if records:
                read += 1
            else:
                reason = f"the line has no value at records = {self.profile.records!r}"
                rejects.append(
                    Reject(line, offset, None, Code.NOTHING_MEASURED, reason, text_of(raw))
                )
            if len(found) >= ROWS:
                yield from columns.chunks(found, rejects, read if steps else None)
                found, rejects, read = [], [], 0
        if found or rejects:
            yield from columns.chunks(found, rejects, read if steps else None)


def _spot(block: Block, index: int) -> Callable[[], Spot]:
    return lambda: Spot(block.offset + int(block.starts[index]), text_of(block.raw(index)))
