"""Parses time arguments of commands: a time, a day, or a duration before now."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from sensorflow.core.times.durations import seconds
from sensorflow.errors import UsageError

_CLOCK = re.compile(r"[0-2]\d:[0-5]\d(?::[0-5]\d)?")
SINCE = "30m, 2d (before now), or 12:30, 2026-01-31, 2026-01-31T12:00 (UTC without an offset)."


def instant(text: str, option: str) -> datetime:
    """Parse an ISO 8601 time, or a duration before now. Raises UsageError for other text."""
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
