"""Markdown that is made of values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def cell(text: str, pipes: bool = True) -> str:
    """A text of the code as Markdown. pipes: for a table, on one line."""
    plain = text.replace("<", "&lt;") if "`" not in text else text
    return " ".join(plain.split()).replace("|", "&#124;") if pipes else plain


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
