"""Paths to elements of XML: "feed.entry.content.IntervalBlock.IntervalReading".

Names are joined by points, from the root on. A name means every element of that name; "*" stands for any
characters in it, "[0]" behind it takes the first of its parent's, "['price.amount']" is a name that holds a
point. Prefixes of namespaces are not looked at, unless the path gives one ("gpxtpx:hr"). "@name" is an
attribute, "name()" the element's own name; each is the last step. Of several paths with "|" between them
the first is taken that leads to something.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

_STEP = re.compile(r"\.?(?:\['([^']+)'\]|([^.\[\]]+))((?:\[(?:\d+|\*)\])?)")
ANYWHERE = "$.."
"""Begins a path to an element that there is once in the document, wherever it stands."""
NAME = "name()"
"""The last step of a path to the name of an element."""


class Step(NamedTuple):
    """One element, or attribute, on a path. place: which of its name, from 0; None of every."""

    name: str
    place: int | None = None

    def fits(self, name: str) -> bool:
        """Whether this is the name of an element, as it is written in the file."""
        if self.name == name or self.name == "*":
            return True
        local = name if ":" in self.name else name.rpartition(":")[2]
        return self.name == local or ("*" in self.name and _like(local, self.name))

    @property
    def is_last(self) -> bool:
        """Whether it is no element, but an attribute or the name of one."""
        return self.name.startswith("@") or self.name == NAME


Steps = tuple[Step, ...]


@lru_cache(4096)
def _like(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern)


def steps(text: str) -> Steps:
    """ValueError for what is no path."""
    rest = text.removeprefix(ANYWHERE).removeprefix("$").lstrip(".")
    found, at = [], 0
    while at < len(rest):
        match = _STEP.match(rest, at)
        if match is None:
            raise ValueError(
                f"{text!r} is not a path to an element; write names joined by points, as in "
                '"feed.entry[*].content", and ["price.amount"] as [\'price.amount\']'
            )
        place = match[3].strip("[]")
        found.append(Step(match[1] or match[2], int(place) if place.isdigit() else None))
        at = match.end()
    if any(step.is_last for step in found[:-1]):
        raise ValueError(f"{text!r}: an attribute, or name(), must be the last step of a path")
    return tuple(found)


def alternatives(reference: str) -> tuple[str, ...]:
    """The paths of a column's name, of which the first that leads to something is taken."""
    return tuple(part.strip() for part in reference.split("|"))


def check(records: str | None, references: Iterable[str]) -> None:
    """ValueError where `records` leads to no element, or a column's name is no path."""
    found = steps(records) if records else ()
    if not found:
        raise ValueError(
            'records is required: the path to the elements that are records, as in "gpx.trk.trkseg.trkpt"'
        )
    if found[-1].is_last:
        raise ValueError(
            f"records = {records!r} does not point to an element; give the path of its element"
        )
    for reference in references:
        for path in alternatives(reference):
            steps(path)
