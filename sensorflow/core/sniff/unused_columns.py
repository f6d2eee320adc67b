"""Asks the user about ignored columns that may be readings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sensorflow.core.sniff import numeric, words
from sensorflow.core.sniff.numeric import Numeric
from sensorflow.core.sniff.table import Column

SCALE = 2
"""A flag usually has at most this number of different values. A measured scale usually has more than
this."""


def words_among(columns: Iterable[Column], comma: bool) -> list[str]:
    """Return a question for each column that is ignored as text, although most of its cells are numbers."""
    style = numeric.COMMA if comma else numeric.POINT
    found = []
    for column in columns:
        numbers = {t: n for t, n in column.counts.items() if style.fullmatch(t)}
        if len(numbers) > SCALE and sum(numbers.values()) > 0.5 * column.filled:
            texts = [t for t in column.counts if t not in numbers and not numeric.is_nothing(t)]
            text = ", ".join(map(repr, texts[:4]))
            found.append(
                f"{column.title!r} is ignored although most of its cells are numbers: what do {text} mean? "
                "If they mark missing values, list them in missing"
            )
    return found


def scales(flags: Sequence[Numeric], columns: Iterable[Column]) -> list[str]:
    """Return a question for each column that is ignored as a flag, but has no column to which the flag
    belongs. An example is sleep_quality."""
    titles = {c.title.strip().lower() for c in columns}
    return [
        f"{each.column.title!r} is ignored as a flag, although it has {len(each.column.counts)} different "
        "numbers: is it measured?"
        for each in flags
        if len(each.column.counts) > SCALE and _has_no_companion(each.column, titles)
    ]


def _has_no_companion(column: Column, titles: set[str]) -> bool:
    title = column.title.strip().lower()
    if re.search(words.FLAG_PLAIN, title):
        return False
    base = re.sub(words.FLAG, " ", title, count=1, flags=re.I).strip(" _.-:")
    return not any(t == base or t.startswith(f"{base} (") for t in titles - {title} if base)
