"""The table for which a profile is proposed: columns of texts with titles. It is the same for all file
formats."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sensorflow.core.sniff.guess import Line


@dataclass(frozen=True, eq=False)
class Column:
    """A column of the table. reference: the name by which a profile refers to the column. title: the
    column's title; it does not include a unit that is in a second header row.

    titles: the column's cell in each header row. cells: the text of each row, without surrounding spaces.
    unit: the column's unit, "" if unknown. has_known_unit: whether the reader itself finds the unit in a
    header row, so that the profile need not state it. instant: whether the file stores the cells as
    timestamps; their texts end with an offset if they have a zone. above: whether the cells come from
    outside the records, where one value applies to several records.
    """

    index: int
    reference: str
    title: str
    cells: Sequence[str]
    titles: tuple[str, ...] = ()
    unit: str = ""
    has_known_unit: bool = False
    instant: bool = False
    above: bool = False

    @cached_property
    def counts(self) -> Counter[str]:
        """Text -> number of cells with this text. Empty texts are not included."""
        found = Counter(self.cells)
        found.pop("", None)
        return found

    @cached_property
    def filled(self) -> int:
        return sum(self.counts.values())

    def says(self, regex: str) -> bool:
        """Return whether a regular expression matches one of the column's titles. Case is ignored."""
        return any(re.search(regex, text, re.IGNORECASE) for text in self.spellings)

    @cached_property
    def spellings(self) -> list[str]:
        """The titles of the column. They include the titles with separated words, such as "Sampling_End"
        for "SamplingEnd"."""
        texts = dict.fromkeys((*self.titles, self.title))
        return list(texts | dict.fromkeys(map(_normalized, texts)))

    @property
    def spelled(self) -> str:
        return _normalized(self.title)


def _normalized(title: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", title)


@dataclass(frozen=True)
class Table:
    """A table for which a profile is proposed. settings: the profile keys with which a reader reads this
    table. preamble: the text before the table.

    sensors: whether a header row contains the names of the sensors. complete: whether the whole file was
    read. above: columns from outside the records, which may contain the time if the records do not. todo:
    questions for the user. name: the file's name. markers: the texts that mark missing values, if the file
    states them.
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
    """Return, for each column, the name by which a profile can refer to it. This is the title if it is
    unique and has no special characters, otherwise the position, such as "#2"."""
    counts = Counter(names)
    return [
        name if name and counts[name] == 1 and not re.search(r"^[#~]|[{}]", name) else f"#{i + 1}"
        for i, name in enumerate(names)
    ]
