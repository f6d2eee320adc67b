"""The name that was meant, for messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(given: str, known: Iterable[str], alike: float = 0.6) -> str | None:
    """The one of some names that is most like a given one; None where none is. alike: from 0, of any two
    names, to 1, of equal ones."""
    found = difflib.get_close_matches(given, list(known), 1, alike)
    return found[0] if found else None


def meant(given: str, known: Iterable[str], otherwise: str) -> str:
    """A question after the nearest name, or else another hint."""
    near = nearest(given, known)
    return otherwise if near is None else f"did you mean {near!r}?"
