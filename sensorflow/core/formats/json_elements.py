"""Splits the list of records of a JSON document into lines, one record per line, so that they can be read
like JSON lines.

A first pass over the document finds the begin and end of the list. Python's parser reads the text before
and after the list. A second pass splits the list at the commas between its elements. If the list is not
found, the caller uses the streaming parser.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, BinaryIO

import numpy as np

from sensorflow.core.formats.encoding import utf8
from sensorflow.core.formats.guarded import Guarded
from sensorflow.core.formats.keys import duplicate_key, duplicate_key_in
from sensorflow.core.formats.lines import Block
from sensorflow.core.formats.oneline import MEMBERS
from sensorflow.core.formats.records import EVERY, Path
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent

AROUND = 1 << 20
"""Maximum number of bytes before the list, and of bytes after the list. Both are kept in memory."""
PIECE = 1 << 19
_SPACE = " \t\r\n"


@dataclass(frozen=True)
class Found:
    """The position of the list of records. begin, end: the offsets after the opening bracket and of the
    closing bracket, in bytes of UTF-8. around: the document without the list's elements."""

    begin: int
    end: int
    around: Any


def find(stream: BinaryIO, profile: Profile, steps: Path) -> Found | None:
    """Return the position of the list of records, or None if the list is not found. steps: the path of
    the records. The steps before the first "[*]" lead to the list."""
    head = steps[: steps.index(EVERY)] if EVERY in steps else (0,)
    if not all(isinstance(step, str) and step.isascii() for step in head):
        return None
    stream.seek(0)
    guarded = Guarded(utf8(stream, profile.encoding), profile, len(head) + 1)
    before, after = b"", b""
    begin = end = None
    offset = 0
    while (piece := guarded.piece()) is not None:
        data, inside, depths = piece
        at = 0
        if begin is None:
            before += data
            begin = _begin(before, head)
            if begin is None and len(before) > AROUND:
                return None
            at = len(data) if begin is None else max(begin - offset, 0)
        if begin is not None and end is None:
            closed = np.flatnonzero(~inside[at:] & (depths[at:] <= len(head)))
            if len(closed):
                at += int(closed[0])
                end = offset + at
        if end is not None:
            after += data[at:]
            if len(after) > AROUND:
                return None
        offset += len(data)
    if begin is None or end is None or guarded.documents != 1:
        return None
    return Found(begin, end, _around(before[:begin] + after))


def _around(text: bytes) -> Any:
    try:
        around = MEMBERS.decode(text.decode())
    except ValueError as error:
        what = " ".join(str(error).split())[:300]
        raise Permanent(
            Code.UNREADABLE, f"not JSON before or after the list of records: {what}"
        ) from error
    if (key := duplicate_key_in(around)) is not None:
        do = (
            "request the file again from its sender: it is unknown which of the two values is right"
        )
        raise Permanent(Code.UNREADABLE, f"outside the records, {duplicate_key(key)}", do=do)
    return around


def _begin(data: bytes, head: Path) -> int | None:
    """Return the offset after the bracket that opens the list. Returns None if the bracket is not in
    `data`, or if the value is not a list. data: the first bytes of the document. head: the path of the
    list."""
    text = data.decode("latin-1")
    decoder = json.JSONDecoder()
    try:
        at = _past(text, 0)
        for name in head:
            at = _member(text, at, str(name), decoder)
        return at + 1 if text[at] == "[" else None
    except (ValueError, IndexError, RecursionError):
        return None


def _past(text: str, at: int) -> int:
    while text[at] in _SPACE:
        at += 1
    return at


def _member(text: str, at: int, name: str, decoder: json.JSONDecoder) -> int:
    """Return the offset of the value of the member `name`. at: the offset of the object that contains
    the member."""
    if text[at] != "{":
        raise ValueError
    while True:
        at = _past(text, at + 1)
        if text[at] != '"':
            raise ValueError
        key, at = scanstring(text, at + 1)
        at = _past(text, at)
        if text[at] != ":":
            raise ValueError
        at = _past(text, at + 1)
        if key == name:
            return at
        _, at = decoder.raw_decode(text, at)
        at = _past(text, at)
        if text[at] != ",":
            raise ValueError


def elements(stream: BinaryIO, profile: Profile, steps: Path, found: Found) -> Iterator[Block]:
    """Yield the elements of the list as blocks of lines. Each line contains one element; the first has
    line number 1."""
    depth = steps.index(EVERY) + 1
    stream.seek(0)
    guarded = Guarded(utf8(stream, profile.encoding), profile, depth)
    offset, buffered, line = 0, b"", 1
    while (piece := guarded.piece()) is not None and offset < found.end:
        data, inside, depths = piece
        first, last = max(found.begin - offset, 0), min(found.end - offset, len(data))
        offset += len(data)
        if first >= last:
            continue
        signs = np.frombuffer(data, np.uint8)[first:last].copy()
        outside = ~inside[first:last]
        signs[outside & ((signs == 10) | (signs == 13))] = 32
        signs[outside & (signs == 44) & (depths[first:last] == depth)] = 10
        buffered += signs.tobytes()
        if len(buffered) >= PIECE and (cut := buffered.rfind(b"\n") + 1):
            block = _block(buffered[:cut], line)
            buffered, line = buffered[cut:], line + len(block)
            yield block
    tail = buffered[buffered.rfind(b"\n") + 1 :]
    if not tail.strip() and (line > 1 or len(tail) < len(buffered)):
        what = "no value after the last comma of the list"
        raise Permanent(Code.UNREADABLE, f"not JSON: {what}")
    if tail.strip():
        yield _block(buffered, line)


def _block(data: bytes, line: int) -> Block:
    block = Block(data or b" ", 0, line)
    for index in np.flatnonzero(np.diff(block.starts, append=len(block.data)) < 8).tolist():
        if not block.raw(index).strip():
            what = f"no value between two commas, at element {line + index:,}"
            raise Permanent(Code.UNREADABLE, f"not JSON: {what}")
    return block
