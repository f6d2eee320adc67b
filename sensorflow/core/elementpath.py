"""Paths to elements of XML: "feed.entry.content.IntervalBlock.IntervalReading".

A path joins names with dots, starting at the root. A name selects every element with that name. In a name,
"*" matches any characters. "[0]" after a name selects the first child of that name. "['price.amount']" is a
name that contains a dot. Namespace prefixes are ignored unless the path has one ("gpxtpx:hr"). "@name" is
an attribute, and "name()" is the element's own name; both are allowed only as the last step. "|" separates
alternatives: the first path that selects something is used.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

_STEP = re.compile(r"\.?(?:\['([^']+)'\]|([^.\[\]]+))((?:\[(?:\d+|\*)\])?)")
ANYWHERE = "$.."
"""Prefix of a path to an element that occurs once in the document, at any place."""
NAME = "name()"
"""The last step of a path to an element's name."""


class Step(NamedTuple):
    """One step of a path: an element or attribute. place: the index, from 0, among the children of this
    name; None selects all children of this name."""

    name: str
    place: int | None = None

    def fits(self, name: str) -> bool:
        """Return whether this step matches a name. name: as written in the file."""
        if self.name == name or self.name == "*":
            return True
        local = name if ":" in self.name else name.rpartition(":")[2]
        return self.name == local or ("*" in self.name and _like(local, self.name))

    @property
    def is_last(self) -> bool:
        """Whether this step is an attribute or name(), and therefore must be the last one."""
        return self.name.startswith("@") or self.name == NAME


Steps = tuple[Step, ...]


@lru_cache(4096)
def _like(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern)


def steps(text: str) -> Steps:
    """Parse a path. Raises ValueError if it is not valid."""
    rest = text.removeprefix(ANYWHERE).removeprefix("$").lstrip(".")
    found, at = [], 0
    while at < len(rest):
        match = _STEP.match(rest, at)
        if match is None:
            raise ValueError(
                f"{text!r} is not a path to an element; join names with dots, as in "
                '"feed.entry[*].content", and write ["price.amount"] as [\'price.amount\']'
            )
        place = match[3].strip("[]")
        found.append(Step(match[1] or match[2], int(place) if place.isdigit() else None))
        at = match.end()
    if any(step.is_last for step in found[:-1]):
        raise ValueError(f"{text!r}: an attribute or name() must be the last step of a path")
    return tuple(found)


def alternatives(reference: str) -> tuple[str, ...]:
    """Split a column's name at "|" into alternative paths."""
    return tuple(part.strip() for part in reference.split("|"))


def check(records: str | None, references: Iterable[str]) -> None:
    """Raise ValueError if the path `records` does not lead to elements, or if a column's name in
    `references` is not a path."""
    found = steps(records) if records else ()
    if not found:
        raise ValueError(
            'records is required: the path to the elements that are records, as in "gpx.trk.trkseg.trkpt"'
        )
    if found[-1].is_last:
        raise ValueError(
            f"records = {records!r} is not an element; name the element that it belongs to"
        )
    for reference in references:
        for path in alternatives(reference):
            steps(path)
