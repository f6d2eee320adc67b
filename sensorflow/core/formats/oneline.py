"""Parses one line of JSON. Numbers become texts."""

from __future__ import annotations

import json
from typing import Any

from sensorflow.core.formats.chunk import Number
from sensorflow.core.formats.keys import Members, duplicate_key
from sensorflow.errors import Code


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise Fault(Code.MALFORMED_ROW, duplicate_key(key))
    return found


_DECODER = json.JSONDecoder(
    parse_float=Number, parse_int=Number, parse_constant=Number, object_pairs_hook=_members
)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = Members()
    for key, value in pairs:
        found[key] = value
    return found if hasattr(found, "twice") else dict(found)


MEMBERS = json.JSONDecoder(
    parse_float=Number,
    parse_int=Number,
    parse_constant=Number,
    object_pairs_hook=_without_duplicates,
)
"""A JSON decoder that returns numbers as `Number`, and an object with a duplicate key as `Members`."""


class Fault(Exception):
    """The reason why a line is rejected. at: the byte position in the line."""

    def __init__(self, code: Code, reason: str, at: int = 0) -> None:
        self.code, self.reason, self.at = code, reason, at


def loads(raw: bytes, nesting: int, bare: bool = False) -> Any | Fault:
    """Return the parsed JSON of a line, or a `Fault` if the line must be rejected. Numbers become texts.
    nesting: the maximum nesting depth. bare: whether a line may be a single string or number instead of
    an object or list."""
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
    if not (bare or isinstance(found, dict | list)):
        return Fault(Code.MALFORMED_ROW, "not a JSON object")
    return found


def _deeper(value: Any, limit: int) -> bool:
    """Return whether a value is nested deeper than `limit` levels. The function is not recursive,
    because Python limits the depth of recursion."""
    level = [value]
    for _ in range(limit + 1):
        inner = (
            v.values() if isinstance(v, dict) else v for v in level if isinstance(v, dict | list)
        )
        level = [member for members in inner for member in members]
        if not level:
            return False
    return True
