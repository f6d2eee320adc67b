"""Parses time arguments of commands: a time, a day, or an age."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from sensorflow.core.times.durations import seconds
from sensorflow.errors import UsageError

_CLOCK = re.compile(r"[0-2]\d:[0-5]\d(?::[0-5]\d)?")
SINCE = (
    "an age such as 30m or 2d, or a time such as 12:30, 2026-01-31 or 2026-01-31T12:00. "
    "A time without an offset is in UTC."
)
"""The notation of time options, for their help."""


def instant(text: str, option: str) -> datetime:
    """Return the time that an argument gives: an ISO 8601 time, a time of today, or an age, such as 2d,
    which is subtracted from now. option: name of the option, for messages. Raises UsageError for any other
    text."""
    ago = seconds(text, "smhdwy")
    if ago is not None:
        try:
            return datetime.now(UTC) - timedelta(seconds=ago)
        except OverflowError:
            raise UsageError(f"{option} {text}: the time is before the year 1") from None
    today = f"{datetime.now(UTC):%Y-%m-%d}T" if _CLOCK.fullmatch(text.strip()) else ""
    try:
        found = datetime.fromisoformat(today + text.strip())
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    except ValueError:
        raise UsageError(
            f"{option} {text}: expected a time such as 2026-01-31T12:00, or an age such as 1h or 2d"
        ) from None


def given(text: str | None, option: str) -> datetime | None:
    return None if text is None else instant(text, option)
