"""The representation of a table while a profile is being proposed: columns of texts with titles. It is the
same for all file formats."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sensorflow.core.sniff.guess import Line


@dataclass(frozen=True, eq=False)
class Column:
    """A column. reference: the name by which a profile refers to the column. title: the display name,
    without the unit that a second header row contains.

    titles: the column's cell in each header row. cells: the text of each row, without surrounding spaces.
    told: whether the unit is a property of the file format. instant: whether the cells are typed
    timestamps; their texts end with an offset if they have a zone. above: whether the value is outside the
    records, and applies to several of them.
    """

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
        """Return text -> number of cells with this text, for texts that are not empty."""
        found = Counter(self.cells)
        found.pop("", None)
        return found

    @cached_property
    def filled(self) -> int:
        return sum(self.counts.values())

    def says(self, regex: str) -> bool:
        """Return whether a regular expression matches in a title, ignoring case."""
        return any(re.search(regex, text, re.IGNORECASE) for text in self.spellings)

    @cached_property
    def spellings(self) -> list[str]:
        """Return the column's titles, and the same titles with separated words, as "Sampling_End" for
        "SamplingEnd"."""
        texts = dict.fromkeys((*self.titles, self.title))
        return list(texts | dict.fromkeys(map(_apart, texts)))

    @property
    def spelled(self) -> str:
        return _apart(self.title)


def _apart(title: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", title)


@dataclass(frozen=True)
class Table:
    """A table. settings: profile keys with which a reader reads this table. preamble: the text before the
    table.

    sensors: whether a header row contains the names of the sensors. complete: whether the whole file was
    read. name: the file's name. above: columns outside the records, where the time may be if the records
    have no time. markers: texts that mark missing values, according to the file itself.
    """

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
    """Return the name by which a profile can refer to each column: the title if it is unique, otherwise the
    position."""
    counts = Counter(names)
    return [
        name if name and counts[name] == 1 and not re.search(r"^[#~]|[{}]", name) else f"#{i + 1}"
        for i, name in enumerate(names)
    ]
