"""A table as sniffing sees it, whatever its format: titled columns of texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sensorflow.core.sniff.guess import Line


@dataclass(frozen=True, eq=False)
class Column:
    """A column. reference: how a profile names the column. title: for people, without units from a second
    row.

    titles: its cell in every header row. cells: stripped, one for each row; "" if empty. told: whether the
    format itself states the unit. instant: it contains typed timestamps; those with a zone end with an
    offset. above: it is outside the records, once for several of them."""

    index: int
    reference: str
    title: str
    cells: Sequence[str]
    titles: tuple[str, ...] = ()
    unit: str = ""
    told: bool = False
    instant: bool = False
    above: bool = False

    @cached_property
    def counts(self) -> Counter[str]:
        """Count each non-empty text."""
        found = Counter(self.cells)
        found.pop("", None)
        return found

    @cached_property
    def filled(self) -> int:
        return sum(self.counts.values())

    def says(self, regex: str) -> bool:
        """Return whether a title matches, ignoring case."""
        return any(re.search(regex, text, re.IGNORECASE) for text in self.spellings)

    @cached_property
    def spellings(self) -> list[str]:
        """Return its titles, and the titles with separated words: SamplingEnd, Sampling_End."""
        texts = dict.fromkeys((*self.titles, self.title))
        return list(texts | dict.fromkeys(map(_apart, texts)))

    @property
    def spelled(self) -> str:
        return _apart(self.title)


def _apart(title: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", title)


@dataclass(frozen=True)
class Table:
    """A table. settings: profile keys that produce this table. preamble: the text before it.

    sensors: whether a header row names them. complete: whether the whole file was read. name: of the file.
    above: columns outside the records, for a time that the records lack. markers: texts for missing values
    that the file declares."""

    columns: tuple[Column, ...]
    settings: tuple[Line, ...]
    preamble: str = ""
    sensors: bool = False
    complete: bool = True
    above: tuple[Column, ...] = ()
    todo: tuple[str, ...] = ()
    name: str = ""
    markers: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        return len(self.columns[0].cells) if self.columns else 0


def references(names: Sequence[str]) -> list[str]:
    """Return how a profile can name each column: by its title if it is unique, otherwise by its
    position."""
    counts = Counter(names)
    return [
        name if name and counts[name] == 1 and not re.search(r"^[#~]|[{}]", name) else f"#{i + 1}"
        for i, name in enumerate(names)
    ]
