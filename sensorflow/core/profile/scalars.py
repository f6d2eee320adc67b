"""Types of the values in profiles. Each type validates its values and converts their short forms."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from sensorflow.core.times.durations import seconds


def _instant(value: Any) -> Any:
    """Parse an ISO 8601 date or time. Without an offset, the time is in UTC. Raises ValueError for any
    other value."""
    if value is None:
        return None
    found = value
    if isinstance(value, str):
        found = datetime.fromisoformat(value)
    elif isinstance(value, date) and not isinstance(value, datetime):
        found = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(found, datetime) or not 1900 <= found.year <= 2199:
        raise ValueError("expected a date or a time in ISO 8601, between the years 1900 and 2199")
    return found if found.tzinfo else found.replace(tzinfo=UTC)


Instant = Annotated[datetime | None, BeforeValidator(_instant)]


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a valid regular expression: {error}") from error
    return text


def _grouped(text: str) -> str:
    if re.compile(_regex(text)).groups < 1:
        raise ValueError("the pattern needs a group, as in '^(\\w+)_'")
    return text


def _seconds(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    bare = given.strip()[-1:].isdecimal()
    found = seconds(f"{given}s" if bare else given, ("s", "m", "min", "h", "d"))
    if found is None:
        raise ValueError('give seconds, or a text such as "30s", "10m", "2h", "1d"')
    return found


def _texts(given: Any) -> Any:
    if not isinstance(given, list | tuple) or not all(isinstance(t, str) for t in given):
        raise ValueError('give a list of texts, as in missing = ["-9999", "NaN"]')
    return given


def _reference(text: str) -> str:
    """Validate a reference to a column. If it begins with "~", the rest must be a valid regular
    expression."""
    if text.startswith("~"):
        _regex(text[1:])
    return text


def _listed(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


def _signed(given: Any) -> Any:
    if isinstance(given, str) and given.strip()[:1] in ("-", "+"):
        sign, text = given.strip()[0], given.strip()[1:]
        return _seconds(text) * (-1 if sign == "-" else 1)
    return _seconds(given)


Regex = Annotated[str, AfterValidator(_regex)]
Grouped = Annotated[str, AfterValidator(_grouped)]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0)]
Shift = Annotated[float, BeforeValidator(_signed), Field(ge=-86400 * 366, le=86400 * 366)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Reference = Annotated[str, AfterValidator(_reference)]
References = Annotated[tuple[Reference, ...], BeforeValidator(_listed)]
