"""Computes the worst-case cost of a regular expression: the number of steps that `re` may need because of
backtracking."""

from __future__ import annotations

import math
import re
import warnings
from functools import lru_cache
from math import inf
from typing import Any


def steps(text: str, flags: int, length: int) -> float:
    """Return an upper bound on the number of steps that `re` needs for a text of `length` characters; inf
    if unknown or very large.

    The bound is derived from the number of ways in which the pattern can match. For a sequence, this number
    is the product over its items; for alternatives, it is the sum. For an item that can match in w ways and
    is repeated m to n times, it is (n - m + 1) * w**n. Here n counts as at most `length` + 1, but at least
    as m.
    """
    try:
        parsed = _parsed(text, flags)
        ways = _ways(parsed, length)
        return length + ways if _anchored(parsed) else max(1, length) * ways
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return inf  # the parser of another Python version


@lru_cache(1024)
def _parsed(text: str, flags: int) -> Any:
    # `re` itself uses this private module; imported here because a later Python may not have it
    from re import _parser  # type: ignore[attr-defined]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `re.compile` has already issued the warnings
        return _parser.parse(text, flags)


def _anchored(parsed: Any) -> bool:
    """Return whether the pattern matches only at the start of the text."""
    name, value = parsed[0] if len(parsed) else ("", "")
    begin = "AT_BEGINNING_STRING", *(() if parsed.state.flags & re.MULTILINE else ("AT_BEGINNING",))
    return str(name) == "AT" and str(value) in begin


_ONE = frozenset(
    ("LITERAL", "NOT_LITERAL", "ANY", "IN", "AT", "RANGE", "CATEGORY", "FAILURE", "SUCCESS")
)


def _ways(items: Any, length: int) -> float:
    return math.prod(_of(str(name), value, length) for name, value in items)


def _of(name: str, value: Any, length: int) -> float:
    if name in _ONE:
        return 1.0
    if name == "GROUPREF":
        return length + 1.0  # compared character by character
    if name == "BRANCH":
        return sum(_ways(branch, length) for branch in value[1])
    if name == "SUBPATTERN":
        return _ways(value[3], length)
    if name in ("ASSERT", "ASSERT_NOT"):
        return _ways(value[1], length)
    if name == "ATOMIC_GROUP":
        return _ways(value, length)
    if name == "GROUPREF_EXISTS":
        return _ways(value[1], length) + (_ways(value[2], length) if value[2] else 1.0)
    if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        low, high, items = value
        return _repeated(int(low), int(high), items, length)
    return inf


def _repeated(low: int, high: int, items: Any, length: int) -> float:
    limit = min(high, max(low, length + 1))
    once = _ways(items, length)
    if once <= 1:
        return limit - low + 1.0
    if limit * math.log2(once) > 64:
        return inf
    return (limit - low + 1.0) * once**limit
