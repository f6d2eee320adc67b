"""JSON lines: a value a line, of which each is a record, or holds some."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from sensorflow.core.formats.chunk import Chunk, Number, Reject, Spot, text_of
from sensorflow.core.formats.encoding import Plain
from sensorflow.core.formats.keys import doubled
from sensorflow.core.formats.lines import Block, Lines
from sensorflow.core.formats.records import ROWS, Columns, Record, explode, path
from sensorflow.core.growth import Part
from sensorflow.core.layout import Resolve
from sensorflow.core.profile import Profile
from sensorflow.errors import Code


def chunks(
    stream: BinaryIO, profile: Profile, resolve: Resolve, part: Part | None = None
) -> Iterator[Chunk]:
    plain = Plain(stream, profile.encoding)
    lines = Lines(plain, profile.max_line, plain.start)
    if part is not None and part.byte_offset:
        lines.jump(part.byte_offset, part.line_base + 1)
    steps = path(profile.records or "")
    columns = Columns(profile, resolve, steps)
    while (block := lines.block()) is not None:
        found: list[tuple[int, Record, Callable[[], Spot]]] = []
        rejects: list[Reject] = []
        read = 0
        for index in range(len(block)):
            raw = block.raw(index)
            if not raw.strip() or (profile.comment and raw.startswith(profile.comment.encode())):
                continue
            value = loads(raw, profile.max_nesting)
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
                reason = f"the line has nothing at {profile.records}"
                rejects.append(
                    Reject(line, offset, None, Code.NOTHING_MEASURED, reason, text_of(raw))
                )
            if len(found) >= ROWS:
                yield from columns.chunks(found, rejects, read if steps else None)
                found, rejects, read = [], [], 0
        yield from columns.chunks(found, rejects, read if steps else None)
    if part is None:  # of a file that grows, a column may be in another part
        columns.finish()


def _spot(block: Block, index: int) -> Callable[[], Spot]:
    return lambda: Spot(block.offset + int(block.starts[index]), text_of(block.raw(index)))


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise Fault(Code.MALFORMED_ROW, doubled(key))
    return found


_DECODER = json.JSONDecoder(
    parse_float=Number, parse_int=Number, parse_constant=Number, object_pairs_hook=_members
)


class Fault(Exception):
    """Why a line is refused, and where in it."""

    def __init__(self, code: Code, reason: str, at: int = 0) -> None:
        self.code, self.reason, self.at = code, reason, at


def loads(raw: bytes, nesting: int) -> Any | Fault:
    """A line's object, its numbers as texts; or why it is refused. nesting: how deep it may be."""
    if (at := raw.find(b"\0")) >= 0:
        return Fault(Code.NUL_BYTE, f"a NUL byte at position {at} of the line", at)
    try:
        found = _DECODER.decode(raw.decode())
    except Fault as fault:
        return fault
    except UnicodeDecodeError as error:
        reason = f"not UTF-8 at position {error.start} of the line"
        return Fault(Code.INVALID_UTF8, reason, error.start)
    except (json.JSONDecodeError, RecursionError) as error:
        return Fault(Code.MALFORMED_ROW, f"not JSON: {error}")
    if raw.count(b"[") + raw.count(b"{") > nesting and _deeper(found, nesting):
        return Fault(Code.MALFORMED_ROW, f"nested deeper than {nesting} levels")
    if not isinstance(found, dict | list):
        return Fault(Code.MALFORMED_ROW, "not a JSON object")
    return found


def _deeper(value: Any, limit: int) -> bool:
    """Whether a value holds others over more than `limit` levels; without recursion, which has a limit
    of its own."""
    level = [value]
    for _ in range(limit + 1):
        inner = (
            v.values() if isinstance(v, dict) else v for v in level if isinstance(v, dict | list)
        )
        level = [member for members in inner for member in members]
        if not level:
            return False
    return True
