"""Keys of JSON objects: the member names on the path to a record, and duplicate keys."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sensorflow.errors import Code, Permanent

KEY = "@key"
INDEX = "@index"
_REFERENCE = re.compile(r"(@key|@index)(?:\((\d{1,2})\))?")
DO = "correct the names in the profile, then replay"


class Place(str):
    """The index of an element in its list, from 0. It is stored in place of a key, because elements of a
    list have no keys."""

    __slots__ = ()


class Members(dict[str, Any]):
    """A JSON object of a document. twice: a key that occurs more than once in the object, so that its
    value is ambiguous. The attribute exists only if there is such a key."""

    __slots__ = ("twice",)
    twice: str

    @classmethod
    def of(cls, members: dict[str, Any], twice: str) -> Members:
        members_ = cls(members)
        members_.twice = twice
        return members_

    def __setitem__(self, key: str, value: Any) -> None:
        if key in self:
            self.twice = key
        super().__setitem__(key, value)


def duplicate_key_in(value: Any) -> str | None:
    """Return a key that occurs more than once in an object or in an object within it; None if all keys
    are unique."""
    if isinstance(value, dict):
        if (twice := getattr(value, "twice", None)) is not None:
            return str(twice)
        return next((key for key in map(duplicate_key_in, value.values()) if key is not None), None)
    if isinstance(value, list):
        return next((key for key in map(duplicate_key_in, value) if key is not None), None)
    return None


def duplicate_key(key: str) -> str:
    return f"the key {key[:100]!r} occurs twice in an object"


def level(reference: str, records: Iterable[object]) -> tuple[bool, int] | None:
    """Parse a name such as "@key(1)". Returns (whether it is a key rather than an index, number of "[*]"
    steps to go up), or None for a name of another form. records: the path of the records. Raises
    Permanent if the path has too few "[*]" steps."""
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        return None
    up, limit = int(match[2] or 0), sum(step == "*" for step in records)
    if up >= max(limit, 1):
        what = f"{reference} needs {up + 1} [*] in records, which has {limit}"
        raise Permanent(Code.COLUMN_MISSING, what, column=reference, do=DO)
    return match[1] == KEY, up


def at(keys: tuple[str, ...], is_key: bool, up: int) -> str | None:
    """Return the key or the index at a "[*]" step above a record. up: the number of "[*]" steps to go
    up. Raises Permanent if a key is requested for a list, or an index for an object."""
    if up >= len(keys):
        return None
    found = keys[-1 - up]
    if isinstance(found, Place) != is_key:
        return found
    if not is_key:
        what = f"{_name(INDEX, up)} does not exist, because its [*] selects members of an object; "
        what += f"use {_name(KEY, up)}, which is {str(found)[:100]!r} here"
        raise Permanent(Code.COLUMN_MISSING, what, do=DO)
    above = (n for n, key in enumerate(reversed(keys)) if n > up and not isinstance(key, Place))
    other = [_name(KEY, n) for n in above] or [_name(INDEX, up)]
    what = f"{_name(KEY, up)} does not exist, because its [*] selects elements of a list; use "
    what += f"{' or '.join(other)} for {'a key above it' if KEY in other[0] else 'the index'}"
    raise Permanent(Code.COLUMN_MISSING, what, column=_name(KEY, up), do=DO)


def _name(word: str, up: int) -> str:
    return f"{word}({up})" if up else word
