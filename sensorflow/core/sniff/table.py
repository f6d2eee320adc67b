"""A table as sniffing sees it, wherever it came from: titled columns of texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sensorflow.core.sniff.guess import Line


@dataclass(frozen=True, eq=False)
class Column:
    """reference: how a profile names it. title: for people, without units of a second row.

    titles: its cell in every header row. cells: stripped, one for each row; "" for nothing.
    told: whether the format itself tells the unit. instant: it holds typed timestamps; zoned ones end
    with an offset. above: it stands around the records, once for several of them.
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
        """How often each text stands in it, empty ones not counted."""
        found = Counter(self.cells)
        found.pop("", None)
        return found

    @cached_property
    def filled(self) -> int:
        return sum(self.counts.values())

    def says(self, regex: str) -> bool:
        """Whether a title matches, in any case."""
        return any(re.search(regex, text, re.IGNORECASE) for text in self.spellings)

    @cached_property
    def spellings(self) -> list[str]:
        """Its titles as they stand, and with their words apart: SamplingEnd, Sampling_End."""
        texts = dict.fromkeys((*self.titles, self.title))
        return list(texts | dict.fromkeys(map(_apart, texts)))

    @property
    def spelled(self) -> str:
        return _apart(self.title)


def _apart(title: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", title)


@dataclass(frozen=True)
class Table:
    """settings: the keys of the profile that make this table of the file. preamble: the text before it.

    sensors: whether a header row names them. complete: whether the whole file was seen.
    name: of the file. above: columns that stand outside of the records, for a time that they lack. markers:
    texts that stand for no reading, as the file itself says.
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
    """How a profile can name each column: by its title where that is one, and else by its place."""
    counts = Counter(names)
    return [
        name if name and counts[name] == 1 and not re.search(r"^[#~]|[{}]", name) else f"#{i + 1}"
        for i, name in enumerate(names)
    ]
