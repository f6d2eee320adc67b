"""Finds the name that a user probably meant. Messages suggest this name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(given: str, known: Iterable[str], min_ratio: float = 0.6) -> str | None:
    """Return the known name that is most similar to `given`, or None if no name is similar enough. A name
    that differs only in upper and lower case is the most similar one.

    min_ratio: the required similarity, from 0 (any name) to 1 (only an equal name).
    """
    names = list(known)
    same = (name for name in names if given and name.casefold() == given.casefold())
    if (name := next(same, None)) is not None:
        return name
    found = difflib.get_close_matches(given, names, 1, min_ratio)
    return found[0] if found else None


def did_you_mean(given: str, known: Iterable[str], otherwise: str) -> str:
    """Return "did you mean ...?" with the nearest name, or `otherwise` if there is none."""
    suggestion = nearest(given, known)
    return otherwise if suggestion is None else f"did you mean {suggestion!r}?"
