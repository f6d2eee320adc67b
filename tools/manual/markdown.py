"""Formats values as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def cell(text: str, pipes: bool = True) -> str:
    """Convert a text from the code, such as a docstring, to Markdown. pipes: whether the result is for a
    cell of a table, and must therefore be on one line."""
    plain = "".join(_part(part) for part in re.split(r"(`[^`]*`)", text))
    return " ".join(plain.split()) if pipes else plain


def _part(text: str) -> str:
    """Convert a part of a text. Code in backquotes stays unchanged. In other text, options such as --json
    become code, and characters with a meaning in Markdown are escaped."""
    if text.startswith("`"):
        return text
    marked = re.sub(r"(?<![\w-])--\w[\w-]*", r"`\g<0>`", text)
    return re.sub(r"\*|<(?=\w)", r"\\\g<0>", marked).replace("|", "&#124;")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
