"""Two states of a project, and where they differ.

A state is area -> place -> value. A value is a scalar, or a list of texts: rows, compared one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

State = Mapping[str, Mapping[str, Any]]
NOTHING = "(nothing)"
"""Where one side has no such place."""
LONGEST = 200
"""Characters of a value that are shown."""


@dataclass(frozen=True)
class Difference:
    area: str
    place: str
    before: str
    after: str

    def __str__(self) -> str:
        before, after = _around(self.before, self.after)
        return f"{self.area} {self.place}: {before} -> {after}"


def differences(before: State, after: State) -> Iterator[Difference]:
    """All of them, in the order of areas and places."""
    for area in sorted(before.keys() | after.keys()):
        old, new = before.get(area, {}), after.get(area, {})
        for place in sorted(old.keys() | new.keys()):
            first, second = old.get(place, NOTHING), new.get(place, NOTHING)
            if type(first) is not type(second) or first != second:
                yield from _of_place(area, place, first, second)


def _of_place(area: str, place: str, first: Any, second: Any) -> Iterator[Difference]:
    if not (isinstance(first, list) and isinstance(second, list)):
        yield Difference(area, place, _shown(first), _shown(second))
        return
    for number, (old, new) in enumerate(zip_longest(first, second, fillvalue=NOTHING), 1):
        if old != new:
            yield Difference(area, f"{place} row {number}", _shown(old), _shown(new))


def _shown(value: Any) -> str:
    return f"{len(value)} rows" if isinstance(value, list) else str(value)


def _around(before: str, after: str) -> tuple[str, str]:
    """Both, cut to where they begin to differ."""
    if max(len(before), len(after)) <= LONGEST:
        return before, after
    same = next(
        (n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b),
        min(len(before), len(after)),
    )
    start = max(0, same - LONGEST // 4)
    mark = "…" if start else ""
    return tuple(f"{mark}{text[start : start + LONGEST]}" for text in (before, after))  # type: ignore[return-value]


def declared(found: Sequence[Difference], expected: str) -> tuple[list[Difference], int]:
    """(those that no regular expression was given for, number of the others). "" declares nothing."""
    pattern = re.compile(expected) if expected else None
    left = [d for d in found if pattern is None or not pattern.search(str(d))]
    return left, len(found) - len(left)


def flat(value: Any, place: str = "$") -> Iterator[tuple[str, Any]]:
    """(path, scalar) of each leaf of a JSON document. Empty objects and lists are leaves."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from flat(inner, f"{place}.{key}")
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from flat(inner, f"{place}[{number}]")
    else:
        yield place, value if isinstance(value, str | int | float | None) else str(value)
