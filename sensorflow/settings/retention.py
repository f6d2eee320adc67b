"""Defines the retention of data, and parses time spans in settings, such as "90d", "12h" and "forever"."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator

from sensorflow.core.profile.strict import Strict
from sensorflow.core.times.durations import seconds

UNITS = "mhdwy"


def duration(value: Any) -> Any:
    """Return a time span such as "90d" as a timedelta; None for "forever". Raises ValueError for any other
    text."""
    if value is None or value == "forever":
        return None
    text = str(value).strip()
    found = seconds(text, UNITS) if text.isascii() and text.isalnum() else None
    if not found:
        raise ValueError('give a time such as "12h", "90d", "8w" or "2y", or "forever"')
    return timedelta(seconds=found)


Duration = Annotated[timedelta | None, BeforeValidator(duration)]


def span(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    found = duration(value)
    if found is None:
        raise ValueError('give a time such as "12h", "7d" or "2w"')
    return found


def patience(value: Any) -> Any:
    """Return the same as `duration`, but also accept seconds, such as "90s"."""
    if re.fullmatch(r"[1-9][0-9]{0,6}s", str(value).strip()):
        return timedelta(seconds=int(str(value).strip()[:-1]))
    return value if isinstance(value, timedelta) else duration(value)


class Retention(Strict):
    """How long data is kept. The time of `rows` begins at the time of a reading. All other times begin when
    the file was finished."""

    landing: Duration = None
    """The original bytes of files in the landing zone. After their removal, the file cannot be replayed."""
    bronze: Duration = None
    """The accepted readings in the lake, as they were read."""
    rejects: Duration = None
    """The rejected rows in the lake."""
    silver: Duration = None
    """The final readings in the lake, without duplicates."""
    rows: Duration = None
    """The readings in the database. All readings of a file are removed when the newest of them is this
    old."""
    whole_months: bool = False
    """Whether readings in the database are kept for up to 31 more days, until all readings of their
    partition (a month, week or day) have expired. The partition is then dropped, instead of deleting row
    by row."""
    history: Duration = None
    """The events in the history of a file. The last event is always kept."""
