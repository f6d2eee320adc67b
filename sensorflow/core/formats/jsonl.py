"""JSON lines: one object a line. Numbers are kept as their text, so that none is rounded here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from sensorflow.core.formats.chunk import Chunk, Reject, Spot, text_of
from sensorflow.core.formats.lines import Block, Lines
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent


def chunks(stream: BinaryIO, profile: Profile) -> Iterator[Chunk]:
    lines = Lines(stream, profile.max_line)
    absent, rows = set(profile.needed), 0
    while (block := lines.block()) is not None:
        chunk = _chunk(block, profile)
        rows += len(chunk)
        absent -= {name for name in absent if chunk.columns[name].null_count < len(chunk)}
        yield chunk
    if absent and rows:
        names = ", ".join(map(repr, sorted(absent)))
        raise Permanent(Code.COLUMN_MISSING, f"no line has a value for {names}")


class _Text(str):
    """A number, as it is written in the file."""

    __slots__ = ()


_DECODER = json.JSONDecoder(parse_float=_Text, parse_int=_Text, parse_constant=_Text)


def _chunk(block: Block, profile: Profile) -> Chunk:
    rows: list[list[str | None]] = []
    places: list[int] = []
    rejects: list[Reject] = []
    for index in range(len(block)):
        raw = block.raw(index)
        if not raw.strip():
            continue
        row = _row(raw, profile)
        if isinstance(row, tuple):
            code, reason, at = row
            where = block.offset + int(block.starts[index]) + at
            rejects.append(Reject(block.line + index, where, None, code, reason, text_of(raw)))
        else:
            rows.append(row)
            places.append(index)
    cells = list(zip(*rows, strict=True)) or [()] * len(profile.needed)
    columns = {n: pa.array(c, pa.string()) for n, c in zip(profile.needed, cells, strict=True)}

    def spot(row: int) -> Spot:
        at = places[row]
        return Spot(block.offset + int(block.starts[at]), text_of(block.raw(at)))

    return Chunk(columns, np.array(places, np.int64) + block.line, spot, rejects)


def _row(raw: bytes, profile: Profile) -> list[str | None] | tuple[Code, str, int]:
    """The needed members as texts, None where absent or null; or why the line is refused."""
    if (at := raw.find(b"\0")) >= 0:
        return Code.NUL_BYTE, f"a NUL byte at position {at} of the line", at
    try:
        found = _DECODER.decode(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Code.INVALID_UTF8, f"not UTF-8 at position {error.start} of the line", error.start
    except (json.JSONDecodeError, RecursionError) as error:
        return Code.MALFORMED_ROW, f"not JSON: {error}", 0
    if not isinstance(found, dict):
        return Code.MALFORMED_ROW, "not a JSON object", 0
    texts = [_text(found.get(name)) for name in profile.needed]
    if any(text is not None and not _is_unicode(text) for text in texts):
        return Code.INVALID_UTF8, "half of a surrogate pair, which is no character", 0
    return texts


def _is_unicode(text: str) -> bool:
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _text(value: Any) -> str | None:
    """Strings and numbers as they are; anything else as its JSON, which no rule takes for a number."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)
