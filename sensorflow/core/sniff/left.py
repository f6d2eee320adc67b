"""Columns that are left out though they may be measured: questions for a person."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sensorflow.core.sniff import numeric, words
from sensorflow.core.sniff.numeric import Numeric
from sensorflow.core.sniff.table import Column

SCALE = 2
"""Different numbers of what may be a scale; a flag mostly has fewer."""


def words_among(columns: Iterable[Column], comma: bool) -> list[str]:
    """Of columns that are left out as texts, those with more numbers than words in their cells."""
    style = numeric.COMMA if comma else numeric.POINT
    found = []
    for column in columns:
        numbers = {t: n for t, n in column.counts.items() if style.fullmatch(t)}
        if len(numbers) > SCALE and sum(numbers.values()) > 0.5 * column.filled:
            rest = [t for t in column.counts if t not in numbers and not numeric.is_nothing(t)]
            told = ", ".join(map(repr, rest[:4]))
            found.append(
                f"{column.title!r} is left out though most of its cells are numbers: what do {told} mean? "
                "If no reading, name them in missing"
            )
    return found


def scales(flags: Sequence[Numeric], columns: Iterable[Column]) -> list[str]:
    """Of numbers that are left out as flags, those of no column beside them, as sleep_quality."""
    titles = {c.title.strip().lower() for c in columns}
    return [
        f"{each.column.title!r} is left out as a flag, though it has {len(each.column.counts)} different "
        "numbers: is it measured?"
        for each in flags
        if len(each.column.counts) > SCALE and _alone(each.column, titles)
    ]


def _alone(column: Column, titles: set[str]) -> bool:
    title = column.title.strip().lower()
    if re.search(words.FLAG_PLAIN, title):
        return False
    base = re.sub(words.FLAG, " ", title, count=1, flags=re.I).strip(" _.-:")
    return not any(t == base or t.startswith(f"{base} (") for t in titles - {title} if base)
