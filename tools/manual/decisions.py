"""Generates the index of the design decisions, with the state of each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from manual.markdown import table

FOLDER = Path(__file__).parents[2] / "docs" / "decisions"


def index() -> str:
    return table(("No.", "Decision", "State"), list(_rows()))


def files() -> list[Path]:
    """Return the pages of the decisions, in the order of their numbers."""
    return sorted(FOLDER.glob("0*.md"))


def _rows() -> Iterator[tuple[str, str, str]]:
    for file in files():
        text = file.read_text("utf-8")
        title = re.sub(r"^# (?:\d+[.:]? )?", "", text.splitlines()[0])
        yield file.name[:4], f"[{title}]({file.name})", state(text)


def state(text: str) -> str:
    """Return the state that the text of a decision's page states. Raises ValueError if the text states
    none."""
    found = re.search(r"^\*\*State\.\*\* (.+)$", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"a decision without its state: {text.splitlines()[0]}")
    return found[1]
