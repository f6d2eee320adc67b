"""Finds the places in a JSON document where the records may be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sensorflow.core.sniff import numeric, times, words

MAX_DEPTH = 6
UNSAFE = r"[.\[\]'$]"


@dataclass(frozen=True)
class Place:
    """A place in a document where the records may be. path: the path, in the notation of the profile's key
    `records`. keyed: whether there is one object, in which each list is a column. named: whether the
    records are members of an object, so that their names distinguish them. mapped: whether a "[*]" in the
    path selects the members of an object instead of the elements of a list."""

    path: str
    keyed: bool = False
    named: bool = False
    mapped: bool = False


def places(
    value: Any, path: str = "", depth: int = 0, named: bool = False, mapped: bool = False
) -> Iterator[Place]:
    """Yield the places where the records may be: the document itself, elements of lists, members with
    the same structure, and objects in which each list is a column."""
    if depth > MAX_DEPTH:
        return
    if isinstance(value, dict):
        if _is_by_time(value):
            yield Place(f"{path}[*]", mapped=True)
            return
        if not path or path.endswith(
            "]"
        ):  # an object within a record is no place, because paths lead to its leaves
            yield Place(path, named=named, mapped=mapped)
        if are_columns(value):
            yield Place(path, keyed=True)
        if inner := _similar_members(value):
            all_objects = all(isinstance(m, dict) for m in value.values())
            yield from places(inner, f"{path}[*]", depth + 1, all_objects, True)
        if lists := _similar_lists(value):
            yield from places(lists, f"{path}[*]", depth + 1, mapped=True)
        for key, member in value.items():
            yield from places(member, below(path, key), depth + 1, mapped=mapped)
    elif isinstance(value, list) and value:
        if isinstance(value[0], list):
            if value[0] and not isinstance(value[0][0], dict | list):
                yield Place(f"{path}[*]", mapped=mapped)
            return
        for element in value[:2]:
            yield from places(element, f"{path}[*]", depth + 1, mapped=mapped)


def are_columns(value: dict[str, Any]) -> bool:
    """Return whether an object contains several lists of plain values that have equal length."""
    lists = [m for m in value.values() if isinstance(m, list)]
    plain = not any(isinstance(e, dict | list) for m in lists for e in m[:3])
    return len(lists) > 1 and plain and len({len(m) for m in lists}) == 1 and bool(lists[0])


def _similar_members(value: dict[str, Any]) -> dict[str, Any] | None:
    """Return the largest member of `value` if its members are similar objects: most of their keys are
    the same, or each contains one value and its unit. Otherwise return None."""
    inner = [m for m in value.values() if isinstance(m, dict) and m]
    if len(inner) > 1 and len(inner) == len(value):
        every = {key for m in inner for key in m}
        if all(len(m) >= 0.5 * len(every) for m in inner):
            return max(inner, key=len)
    valued = [m for m in inner if is_valued(m)]
    return max(valued, key=len) if valued and len(valued) >= 0.5 * len(inner) else None


def _similar_lists(value: dict[str, Any]) -> list[Any] | None:
    """Return the first list in `value` if its lists have elements of the same structure. Otherwise
    return None."""
    lists = [m for m in value.values() if isinstance(m, list) and m]
    if len(lists) < 2 or len(lists) < 0.5 * len(value):
        return None
    firsts = [m[0] for m in lists]
    if all(isinstance(f, list) and len(f) == len(firsts[0]) for f in firsts):
        return lists[0]
    every = {key for f in firsts if isinstance(f, dict) for key in f}
    are_similar = all(isinstance(f, dict) and len(f) >= 0.5 * len(every) for f in firsts)
    return lists[0] if are_similar and every else None


def _is_by_time(value: dict[str, Any]) -> bool:
    """Return whether the names of an object's members are times."""
    keys = list(value)
    return len(keys) > 1 and is_times(keys)


def is_times(keys: Sequence[str]) -> bool:
    some = [key for key in keys if key][:50]
    epochs = all(re.fullmatch(r"\d{10}|\d{13}", key) for key in some)
    dates = all(re.match(r"\d{4}-\d\d-\d\d", key) for key in some)
    return bool(some) and (
        (epochs and times.epoch(some, "time") is not None)
        or (dates and times.read(some, "time") is not None)
    )


def is_valued(member: dict[str, Any]) -> bool:
    """Return whether an object contains one value and its unit. Any other object may be a record of
    several values."""
    keys = [key for key in member if re.search(words.VALUE, key, re.IGNORECASE)]
    plain = [member[key] for key in keys if not isinstance(member[key], dict | list)]
    has_unit = any(re.search(words.UNIT, key, re.IGNORECASE) for key in member)
    numbers = [v for v in plain if isinstance(v, str) and numeric.is_number(v)]
    return len(plain) == 1 and has_unit and (bool(numbers) or plain[0] is None)


def below(path: str, key: str) -> str:
    safe = f"['{key}']" if re.search(UNSAFE, key) or not key else key
    return f"{path}.{safe}" if path and not safe.startswith("[") else f"{path}{safe}"
