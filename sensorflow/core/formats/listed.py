"""Reads the records of a JSON document if they are the elements of a list. It reads many elements at
once, as for JSON lines."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, BinaryIO

import numpy as np

from sensorflow.core.binding.resolve import Resolve
from sensorflow.core.formats.chunk import Chunk, Spot
from sensorflow.core.formats.json_elements import Found, elements
from sensorflow.core.formats.keys import Place
from sensorflow.core.formats.lines import Block
from sensorflow.core.formats.oneline import MEMBERS
from sensorflow.core.formats.records import (
    EVERY,
    ROWS,
    Columns,
    Path,
    Record,
    explode,
    path,
    raw_of,
    references,
)
from sensorflow.core.formats.shaped import Shaped
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent


def chunks(
    stream: BinaryIO, profile: Profile, resolve: Resolve, steps: Path, found: Found
) -> Generator[Chunk, None, int]:
    """Yield the chunks of the records in the list. The generator's return value is the number of
    records."""
    reading = _Reading(profile, resolve, steps, found.around)
    for block in elements(stream, profile, steps, found):
        yield from reading.chunks(block)
    if reading.rows:
        reading.columns.finish()
    return reading.rows


class _Reading:
    def __init__(self, profile: Profile, resolve: Resolve, steps: Path, around: Any) -> None:
        self.head, self.below_list = steps[: steps.index(EVERY)], steps[steps.index(EVERY) + 1 :]
        outside = dict(_outside(profile, (*self.head, EVERY), around))
        self.columns = Columns(profile, resolve, steps, outside)
        self.shaped = Shaped(self.columns, self.below_list, above=len(self.head) + 1)
        self.placed = any(name.startswith("@") for name in self.columns.named)
        self.rows = 0
        self.last: tuple[Block, int, list[Record]] | None = None
        """The element whose record was requested last, as (block, line, records). It is cached, because
        the next request is usually for another record of this element."""

    def chunks(self, block: Block) -> Iterator[Chunk]:
        if self.placed:
            return self.one_by_one(block)
        return self.shaped.read(block, self.one_by_one, self.numbered)

    def numbered(self, block: Block, chunk: Chunk) -> Chunk:
        """Return the chunk with new line numbers: the numbers of the records in the document. `chunk`
        has the positions of the records in `block`."""
        lines = np.arange(self.rows + 1, self.rows + 1 + len(chunk), dtype=np.int64)
        self.rows += len(chunk)
        spot = partial(self.spot, block, chunk.lines - block.line)
        return replace(chunk, lines=lines, spot=spot, records=None)

    def one_by_one(self, block: Block) -> Iterator[Chunk]:
        found: list[tuple[int, Record, Callable[[], Spot]]] = []
        for index in range(len(block)):
            for record in self.records(block, index):
                self.rows += 1
                found.append((self.rows, record, partial(raw_of, record)))
            if len(found) >= ROWS:
                yield from self.columns.chunks(found, [])
                found = []
        if found:
            yield from self.columns.chunks(found, [])

    def records(self, block: Block, index: int) -> Iterator[Record]:
        place = block.line + index - 1
        raw = block.raw(index)
        if not raw.strip():  # the list is empty
            return iter(())
        try:
            value = MEMBERS.decode(raw.decode())
        except (ValueError, RecursionError) as error:
            what = " ".join(str(error).split())[:300]
            raise Permanent(Code.UNREADABLE, f"not JSON: element {place + 1:,}: {what}") from error
        return explode(value, self.below_list, (None,) * (len(self.head) + 1), (Place(place),))

    def spot(self, block: Block, lines: np.ndarray[Any, np.dtype[np.int64]], row: int) -> Spot:
        before, line = int(np.searchsorted(lines, lines[row])), int(lines[row])
        if self.last is None or self.last[0] is not block or self.last[1] != line:
            self.last = block, line, list(self.records(block, line))
        return raw_of(self.last[2][row - before])


def _outside(profile: Profile, streamed: Path, around: Any) -> Iterator[tuple[str, Any]]:
    """Yield (path, value) for each absolute path of the profile that leads to a value outside the list
    of records."""
    for reference in dict.fromkeys(name for names in references(profile) for name in names):
        wanted = path(reference)
        if reference.startswith("$") and wanted[: len(streamed)] != streamed:
            record = next(explode(around, wanted), None)
            yield reference, record.value if record else None
