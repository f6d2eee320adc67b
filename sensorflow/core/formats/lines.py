"""Reads a binary stream as blocks of complete lines, with their positions in the file."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from sensorflow.errors import Code, Permanent

BLOCK = 1 << 21
NULS = 64
"""Maximum number of NUL bytes at the end of a file that are read."""


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def jump(self, offset: int) -> None: ...


@dataclass(frozen=True)
class Block:
    """Consecutive complete lines of a file. The last line of the file may lack a newline.

    offset: the offset of the block's first byte in the file. line: the number of the block's first line.
    The first line of a file has number 1.
    """

    data: bytes
    offset: int
    line: int

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """The offset in `data` of each line's first byte."""
        ends = np.flatnonzero(np.frombuffer(self.data, np.uint8) == 10) + 1
        starts = np.concatenate(([0], ends)).astype(np.int64)
        return starts[:-1] if starts[-1] == len(self.data) else starts

    def __len__(self) -> int:
        return len(self.starts)

    def raw(self, index: int) -> bytes:
        ends = self.starts[index : index + 2].tolist()
        return self.data[ends[0] : ends[1] if len(ends) == 2 else len(self.data)]

    def between(self, begin: int, end: int) -> Block:
        """Return the lines from index `begin` up to, but not including, index `end`."""
        starts = self.starts
        last = int(starts[end]) if end < len(starts) else len(self.data)
        first = int(starts[begin])
        return Block(self.data[first:last], self.offset + first, self.line + begin)

    def pieces(self, size: int) -> Iterator[Block]:
        """Split the block into blocks of about `size` bytes."""
        begin = 0
        while begin < len(self):
            wanted = int(self.starts[begin]) + size
            end = max(int(np.searchsorted(self.starts, wanted)), begin + 1)
            yield self.between(begin, end)
            begin = end

    def after(self, index: int) -> Block | None:
        """Return the lines from `index` to the end, or None if there are none."""
        if index >= len(self):
            return None
        start = int(self.starts[index])
        return Block(self.data[start:], self.offset + start, self.line + index)


class Line(NamedTuple):
    raw: bytes
    offset: int
    number: int


class Tail:
    """A stream that returns at most `NULS` of the NUL bytes at the end of a file, because some loggers
    fill a file with NUL bytes in advance. NUL bytes before other bytes are unchanged."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._held_bytes = 0
        self._next = b""

    def read(self, size: int, /) -> bytes:
        if self._held_bytes and self._next:  # other bytes follow these NUL bytes
            count = min(self._held_bytes, size)
            self._held_bytes -= count
            return b"\0" * count
        while True:
            data, self._next = self._next or self._stream.read(size), b""
            if not data:
                count, self._held_bytes = min(self._held_bytes, NULS), 0
                return b"\0" * count
            if not data.endswith(b"\0"):
                if self._held_bytes:
                    self._next = data
                    return self.read(size)
                return data
            stripped = data.rstrip(b"\0")
            if stripped and self._held_bytes:
                self._next = data
                return self.read(size)
            self._held_bytes += len(data) - len(stripped)
            if stripped:
                return stripped

    def jump(self, offset: int) -> None:
        self._stream.jump(offset)
        self._held_bytes, self._next = 0, b""


class Lines:
    """Reads a stream in blocks of lines, or line by line if a block is irregular. Both ways of reading
    advance the same position.

    Raises Permanent LINE_TOO_LONG if a line is longer than `limit` bytes.
    """

    def __init__(self, stream: Readable, limit: int, offset: int = 0) -> None:
        self._stream = Tail(stream)
        self._limit = limit
        self._buffered = b""
        self._offset = offset
        self._line = 1
        self._waiting: deque[Line] = deque()
        self._opened: tuple[Block, int] | None = None

    def block(self) -> Block | None:
        """Return the next block of complete lines, or None at the end."""
        data = self._buffered
        while True:
            more = self._stream.read(BLOCK)
            cut = more.rfind(b"\n")
            if not more or cut >= 0:
                break
            data += more
            if len(data) > self._limit:
                self._too_long()
        if not more:
            self._buffered, complete = b"", data
        else:
            complete, self._buffered = data + more[: cut + 1], more[cut + 1 :]
        if not complete:
            return None
        block = Block(complete, self._offset, self._line)
        if np.diff(block.starts, append=len(complete)).max() > self._limit:
            self._too_long()
        self._offset += len(complete)
        self._line += len(block)
        return block

    def _too_long(self) -> None:
        raise Permanent(
            Code.LINE_TOO_LONG,
            f"a line is longer than {self._limit:,} bytes",
            line=self._line,
            byte_offset=self._offset,
        )

    def open(self, block: Block) -> None:
        """Put `block` back: `next` then returns its lines one by one."""
        assert self._opened is None
        self._opened = (block, 0) if len(block) else None

    def next(self) -> Line | None:
        """Return the next line, or None at the end. The lines of the opened block come before the lines
        of the stream."""
        if self._waiting:
            return self._waiting.popleft()
        if self._opened is None:
            block = self.block()
            if block is None:
                return None
            self.open(block)
        assert self._opened is not None
        block, index = self._opened
        self._opened = (block, index + 1) if index + 1 < len(block) else None
        offset = block.offset + int(block.starts[index])
        return Line(block.raw(index), offset, block.line + index)

    def peek(self) -> Line | None:
        """Return the next line without consuming it."""
        line = self.next()
        if line is not None:
            self.back([line])
        return line

    def back(self, lines: list[Line]) -> None:
        self._waiting.extendleft(reversed(lines))

    def remaining_block(self) -> Block | None:
        """Return the remaining lines of the opened block as one block, or None if there are none."""
        (block, index), self._opened = self._opened or (None, 0), None
        left = block.after(index) if block else None
        if not self._waiting:
            return left
        first = self._waiting[0]
        data = b"".join(line.raw for line in self._waiting) + (left.data if left else b"")
        self._waiting.clear()
        return Block(data, first.offset, first.number)

    @property
    def number(self) -> int:
        """The number of the next line."""
        if self._waiting:
            return self._waiting[0].number
        return self._line if self._opened is None else self._opened[0].line + self._opened[1]

    def jump(self, offset: int, number: int) -> None:
        """Continue at byte `offset`, where line `number` begins."""
        self._stream.jump(offset)
        self._buffered, self._opened = b"", None
        self._waiting.clear()
        self._offset, self._line = offset, number

    @property
    def pending(self) -> bool:
        """Whether lines of an opened block remain."""
        return bool(self._waiting) or self._opened is not None


class LookAhead:
    """Reads lines in advance and collects them in `read_lines`. The caller can put these lines back, so
    that they are read again."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.read_lines: list[Line] = []

    def next(self) -> Line | None:
        line = self._lines.next()
        if line is not None:
            self.read_lines.append(line)
        return line

    def back(self, lines: list[Line]) -> None:
        if lines:
            self._lines.back(lines)
            del self.read_lines[-len(lines) :]
