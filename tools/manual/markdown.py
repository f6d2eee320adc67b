"""Markdown that is made of values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def cell(text: str, pipes: bool = True) -> str:
    """A text of the code as Markdown. pipes: for a table, on one line."""
    plain = "".join(_part(part) for part in re.split(r"(`[^`]*`)", text))
    return " ".join(plain.split()) if pipes else plain


def _part(text: str) -> str:
    """Outside of code, options become code, and signs are no marks."""
    if text.startswith("`"):
        return text
    marked = re.sub(r"(?<![\w-])--\w[\w-]*", r"`\g<0>`", text)
    return re.sub(r"\*|<(?=\w)", r"\\\g<0>", marked).replace("|", "&#124;")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
